import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { deflateRawSync, gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import type { SampleImage } from '../../lib/demo/sample-image.ts';

const sha256 = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const FILE_BYTES = 16 * 1024 * 1024;

describe('the sample image', () => {
  let image: SampleImage;
  before(async () => {
    image = await makeSampleImage('a seed', [FILE_BYTES + 1_000, 5_000]);
  });

  it('names config and layers by their digests and sizes', () => {
    const { config, layers } = JSON.parse(image.manifest.bytes.toString()) as {
      config: object;
      layers: object[];
    };
    const described = image.blobs.map((blob) => ({
      mediaType: blob.mediaType,
      digest: sha256(blob.bytes),
      size: blob.bytes.length,
    }));
    assert.deepEqual([config, ...layers], described);
    assert.equal(sha256(image.manifest.bytes), image.manifest.digest);
  });

  it('has layers that unpack to the tars the config names', async () => {
    const [config, ...layers] = image.blobs;
    const { rootfs } = JSON.parse(config!.bytes.toString()) as { rootfs: { diff_ids: string[] } };
    assert.deepEqual(
      rootfs.diff_ids,
      layers.map((layer) => sha256(gunzipSync(layer.bytes))),
    );
    const files: [string, number][] = [];
    const tar = extract();
    tar.on('entry', ({ name, size }, stream, next) => {
      files.push([name, size]);
      stream.on('end', () => next()).resume();
    });
    await pipeline(Readable.from([gunzipSync(layers[0]!.bytes)]), tar);
    assert.deepEqual(files, [
      ['opt/sample/layer-0/part-0.bin', FILE_BYTES],
      ['opt/sample/layer-0/part-1.bin', 1_000],
    ]);
  });

  it('does not compress', () => {
    const bytes = image.blobs[1]!.bytes.subarray(1_000_000, 2_000_000);
    assert(deflateRawSync(bytes).length > 0.99 * bytes.length);
  });

  it('is the same for the same seed, and another for another', async () => {
    const again = await makeSampleImage('a seed', [FILE_BYTES + 1_000, 5_000]);
    assert.equal(again.manifest.digest, image.manifest.digest);
    const other = await makeSampleImage('another', [5_000]);
    assert.notEqual(other.blobs[1]!.digest, image.blobs[2]!.digest);
  });
});
