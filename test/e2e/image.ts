import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

const TAG = 'test';

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/** An image in an OCI layout directory: `oci:<dir>:<tag>` to skopeo. */
export interface TestImage {
  dir: string;
  tag: string;
  manifest: Descriptor;
  config: Descriptor;
  layers: Descriptor[];
  /** Config and layers: what a pull fetches besides the manifest. */
  blobBytes: number;
}

/** Bytes that no compression makes smaller, the same for the same seed. */
export function noise(lengthBytes: number, seed: number): Buffer {
  const cipher = createCipheriv(
    'aes-128-ctr',
    createHash('md5').update(String(seed)).digest(),
    Buffer.alloc(16),
  );
  return cipher.update(Buffer.alloc(lengthBytes));
}

/** Makes an image whose layers have about the given sizes; differing seeds share no layer. */
export async function makeImage(
  dir: string,
  layerSizesBytes: readonly number[],
  seed = 1,
  architecture = 'amd64',
): Promise<TestImage> {
  await mkdir(join(dir, 'blobs/sha256'), { recursive: true });
  const layers: Descriptor[] = [];
  const diffIds: string[] = [];
  for (const [index, sizeBytes] of layerSizesBytes.entries()) {
    const tar = await tarOf(`layer-${index}.bin`, noise(sizeBytes, seed * 1_000 + index));
    diffIds.push(digestOf(tar));
    layers.push(
      await store(dir, 'application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar, { level: 0 })),
    );
  }
  const config = await store(
    dir,
    'application/vnd.oci.image.config.v1+json',
    json({ architecture, os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }),
  );
  const manifest = await store(
    dir,
    'application/vnd.oci.image.manifest.v1+json',
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers,
    }),
  );
  await name(dir, manifest);
  return {
    dir,
    tag: TAG,
    manifest,
    config,
    layers,
    blobBytes: [config, ...layers].reduce((sum, { size }) => sum + size, 0),
  };
}

/** An image for several architectures. */
interface TestIndex {
  dir: string;
  tag: string;
  index: Descriptor;
  images: Record<string, TestImage>;
}

/** Makes an image for each of `architectures`, and the index that names them. */
export async function makeIndex(
  dir: string,
  architectures: readonly string[],
  layerSizesBytes: readonly number[],
  seed = 1,
): Promise<TestIndex> {
  const images: Record<string, TestImage> = {};
  for (const [at, architecture] of architectures.entries())
    images[architecture] = await makeImage(dir, layerSizesBytes, seed + at, architecture);
  const manifests = Object.entries(images).map(([architecture, { manifest }]) => ({
    ...manifest,
    platform: { os: 'linux', architecture },
  }));
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = await store(dir, mediaType, json({ schemaVersion: 2, mediaType, manifests }));
  await name(dir, index);
  return { dir, tag: TAG, index, images };
}

/** The layout's tag leads to `target`. */
async function name(dir: string, target: Descriptor): Promise<void> {
  await writeFile(join(dir, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  await writeFile(
    join(dir, 'index.json'),
    json({
      schemaVersion: 2,
      manifests: [{ ...target, annotations: { 'org.opencontainers.image.ref.name': TAG } }],
    }),
  );
}

async function store(dir: string, mediaType: string, bytes: Buffer): Promise<Descriptor> {
  const digest = digestOf(bytes);
  await writeFile(join(dir, 'blobs/sha256', digest.slice('sha256:'.length)), bytes);
  return { mediaType, digest, size: bytes.length };
}

async function tarOf(name: string, bytes: Buffer): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name, mtime: new Date(0) }, bytes);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
