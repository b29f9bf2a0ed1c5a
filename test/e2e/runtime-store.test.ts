import assert from 'node:assert/strict';
import { chmod, readdir, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { needs } from '../programs.ts';
import { noise } from './image.ts';
import type { ShoalNode } from './node.ts';
import {
  modernContainerd,
  StoreSwarm,
  writtenBytes,
  type PushedImage,
} from './runtime-store-swarm.ts';

const MIB = 1024 * 1024;
/** The image of the first test: SHOAL_STORE_IMAGE_MIB=1024 runs it at full size. */
const FULL_MIB = Number(process.env['SHOAL_STORE_IMAGE_MIB'] ?? 37);
const LAYER_SHARES = [0.54, 0.24, 0.14, 0.05, 0.03];
const LAYERS_BYTES = LAYER_SHARES.map((share) => Math.round(37 * share) * MIB);

/** The root user without the right to pass over permissions. */
const WITHOUT_OVERRIDE = [
  'setpriv',
  '--bounding-set=-dac_override,-dac_read_search',
  '--inh-caps=-dac_override,-dac_read_search',
];

for (const version of ['1.6', '2.x'] as const)
  describe(`e2e: the content store of containerd ${version}`, function () {
    this.timeout(FULL_MIB > 100 ? 900_000 : 180_000);
    let swarm: StoreSwarm;

    before(async function () {
      needs(this, 'docker-registry', 'skopeo', 'containerd', 'ctr', 'runc', 'setpriv');
      const modern = version === '1.6' ? undefined : modernContainerd(this);
      swarm = await StoreSwarm.start(modern);
    });
    beforeEach(() => swarm.begin(2));
    afterEach(() => swarm.end());
    after(() => swarm?.stop());

    for (const setting of ['the store', 'off'] as const) {
      it(`${setting}: what the agent writes during a pull, and a second node`, async () => {
        const image = await swarm.image(LAYER_SHARES.map((share) => FULL_MIB * share * MIB));
        const capacity = (128 + 2 * FULL_MIB) * MIB;
        const own = setting === 'off' ? { runtimeStore: 'off' } : {};
        const first = await swarm.node(0, { capacity, ...own });
        await swarm.node(1, { capacity });
        const beforeBytes = await writtenBytes(first);
        const beganMs = performance.now();
        await swarm.pull(0, image);
        const tookSeconds = (performance.now() - beganMs) / 1000;
        const share = ((await writtenBytes(first)) - beforeBytes) / image.blobBytes;
        if (FULL_MIB > 100)
          console.log(
            `      ${(image.blobBytes / 1e6).toFixed(0)} MB in ${tookSeconds.toFixed(1)} s; ` +
              `the agent wrote ${(share * 100).toFixed(2)} %`,
          );
        if (setting === 'off') assert.ok(share >= 0.9, `wrote ${share} of the image`);
        // In a small image, the first shards, of which the runtime has no file yet, weigh more.
        else assert.ok(share <= (FULL_MIB > 100 ? 0.05 : 0.15), `wrote ${share} of the image`);
        swarm.counting.reset();
        await swarm.pull(1, image);
        assert.equal(swarm.originBytes(image), 0, 'the second node reads no layer elsewhere');
      });
    }

    it('a second node reads from the ingest of a first that is still pulling', async () => {
      const image = await swarm.image(LAYERS_BYTES);
      await swarm.node(0, { memory: 32 * MIB });
      await swarm.node(1, { memory: 32 * MIB });
      const brake = swarm.counting.brake(12 * SHARD_BYTES);
      const first = swarm.pull(0, image);
      await brake.reached;
      const second = swarm.pull(1, image);
      brake.release();
      await Promise.all([first, second]);
      const originBytes = swarm.originBytes(image);
      assert.ok(originBytes <= image.blobBytes * 1.01, `${originBytes} from the registry`);
    });

    it('a restarted agent serves what containerd has once it is verified', async () => {
      const image = await swarm.image(LAYERS_BYTES);
      await swarm.node(0);
      await swarm.node(1);
      await swarm.pull(0, image);
      await swarm.stopNode(0, 'kill');
      await swarm.node(0);
      await swarm.status(0, (at) => at.unverified === 0 && at.blobs >= image.layers.length);
      swarm.counting.reset();
      await swarm.pull(1, image);
      assert.equal(swarm.originBytes(image), 0);
    });

    it('a node killed during a pull serves what containerd had by then', async () => {
      const image = await swarm.image(LAYERS_BYTES);
      await swarm.node(0);
      // All but the last shards of the largest layer can pass.
      const brake = swarm.counting.brake(image.blobBytes - 2 * SHARD_BYTES);
      const broken = swarm.pull(0, image);
      await brake.reached;
      await swarm.committed(0, image, 1);
      // A pull that fails drops what it had; one that is killed does not.
      const failed = assert.rejects(broken);
      await swarm.runtimes[0]!.daemon.stop('SIGKILL');
      await swarm.stopNode(0, 'kill');
      brake.release();
      await failed;
      const had = new Set(await readdir(join(swarm.contentDir(0), 'blobs/sha256')));
      await swarm.node(0);
      await swarm.node(1);
      await swarm.offered(0, had.size);
      swarm.counting.reset();
      await swarm.pull(1, image);
      const kept = image.layers.filter(({ digest }) => had.has(digest.slice('sha256:'.length)));
      assert.ok(kept.length > 0);
      assert.equal(swarm.originBytes({ ...image, layers: kept }), 0);
    });

    it('caches layers once it has seen the runtime drop them', async () => {
      const first = await swarm.node(0);
      await swarm.node(1);
      const drop = (image: PushedImage): Promise<void> =>
        swarm.runtimes[0]!.discardLayers(
          image.reference,
          image.manifest.digest,
          image.layers.length,
        );
      const before = await swarm.image(LAYERS_BYTES);
      await swarm.pull(0, before);
      await drop(before);
      await swarm.status(0, (at) => at.dropsLayers);
      await swarm.pull(1, before);
      const after = await swarm.image(LAYERS_BYTES);
      await swarm.pull(0, after);
      await drop(after);
      swarm.counting.reset();
      await swarm.pull(1, after);
      assert.equal(swarm.originBytes(after), 0, 'they are in the cache');
      assert.equal(linesWith(first, 'drops layers'), 1);
    });

    it('no pull fails while images are removed and collected under load', async () => {
      const images = [await swarm.image(LAYERS_BYTES), await swarm.image(LAYERS_BYTES)];
      await swarm.node(0, { memory: 16 * MIB });
      await swarm.node(1, { memory: 16 * MIB });
      for (const image of images) await swarm.pull(0, image);
      const removed = images.map(({ reference }) => swarm.runtimes[0]!.remove(reference));
      await Promise.all([...images.map((image) => swarm.pull(1, image)), ...removed]);
      await swarm.pull(0, images[0]!);
    });

    /** What happens to the first node's store before a second node pulls, and what it says of it. */
    const harms: [what: string, harm: (image: PushedImage) => Promise<void>, says: string][] = [
      ['its image is removed', ({ reference }) => swarm.runtimes[0]!.remove(reference), ''],
      [
        'its files are cut short',
        async ({ layers }) => {
          for (const { digest, size } of layers)
            await truncate(swarm.blobPath(0, digest), Math.floor(size / 2));
        },
        '',
      ],
      [
        'its files hold other bytes of the same length',
        async ({ layers }) => {
          for (const [at, { digest, size }] of layers.entries())
            await writeFile(swarm.blobPath(0, digest), noise(size, 900 + at));
        },
        '',
      ],
      [
        'it is not mounted any more',
        () => rename(swarm.contentDir(0), `${swarm.contentDir(0)}.away`),
        "cannot read the container runtime's content store",
      ],
      [
        'it may not be read any more',
        () => chmod(swarm.contentDir(0), 0),
        "cannot read the container runtime's content store",
      ],
    ];

    // What a node makes of its files does not depend on who wrote them.
    for (const [what, harm, says] of version === '1.6' ? harms : []) {
      it(`no byte is wrong and no pull fails when ${what}`, async () => {
        const image = await swarm.image(LAYERS_BYTES);
        // Memory for a few shards: most have to be read from the store.
        const memory = 16 * MIB;
        const first = await swarm.node(0, { memory }, { through: WITHOUT_OVERRIDE });
        await swarm.node(1, { memory });
        await swarm.pull(0, image);
        for (const { digest } of image.layers) await chmod(swarm.blobPath(0, digest), 0o644);
        await harm(image);
        await swarm.pull(1, image);
        if (says === '') {
          for (const { digest } of image.layers)
            // Two reads that find it at the same time may both say so.
            assert.ok(linesWith(first, digest, 'content store') <= 2, `said often: ${digest}`);
        } else {
          await swarm.status(0, ({ state }) => state === 'unreadable');
          assert.equal(linesWith(first, says), 1);
        }
      });
    }
  });

/** Lines of a node's log that contain all of `texts`. */
function linesWith(node: ShoalNode, ...texts: string[]): number {
  return node.daemon.output.split('\n').filter((line) => texts.every((text) => line.includes(text)))
    .length;
}
