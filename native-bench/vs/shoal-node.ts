import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { cliPath as CLI } from '../../test/built-program.ts';
import { type Cores, PinnedProcess } from './pinned-process.ts';
import { freePort, type Rival } from './rivals.ts';

interface ShoalStart {
  name: string;
  /** Its entry file; by default that of this checkout, built. */
  program?: string;
  dir: string;
  core: Cores;
  originUrl: string;
  objectBytes: number;
  tls?: boolean;
  role?: 'agent' | 'root';
  frontThreads?: number;
  /** Bytes of shared memory; by default it holds the whole object. */
  memoryBytes?: number;
  direct?: boolean;
  /** off by default: nothing between the client and the bytes. */
  accessCheck?: 'strict' | 'off';
  throttleLimitMB?: number;
  /** off by default. */
  audit?: 'off' | 'file' | 'stdout';
  p2pPort?: number;
  peers?: string[];
  roots?: string[];
  /** Arguments for the runtime itself, such as `--cpu-prof`. */
  runtime?: readonly string[];
}

/**
 * A node of its own directory and ports, with nothing between the client and the bytes: no access
 * check, no audit log, no throttle unless it is told one.
 */
export async function startShoal(
  start: ShoalStart,
): Promise<Rival & { certDir: string; exporter: string }> {
  const dir = join(start.dir, start.name.replaceAll(' ', '-'));
  await mkdir(dir, { recursive: true });
  const [proxyPort, exporterPort, p2pPort] = [
    await freePort(),
    await freePort(),
    start.p2pPort ?? (await freePort()),
  ];
  const tls = start.tls ?? false;
  // Shards take whole slots, and some are on their way out while others come.
  const memory =
    start.memoryBytes ?? (Math.ceil(start.objectBytes / SHARD_BYTES) + 16) * SHARD_BYTES;
  const config = {
    DeployConfig: {
      node: '127.0.0.1',
      logDir: join(dir, 'log'),
      logLevel: 'warn',
      logAudit: (start.audit ?? 'off') !== 'off',
      logAuditMode: start.audit === 'file' ? 'file' : 'stdout',
    },
    ProxyConfig: {
      port: proxyPort,
      tls,
      certDir: join(dir, 'certs'),
      registries: [{ upstream: start.originUrl }],
      allow: [new URL(start.originUrl).host],
      accessCheck: start.accessCheck ?? 'off',
      throttleLimitMB: start.throttleLimitMB ?? 0,
    },
    P2PConfig: { port: p2pPort, peers: start.peers ?? [], roots: start.roots ?? [] },
    CacheConfig: {
      dir: join(dir, 'cache'),
      capacity: Math.ceil(start.objectBytes * 1.1) + 64 * 2 ** 20,
      memory,
      aioEnable: start.direct === true ? 1 : 0,
    },
    ExporterConfig: { enable: true, port: exporterPort },
  };
  const file = join(dir, 'config.yaml');
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config));
  const args = [
    ...(start.runtime ?? []),
    start.program ?? CLI,
    start.role ?? 'agent',
    '--config',
    file,
    '--json',
    '--exit-with-parent',
    '--front-threads',
    String(start.frontThreads ?? 1),
  ];
  const server = new PinnedProcess(start.core, [process.execPath, ...args]);
  await server.line('"ready":true');
  return {
    name: start.name,
    url: `http${tls ? 's' : ''}://127.0.0.1:${proxyPort}/accelerator/${start.originUrl}/object`,
    process: server,
    certDir: join(dir, 'certs'),
    exporter: `http://127.0.0.1:${exporterPort}`,
  };
}
