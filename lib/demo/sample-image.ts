import { createCipheriv, createHash } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

/** A blob of the sample image, whole, in memory. */
export interface SampleBlob {
  digest: string;
  mediaType: string;
  bytes: Buffer;
}

export interface SampleImage {
  repository: string;
  tag: string;
  manifest: SampleBlob;
  /** The config, then the layers. */
  blobs: SampleBlob[];
}

const MIB = 1024 * 1024;
/**
 * Uneven on purpose, as layers are: 106 MiB, so that a pull takes seconds where two cores do the
 * work of all nodes.
 */
const SAMPLE_LAYER_BYTES: readonly number[] = [48 * MIB, 32 * MIB, 16 * MIB, 8 * MIB, 2 * MIB];
/** Files in a layer are at most this long: a layer is a directory of files, not one. */
const FILE_BYTES_MAX = 16 * MIB;

/**
 * Makes a linux/amd64 OCI image (image-spec 1.1) of gzip'd tar layers whose content does not
 * compress: the key stream of AES-CTR under a key from `seed`, so that a seed always gives the same
 * digests.
 */
export async function makeSampleImage(
  seed = 'shoal',
  layerBytes: readonly number[] = SAMPLE_LAYER_BYTES,
): Promise<SampleImage> {
  const layers = await Promise.all(layerBytes.map((bytes, index) => makeLayer(seed, index, bytes)));
  const config = jsonBlob('application/vnd.oci.image.config.v1+json', {
    architecture: 'amd64',
    os: 'linux',
    config: {
      Cmd: ['/bin/true'],
      Labels: { 'org.opencontainers.image.title': 'Shoal sample image' },
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((_, index) => ({ created_by: `sample layer ${index}` })),
  });
  const manifest = jsonBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor(config),
    layers: layers.map((layer) => descriptor(layer.blob)),
  });
  return {
    repository: 'shoal/sample',
    tag: 'latest',
    manifest,
    blobs: [config, ...layers.map((layer) => layer.blob)],
  };
}

/** One layer and the digest of its tar before compression, which the config names. */
async function makeLayer(
  seed: string,
  index: number,
  contentBytes: number,
): Promise<{ blob: SampleBlob; diffId: string }> {
  const key = createHash('sha256').update(`${seed}/layer/${index}`).digest();
  const content = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const tar = pack();
  const fill = (async () => {
    for (let at = 0, file = 0; at < contentBytes; at += FILE_BYTES_MAX, file++) {
      const bytes = content.update(Buffer.alloc(Math.min(FILE_BYTES_MAX, contentBytes - at)));
      await new Promise<void>((give, fail) => {
        const header = {
          name: `opt/sample/layer-${index}/part-${file}.bin`,
          mtime: new Date(0),
          mode: 0o644,
        };
        tar.entry(header, bytes, (error) => (error ? fail(error) : give()));
      });
    }
    tar.finalize();
  })();
  const diff = createHash('sha256');
  const digest = createHash('sha256');
  const parts: Buffer[] = [];
  const taken = new PassThrough();
  taken.on('data', (part: Buffer) => {
    digest.update(part);
    parts.push(part);
  });
  const hashed = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const part of source) {
      diff.update(part);
      yield part;
    }
  };
  // Level 0: what cannot be compressed need not be tried.
  await Promise.all([
    fill,
    pipeline(
      tar as unknown as AsyncIterable<Buffer>,
      hashed,
      createGzip({ level: 0, chunkSize: MIB }),
      taken,
    ),
  ]);
  return {
    blob: {
      digest: `sha256:${digest.digest('hex')}`,
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      bytes: Buffer.concat(parts),
    },
    diffId: `sha256:${diff.digest('hex')}`,
  };
}

function jsonBlob(mediaType: string, value: unknown): SampleBlob {
  const bytes = Buffer.from(JSON.stringify(value));
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, mediaType, bytes };
}

function descriptor(blob: SampleBlob): { mediaType: string; digest: string; size: number } {
  return { mediaType: blob.mediaType, digest: blob.digest, size: blob.bytes.length };
}
