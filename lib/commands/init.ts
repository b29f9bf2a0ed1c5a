import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { parseConfig } from '../config/load.ts';
import type { NodeMode } from '../config/schema.ts';
import { ShoalError } from '../errors.ts';
import { systemReason } from '../system-reason.ts';
import type { Output } from './process-output.ts';

/** Bytes of a new cluster secret: as strong as the HMAC-SHA-256 that it keys. */
const SECRET_BYTES = 32;

export interface InitOptions {
  dir: string;
  data: string;
  mode: NodeMode;
  registry: string[];
  root: string[];
  peer: string[];
  node?: string;
  dryRun?: boolean;
}

interface NewFile {
  path: string;
  text: string;
  mode: number;
}

/**
 * `shoal init`: writes a config file and a cluster secret, and says what to do next. A secret that
 * exists is kept, because every node of a swarm has the same one. Throws FILE_UNUSABLE when the
 * config exists or a file cannot be written, CONFIG_INVALID for an address that is not allowed.
 */
export function runInit(options: InitOptions, shoal: string, output: Output): number {
  const dir = resolve(options.dir);
  const sections = configSections(options, dir);
  parseConfig(sections, { mode: options.mode });
  const config: NewFile = {
    path: join(dir, `${options.mode}.yaml`),
    text: `# Written by \`shoal init\`. Every key: docs/CONFIG.md.\n${stringify(sections)}`,
    mode: 0o644,
  };
  const secret: NewFile = {
    path: join(dir, 'secret'),
    text: `${randomBytes(SECRET_BYTES).toString('hex')}\n`,
    mode: 0o600,
  };
  const keepSecret = existsSync(secret.path);
  if (options.dryRun === true) {
    output.out(`# ${config.path}\n${config.text}`);
    output.err(keepSecret ? '' : `would write a new secret to ${secret.path}\n`);
    return 0;
  }
  if (existsSync(config.path))
    throw new ShoalError(
      'FILE_UNUSABLE',
      `${config.path} exists; edit it, or remove it and run \`${shoal} init\` again`,
    );
  const files = keepSecret ? [config] : [secret, config];
  for (const file of files) write(file);
  const next = nextSteps(options, config.path, secret.path, shoal);
  output.out(`${files.map(({ path }) => `wrote ${path}\n`).join('')}\n${next}`);
  return 0;
}

function write({ path, text, mode }: NewFile): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { mode, flag: 'wx' });
  } catch (error) {
    throw new ShoalError('FILE_UNUSABLE', `cannot write ${path}: ${systemReason(error)}`);
  }
}

function configSections(
  { data, mode, registry, root, peer, node }: InitOptions,
  dir: string,
): Record<string, Record<string, unknown>> {
  const at = resolve(data);
  return {
    DeployConfig: { mode, ...(node === undefined ? {} : { node }), logDir: join(at, 'log') },
    ProxyConfig: {
      certDir: join(at, 'certs'),
      registries: registry.map((url) => ({
        ...(registry.length > 1 ? { p2pHost: new URL(url).host } : {}),
        upstream: url,
      })),
    },
    P2PConfig: { peers: peer, roots: root, secretFile: join(dir, 'secret') },
    CacheConfig: { dir: join(at, 'cache'), capacity: 20 * 2 ** 30 },
    ExporterConfig: { enable: true },
  };
}

function nextSteps(options: InitOptions, config: string, secret: string, shoal: string): string {
  const hosts = options.registry.map((url) => new URL(url).host).join(' ');
  const steps = [
    `run this node:\n    ${shoal} ${options.mode} --config ${config}`,
    ...(options.mode === 'agent'
      ? [`point containerd at it:\n    ${shoal} containerd configure --registry ${hosts}`]
      : []),
    `look at it:\n    ${shoal} status`,
    `other nodes: copy ${secret} there, name their p2p addresses (port 65002) under\n  ` +
      `P2PConfig.peers and roots in ${config}, and restart the node`,
  ];
  return `Next:\n${steps.map((step) => `  ${step}\n`).join('')}`;
}
