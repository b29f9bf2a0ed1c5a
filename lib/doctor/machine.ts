import { once } from 'node:events';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { open, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Config } from '../config/schema.ts';
import { secretExposure } from '../config/secret.ts';
import { SHARD_BYTES } from '../limits.ts';
import { formatBytes } from '../quantity.ts';
import { systemReason } from '../system-reason.ts';
import { failed, ok, reasonOf, warning, type Finding } from './finding.ts';
import { CHECK_DISK_BYTES, DISK_BYTES_PER_SECOND_MIN } from './limits.ts';

/** The cluster secret: whether there is one, and who may read its file. */
export function checkSecret(config: Config): Finding {
  const { secretFile, discovery, peers, roots } = config.P2PConfig;
  const name = 'cluster secret';
  if (secretFile === '') {
    const alone = discovery === 'static' && peers.length + roots.length === 0;
    return alone
      ? ok(name, 'none; this node has no peers')
      : warning(
          name,
          'P2PConfig.secretFile is not set: peers on other machines are ignored',
          'create one with `shoal init`, copy it to every node and set P2PConfig.secretFile',
        );
  }
  const exposure = secretExposure(secretFile);
  return exposure === null
    ? ok(name, secretFile)
    : warning(name, exposure, `chmod 600 ${secretFile}`);
}

/** Room, rights and speed of the cache disk. */
export async function checkDisk(config: Config): Promise<Finding> {
  const { dir, capacity } = config.CacheConfig;
  const name = 'cache disk';
  let existing = dir;
  while (!existsSync(existing) && existing !== dirname(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
    const { bavail, bsize } = await statfs(existing);
    const freeBytes = Number(bavail) * Number(bsize);
    const heldBytes = existsSync(join(dir, 'slab')) ? statSync(join(dir, 'slab')).size : 0;
    const roomBytes = freeBytes + heldBytes;
    if (roomBytes < SHARD_BYTES)
      return failed(
        name,
        `${dir} is full: ${formatBytes(roomBytes)} free of ${formatBytes(capacity)} configured`,
        'free space on this disk, or give CacheConfig.dir another; until then shards are kept ' +
          'in memory only',
      );
    if (roomBytes < capacity)
      return warning(
        name,
        `${dir} has room for ${formatBytes(roomBytes)} of ${formatBytes(capacity)}`,
        'lower CacheConfig.capacity, or free space; the cache will be smaller',
      );
    const rate = await writeRate(existing, Math.min(CHECK_DISK_BYTES, freeBytes / 2));
    const measured = `${formatBytes(freeBytes)} free, ${Math.round(rate / 1e6)} MB/s`;
    return rate >= DISK_BYTES_PER_SECOND_MIN
      ? ok(name, `${dir}: ${measured}`)
      : warning(name, `${dir} is slow: ${measured}`, 'use a faster disk for CacheConfig.dir');
  } catch (error) {
    return failed(
      name,
      `${dir} cannot be written: ${systemReason(error)}`,
      `create ${dir} on a writable disk and give it to the user of the node`,
    );
  }
}

/** Bytes per second of one synced write. */
async function writeRate(directory: string, bytes: number): Promise<number> {
  const path = join(directory, `.shoal-doctor-${process.pid}`);
  const file = await open(path, 'wx');
  try {
    const startMs = performance.now();
    await file.write(Buffer.alloc(Math.floor(bytes), 1));
    await file.sync();
    return (bytes * 1000) / (performance.now() - startMs);
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

/** Whether each port can be listened on, or a node listens there already. */
export async function checkPorts(config: Config): Promise<Finding[]> {
  const { ProxyConfig: proxy, P2PConfig: p2p, ExporterConfig: exporter } = config;
  const ports: [key: string, host: string, port: number][] = [
    ['ProxyConfig.port', proxy.host, proxy.port],
    ['P2PConfig.port', '0.0.0.0', p2p.port],
  ];
  if (exporter.enable && exporter.standaloneExporterPort)
    ports.push(['ExporterConfig.port', '0.0.0.0', exporter.port]);
  return Promise.all(ports.map((port) => checkPort(...port)));
}

async function checkPort(key: string, host: string, port: number): Promise<Finding> {
  const name = `port ${port}`;
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    return ok(name, `${key} is free`);
  } catch (error) {
    const reason = reasonOf(error);
    return reason === 'EADDRINUSE'
      ? warning(
          name,
          `${key} is in use`,
          'if this node runs already, all is well; else find the process with ' +
            `\`ss -ltnp 'sport = :${port}'\``,
        )
      : failed(name, `${key}: cannot listen on ${host}:${port}: ${reason}`, `change ${key}`);
  } finally {
    server.close();
  }
}
