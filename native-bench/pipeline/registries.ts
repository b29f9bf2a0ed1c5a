import { createHash } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PinnedProcess } from '../vs/pinned-process.ts';
import { freePort } from '../vs/rivals.ts';
import type { Line } from './line.ts';
import { layerPieces, type Layer } from './layers.ts';

/** A registry in a process of its own, which holds layers in `REPOSITORY`. */
interface BenchRegistry {
  url: string;
  authorization?: string;
  process: PinnedProcess;
}

export const REPOSITORY = 'bench/image';
/** Under which all layers but those that only warm are one image, in docker-registry. */
export const TAG = 'latest';
const EMBEDDED = fileURLToPath(new URL('registry-process.ts', import.meta.url));

/**
 * Debian's docker-registry over a filesystem laid out as its own pushes leave it; on loopback, or
 * behind a line. `image`'s layers make one, `REPOSITORY:TAG`.
 */
export async function startDockerRegistry(
  dir: string,
  warm: Layer,
  image: readonly Layer[],
  line: Line | null,
): Promise<BenchRegistry> {
  const root = join(dir, 'registry');
  for (const { seed, lengthBytes, digest } of [warm, ...image]) {
    await writeBlob(root, digest, layerPieces(seed, lengthBytes));
    await writeLink(root, `_layers/${folderOf(digest)}`, digest);
  }
  await writeImage(root, image);
  const port = await freePort();
  const host = line?.host ?? '127.0.0.1';
  const command = ['docker-registry', 'serve', join(dir, 'registry.json')];
  const config = join(dir, 'registry.json');
  await writeFile(
    config,
    JSON.stringify({
      version: '0.1',
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: root } },
      http: { addr: `${host}:${port}` },
    }),
  );
  const server = new PinnedProcess(null, line?.wrap(command) ?? command);
  await server.listening(port, host);
  return { url: `http://${host}:${port}`, process: server };
}

/** An image of `layers`, with the config and the manifest that a runtime asks for. */
async function writeImage(root: string, layers: readonly Layer[]): Promise<void> {
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.length,
    },
    layers: layers.map(({ digest, lengthBytes }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest,
      size: lengthBytes,
    })),
  });
  for (const text of [config, manifest]) await writeBlob(root, digestOf(text), [Buffer.from(text)]);
  await writeLink(root, `_layers/${folderOf(digestOf(config))}`, digestOf(config));
  const revision = digestOf(manifest);
  for (const place of [
    `revisions/${folderOf(revision)}`,
    `tags/${TAG}/current`,
    `tags/${TAG}/index/${folderOf(revision)}`,
  ])
    await writeLink(root, `_manifests/${place}`, revision);
}

async function writeBlob(root: string, digest: string, pieces: Iterable<Buffer>): Promise<void> {
  const [, hex = ''] = digest.split(':');
  const blobDir = join(root, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex);
  await mkdir(blobDir, { recursive: true });
  const file = await open(join(blobDir, 'data'), 'w');
  for (const piece of pieces) await file.writeFile(piece);
  await file.close();
}

async function writeLink(root: string, place: string, digest: string): Promise<void> {
  const linkDir = join(root, 'docker/registry/v2/repositories', REPOSITORY, place);
  await mkdir(linkDir, { recursive: true });
  await writeFile(join(linkDir, 'link'), digest);
}

function folderOf(digest: string): string {
  return digest.replace(':', '/');
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/**
 * The registry of `shoal up` (lib/demo/registry.ts), with the layers in its memory, behind tokens.
 */
export async function startEmbeddedRegistry(layers: readonly Layer[]): Promise<BenchRegistry> {
  const server = new PinnedProcess(null, [
    process.execPath,
    EMBEDDED,
    REPOSITORY,
    JSON.stringify(layers),
  ]);
  const { url, authorization } = JSON.parse(await server.line()) as {
    url: string;
    authorization: string;
  };
  return { url, authorization, process: server };
}
