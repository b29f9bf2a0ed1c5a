import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PinnedProcess } from '../vs/pinned-process.ts';
import { freePort } from '../vs/rivals.ts';
import type { Line } from './line.ts';
import { layerPieces, type Layer } from './layers.ts';

/** A registry in a process of its own, which holds layers in `REPOSITORY`. */
export interface BenchRegistry {
  url: string;
  authorization?: string;
  process: PinnedProcess;
}

export const REPOSITORY = 'bench/image';
const EMBEDDED = fileURLToPath(new URL('registry-process.ts', import.meta.url));

/** Debian's docker-registry over a filesystem laid out as its own pushes leave it; on loopback, or behind a line. */
export async function startDockerRegistry(dir: string, layers: readonly Layer[], line: Line | null): Promise<BenchRegistry> {
  const root = join(dir, 'registry');
  for (const { seed, lengthBytes, digest } of layers) {
    const hex = digest.slice('sha256:'.length);
    const blobDir = join(root, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex);
    const linkDir = join(root, 'docker/registry/v2/repositories', REPOSITORY, '_layers/sha256', hex);
    await Promise.all([blobDir, linkDir].map((path) => mkdir(path, { recursive: true })));
    const file = await open(join(blobDir, 'data'), 'w');
    for (const piece of layerPieces(seed, lengthBytes)) await file.writeFile(piece);
    await file.close();
    await writeFile(join(linkDir, 'link'), digest);
  }
  const port = await freePort();
  const host = line?.host ?? '127.0.0.1';
  const command = ['docker-registry', 'serve', join(dir, 'registry.json')];
  const config = join(dir, 'registry.json');
  await writeFile(config, JSON.stringify({ version: '0.1', log: { level: 'error', accesslog: { disabled: true } }, storage: { filesystem: { rootdirectory: root } }, http: { addr: `${host}:${port}` } }));
  const server = new PinnedProcess(null, line?.wrap(command) ?? command);
  await server.listening(port, host);
  return { url: `http://${host}:${port}`, process: server };
}

/** The registry of `shoal up` (lib/demo/registry.ts), with the layers in its memory, behind tokens. */
export async function startEmbeddedRegistry(layers: readonly Layer[]): Promise<BenchRegistry> {
  const server = new PinnedProcess(null, [process.execPath, EMBEDDED, REPOSITORY, JSON.stringify(layers)]);
  const { url, authorization } = JSON.parse(await server.line()) as { url: string; authorization: string };
  return { url, authorization, process: server };
}
