import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImagePlan } from '../demo/image.ts';
import type { NodeReady } from '../demo/node-process.ts';
import type { Credentials } from '../registry/docker-config.ts';

interface HintSources {
  /** Directory that goes when the swarm does. */
  dir: string;
  /** Origin of the registry. */
  upstream: string;
  image: ImagePlan;
  credentials: Credentials | null;
  agents: readonly NodeReady[];
  /** How this program is called where the user stands. */
  shoal: string;
}

/** Where the pull can be watched, said before it begins: the page of the swarm. */
export function watchHint(url: string): string {
  return `  watch the pull in a browser: ${url}/swarm\n`;
}

/**
 * Writes what container tools need to pull through the swarm, and says how. Credentials go into
 * files only their owner can read, never into a command line.
 */
export function nextSteps(sources: HintSources): string {
  const { dir, upstream, image, credentials, agents } = sources;
  const [first] = agents;
  if (first === undefined) return '';
  const registry = new URL(upstream);
  const node = new URL(first.proxy);
  const suffix = image.reference.startsWith('sha256:')
    ? `@${image.reference}`
    : `:${image.reference}`;
  const certsDir = writeHostsToml(dir, registry, first.proxy);
  let authFile = '';
  let user = '';
  if (credentials !== null) {
    const secrets = writeCredentials(dir, credentials, [
      registry.host,
      ...agents.map((agent) => new URL(agent.proxy).host),
    ]);
    authFile = ` --authfile ${secrets.authFile}`;
    user = ` --user "$(cat ${secrets.userFile})"`;
  }
  const plainHttp = registry.protocol === 'http:' ? ' --plain-http' : '';
  return [
    'What you can do next, while this runs:',
    '  pull through a node with skopeo:',
    `    skopeo copy --src-tls-verify=false${authFile} ` +
      `docker://${node.host}/${image.repository}${suffix} dir:/tmp/shoal-copy`,
    '  pull through a node with containerd, the node being the mirror of the registry:',
    `    ctr images pull --hosts-dir ${certsDir}${plainHttp}${user} ` +
      `${registry.host}/${image.repository}${suffix}`,
    `  look at a node, in a browser at ${first.exporter ?? first.proxy}/ or here:`,
    `    ${sources.shoal} status --url ${first.exporter ?? first.proxy}`,
    `    curl ${first.exporter ?? first.proxy}/metrics`,
    `  its logs, configs and caches are under ${dir}, and go with it.`,
    '  stop: Ctrl-C',
    '',
  ].join('\n');
}

/** What there is to do once the swarm of `--once` has gone. */
export function laterSteps(shoal: string): string {
  return [
    'What you can do next:',
    '  keep the swarm up and pull through it with skopeo, containerd or a browser at hand:',
    `    ${shoal} up`,
    '  the same with an image of yours:',
    `    ${shoal} up --nodes 8 --registry http://127.0.0.1:5000 --image team/app:v1`,
    '  run one node of your own (docs/GETTING-STARTED.md): write its config and secret with',
    `    ${shoal} init --dir ./shoal-etc --data ./shoal-data --registry registry.example`,
    '',
  ].join('\n');
}

/** containerd's `hosts.toml` for the registry, with the node as its first host. */
function writeHostsToml(dir: string, registry: URL, proxy: string): string {
  const certsDir = join(dir, 'certs.d');
  const hostDir = join(certsDir, registry.host);
  mkdirSync(hostDir, { recursive: true });
  writeFileSync(
    join(hostDir, 'hosts.toml'),
    `server = "${registry.origin}"\n\n[host."${proxy}"]\n  capabilities = ["pull", "resolve"]\n`,
  );
  return certsDir;
}

/**
 * An auth file as skopeo and podman read it, for each host, and `user:password` for `ctr --user`.
 */
function writeCredentials(
  dir: string,
  { username, password }: Credentials,
  hosts: readonly string[],
): { authFile: string; userFile: string } {
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const authFile = join(dir, 'auth.json');
  const userFile = join(dir, 'credentials');
  writeFileSync(
    authFile,
    JSON.stringify({ auths: Object.fromEntries(hosts.map((host) => [host, { auth }])) }),
    { mode: 0o600 },
  );
  writeFileSync(userFile, `${username}:${password}`, { mode: 0o600 });
  return { authFile, userFile };
}
