import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { ShoalError } from '../errors.ts';
import {
  credentialsFor,
  helperCredentials,
  parseDockerConfig,
  storedName,
  type Credentials,
  type DockerConfig,
} from '../registry/docker-config.ts';
import { HELPER_OUTPUT_BYTES_MAX, HELPER_TIMEOUT_MS } from './limits.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** What docker keeps credentials for Docker Hub under. */
const HUB_SERVER = 'https://index.docker.io/v1/';

/**
 * The credentials that docker or podman would use for an image, and the file they are from; null:
 * none. The first file that knows the registry counts (containers-auth.json(5), docker login).
 * @throws ShoalError FILE_UNUSABLE when a file is damaged, or a credential helper fails
 */
export async function storedCredentials(
  host: string,
  repository: string,
  env: Env = process.env,
): Promise<{ credentials: Credentials; file: string } | null> {
  for (const file of authFiles(env)) {
    const config = await readConfig(file, file === env['REGISTRY_AUTH_FILE']);
    if (config === null) continue;
    const credentials =
      (await fromHelper(config, host, env)) ?? credentialsFor(config, host, repository);
    if (credentials !== null) return { credentials, file };
  }
  return null;
}

/** Where podman and docker look, in order. */
export function authFiles(env: Env): string[] {
  const named = env['REGISTRY_AUTH_FILE'];
  if (named !== undefined && named !== '') return [named];
  const home = env['HOME'] ?? userInfo().homedir;
  const runtime = env['XDG_RUNTIME_DIR'] || null;
  const config = env['XDG_CONFIG_HOME'] || join(home, '.config');
  const docker = env['DOCKER_CONFIG'] || join(home, '.docker');
  return [
    runtime === null
      ? `/run/containers/${userInfo().uid}/auth.json`
      : join(runtime, 'containers/auth.json'),
    join(config, 'containers/auth.json'),
    join(docker, 'config.json'),
    join(home, '.dockercfg'),
  ];
}

async function readConfig(file: string, mustExist: boolean): Promise<DockerConfig | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    // podman takes a file that is named and not there for an empty one, too; a user would wonder.
    if (!mustExist && (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES')) return null;
    throw new ShoalError(
      'FILE_UNUSABLE',
      `cannot read the credentials in ${file}: ${code}; correct REGISTRY_AUTH_FILE or the file`,
      { cause: thrown },
    );
  }
  try {
    return parseDockerConfig(text);
  } catch (thrown) {
    throw new ShoalError(
      'FILE_UNUSABLE',
      `cannot read the credentials in ${file}: ${(thrown as Error).message}; log in again, or ` +
        'name another file in REGISTRY_AUTH_FILE',
    );
  }
}

async function fromHelper(
  config: DockerConfig,
  host: string,
  env: Env,
): Promise<Credentials | null> {
  const name = storedName(host);
  const helper = config.helpers.get(name) ?? config.store;
  if (helper === null) return null;
  // Some stores have registries under their URL.
  const servers = name === 'docker.io' ? [HUB_SERVER] : [host, `https://${host}`];
  for (const server of servers) {
    const found = await askHelper(`docker-credential-${helper}`, server, env);
    if (found !== null) return found;
  }
  return null;
}

/** The credential-helper protocol: the server on stdin, JSON on stdout. Null: it knows none. */
async function askHelper(program: string, server: string, env: Env): Promise<Credentials | null> {
  const failed = (why: string): ShoalError =>
    new ShoalError(
      'FILE_UNUSABLE',
      `the credential helper ${program} failed for ${server}: ${why}; try \`echo ${server} | ` +
        `${program} get\``,
    );
  const { code, stdout, stderr } = await run(program, server, env).catch((thrown: unknown) => {
    const { code: reason, message } = thrown as NodeJS.ErrnoException;
    throw failed(reason === 'ENOENT' ? 'it is not installed' : message);
  });
  if (code !== 0) {
    if (/credentials not found/i.test(stdout + stderr)) return null;
    const said = (stderr || stdout).trim().split('\n')[0]!.slice(0, 200);
    throw failed(said === '' ? `it exited with ${code}` : said);
  }
  try {
    const { Username: username, Secret: secret } = JSON.parse(stdout) as Record<string, unknown>;
    if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') return null;
    return helperCredentials(username, secret);
  } catch {
    throw failed('its answer is not JSON');
  }
}

function run(
  program: string,
  input: string,
  env: Env,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], {
      env: env as NodeJS.ProcessEnv,
      timeout: HELPER_TIMEOUT_MS,
    });
    let [stdout, stderr] = ['', ''];
    const add = (text: string, more: string): string =>
      (text + more).slice(0, HELPER_OUTPUT_BYTES_MAX);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout = add(stdout, text)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = add(stderr, text)));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(`${input}\n`);
  });
}
