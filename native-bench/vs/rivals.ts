import { createHash } from 'node:crypto';
import { mkdir, link, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PinnedProcess } from './pinned-process.ts';

const BARE_SERVER = fileURLToPath(new URL('bare-server.ts', import.meta.url));

/** A server that holds the object, warm or about to be. */
export interface Rival {
  name: string;
  url: string;
  process: PinnedProcess;
}

/**
 * What a rival is started with: the object as a file and at an origin, and a directory of its own.
 */
export interface RivalStart {
  dir: string;
  core: number | null;
  /** `object` in it. */
  objectDir: string;
  objectBytes: Buffer;
  originUrl: string;
  /** PEM files when TLS is measured. */
  tls: { certFile: string; keyFile: string } | null;
}

/** A port of loopback that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/**
 * nginx as its own manual tunes it for this: one worker, sendfile, cached descriptors, no logs,
 * connections kept for ever. `tcp_nopush` spares it a write per answer from a file, but makes
 * answers put together from slices wait for a delayed ACK.
 */
export async function startNginx(start: RivalStart, mode: 'sendfile' | 'slice'): Promise<Rival> {
  const dir = join(start.dir, `nginx-${mode}`);
  await mkdir(dir, { recursive: true });
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(dir, kind)};`)
    .join(' ');
  const tls =
    start.tls === null
      ? ''
      : `ssl_certificate ${start.tls.certFile}; ssl_certificate_key ${start.tls.keyFile};`;
  const location =
    mode === 'sendfile'
      ? `location / { root ${start.objectDir}; open_file_cache max=16; }`
      : 'location / { slice 2m; proxy_cache slices; proxy_cache_key $uri$slice_range; ' +
        'proxy_set_header Range $slice_range; proxy_http_version 1.1; proxy_cache_valid ' +
        `200 206 1h; proxy_pass ${start.originUrl}; }`;
  const config = `
    daemon off; master_process off; worker_processes 1; error_log stderr; pid ${join(dir, 'pid')};
    events { worker_connections 4096; }
    http {
      access_log off; sendfile on; tcp_nopush ${mode === 'sendfile' ? 'on' : 'off'};
      tcp_nodelay on; keepalive_requests 1000000000; ${temporary}
      proxy_cache_path ${join(dir, 'cache')} levels=1 keys_zone=slices:10m max_size=10g inactive=1h;
      server { listen 127.0.0.1:${port} ${start.tls === null ? '' : 'ssl'}; ${tls} ${location} }
    }`;
  const file = join(dir, 'nginx.conf');
  await writeFile(file, config);
  const server = new PinnedProcess(start.core, ['nginx', '-c', file, '-e', 'stderr']);
  await server.listening(port);
  return {
    name: mode === 'sendfile' ? 'nginx sendfile' : 'nginx slice cache',
    url: `http${start.tls === null ? '' : 's'}://127.0.0.1:${port}/object`,
    process: server,
  };
}

/**
 * Not a rival but the ceiling: uWebSockets.js with the object in memory and nothing of ours around
 * it.
 */
export async function startBare(start: RivalStart, seed: number): Promise<Rival> {
  const port = await freePort();
  const tls = start.tls === null ? [] : [start.tls.certFile, start.tls.keyFile];
  const server = new PinnedProcess(start.core, [
    process.execPath,
    BARE_SERVER,
    String(port),
    String(seed),
    String(start.objectBytes.length),
    ...tls,
  ]);
  await server.listening(port);
  return {
    name: 'bare uWebSockets.js',
    url: `http${start.tls === null ? '' : 's'}://127.0.0.1:${port}/object`,
    process: server,
  };
}

/**
 * Debian's docker-registry over a filesystem that holds the object as a blob, laid out as its own
 * pushes leave it.
 */
export async function startRegistry(start: RivalStart): Promise<Rival> {
  const dir = join(start.dir, 'registry');
  const hex = createHash('sha256').update(start.objectBytes).digest('hex');
  const blobDir = join(dir, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex);
  const linkDir = join(dir, 'docker/registry/v2/repositories/bench/_layers/sha256', hex);
  await Promise.all([blobDir, linkDir].map((path) => mkdir(path, { recursive: true })));
  await link(join(start.objectDir, 'object'), join(blobDir, 'data'));
  await writeFile(join(linkDir, 'link'), `sha256:${hex}`);
  const port = await freePort();
  const file = join(dir, 'config.json');
  const http = {
    addr: `127.0.0.1:${port}`,
    ...(start.tls === null
      ? {}
      : { tls: { certificate: start.tls.certFile, key: start.tls.keyFile } }),
  };
  await writeFile(
    file,
    JSON.stringify({
      version: '0.1',
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: dir } },
      http,
    }),
  );
  const server = new PinnedProcess(start.core, ['docker-registry', 'serve', file]);
  await server.listening(port);
  return {
    name: 'docker-registry',
    url: `http${start.tls === null ? '' : 's'}://127.0.0.1:${port}/v2/bench/blobs/sha256:${hex}`,
    process: server,
  };
}
