import assert from 'node:assert/strict';
import { chmod, mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { needs } from '../programs.ts';
import { until } from '../telemetry/until.ts';
import { noise } from './image.ts';
import type { ShoalNode } from './node.ts';
import {
  modernContainerd,
  StoreSwarm,
  writtenBytes,
  type PushedImage,
} from './runtime-store-swarm.ts';

const MIB = 1024 * 1024;
/**
 * The image of the tests that measure. The long form has this size, and every case with both
 * containerds:
 * `SHOAL_STORE_IMAGE_MIB=1024 npm test -- test/e2e/runtime-store.test.ts`.
 */
const FULL_MIB = Number(process.env['SHOAL_STORE_IMAGE_MIB'] ?? 37);
const IS_LONG = FULL_MIB > 100;
const FULL_LAYERS_BYTES = [0.54, 0.24, 0.14, 0.05, 0.03].map((share) => FULL_MIB * share * MIB);
const CAPACITY = (128 + 2 * FULL_MIB) * MIB;
/** More than the memory of the nodes that have little. */
const LAYERS_BYTES = [14, 6, 2, 1].map((mib) => mib * MIB);
/**
 * Of the shards that pass before a second node begins, at least half must leave the little memory:
 * which of them the second node reads from the first depends on the nodes' ports.
 */
const INGEST_LAYERS_BYTES = [30, 6, 2, 1].map((mib) => mib * MIB);
const INGEST_PASSES_SHARDS = 16;
const LITTLE_MEMORY = { memory: 16 * MIB };
const INGEST_MEMORY = IS_LONG ? { memory: 32 * MIB } : LITTLE_MEMORY;

/** The root user without the right to pass over permissions. */
const WITHOUT_OVERRIDE = [
  'setpriv',
  '--bounding-set=-dac_override,-dac_read_search',
  '--inh-caps=-dac_override,-dac_read_search',
];

for (const version of ['1.6', '2.x'] as const)
  describe(`e2e: the content store of containerd ${version}`, function () {
    this.timeout(IS_LONG ? 900_000 : 120_000);
    let swarm: StoreSwarm;

    before(async function () {
      needs(this, 'docker-registry', 'skopeo', 'containerd', 'ctr', 'runc', 'setpriv');
      const modern = version === '1.6' ? undefined : modernContainerd(this);
      swarm = await StoreSwarm.start(modern);
      await swarm.begin(2);
    });
    afterEach(() => void (swarm.counting.disturb = () => null));
    after(async () => {
      await swarm?.end();
      await swarm?.stop();
    });
    /** What a node makes of files does not depend on who wrote them: such cases run once. */
    const once = version === '1.6' || IS_LONG ? it : (): void => undefined;

    /**
     * A pull through node 0 writes as much as `isRight` wants; node 1 gets all of it from node 0.
     */
    const pullTwice = async (isRight: (share: number) => boolean): Promise<void> => {
      const image = await swarm.image(FULL_LAYERS_BYTES);
      const first = swarm.nodes[0]!;
      const beforeBytes = await writtenBytes(first);
      const beganMs = performance.now();
      await swarm.pull(0, image);
      const tookSeconds = (performance.now() - beganMs) / 1000;
      const share = ((await writtenBytes(first)) - beforeBytes) / image.blobBytes;
      if (IS_LONG)
        console.log(
          `      ${(image.blobBytes / 1e6).toFixed(0)} MB in ${tookSeconds.toFixed(1)} s; ` +
            `the agent wrote ${(share * 100).toFixed(2)} %`,
        );
      assert.ok(isRight(share), `wrote ${share} of the image`);
      swarm.counting.reset();
      await swarm.pull(1, image);
      assert.equal(swarm.originBytes(image), 0, 'the second node reads no layer elsewhere');
    };

    describe('without the store', () => {
      before(() => swarm.pair({ capacity: CAPACITY, runtimeStore: 'off' }, { capacity: CAPACITY }));
      after(() => swarm.endNodes());

      once('a pull writes the image, and a second node reads it from the cache', () =>
        pullTwice((share) => share >= 0.9),
      );
    });

    describe('during a pull', () => {
      before(() => swarm.pair(INGEST_MEMORY, INGEST_MEMORY));
      after(() => swarm.endNodes());

      it('a second node reads from the ingest of a first that is still pulling', async () => {
        const image = await swarm.image(IS_LONG ? FULL_LAYERS_BYTES : INGEST_LAYERS_BYTES);
        const brake = swarm.counting.brake(INGEST_PASSES_SHARDS * SHARD_BYTES);
        const first = swarm.pull(0, image);
        await brake.reached;
        const second = swarm.pull(1, image);
        brake.release();
        await Promise.all([first, second]);
        const originBytes = swarm.originBytes(image);
        assert.ok(originBytes <= image.blobBytes * 1.01, `${originBytes} from the registry`);
        const servedBytes = await swarm.counter(0, 'shoal_served_bytes_total', 'tier="runtime"');
        assert.ok(servedBytes > 0, 'the first node has sent nothing from the store');
        await swarm.audited(0, `fileread[pathname=${swarm.contentDir(0)}/`);
      });
    });

    describe('with little memory', () => {
      const startFirst = (): Promise<ShoalNode> =>
        swarm.node(0, LITTLE_MEMORY, { through: WITHOUT_OVERRIDE });
      before(() => Promise.all([startFirst(), swarm.node(1, LITTLE_MEMORY)]));
      after(() => swarm.endNodes());

      /** What happens to the first node's files before a second node pulls. */
      const harms: [what: string, harm: (image: PushedImage) => Promise<unknown>][] = [
        [
          'has files cut short',
          ({ layers }) =>
            Promise.all(
              layers.map(({ digest, size }) =>
                truncate(swarm.blobPath(0, digest), Math.floor(size / 2)),
              ),
            ),
        ],
        [
          'has files with other bytes of the same length',
          ({ layers }) =>
            Promise.all(
              layers.map(({ digest, size }, at) =>
                writeFile(swarm.blobPath(0, digest), noise(size, 900 + at)),
              ),
            ),
        ],
        // Last, as a node takes it for a runtime that drops its layers.
        ['is removed', ({ reference }) => swarm.runtimes[0]!.remove(reference)],
      ];

      once(
        'no byte is wrong and no pull fails when files are removed, cut or replaced',
        async () => {
          const first = swarm.nodes[0]!;
          for (const [what, harm] of harms) {
            const image = await swarm.image(LAYERS_BYTES);
            await swarm.pull(0, image);
            for (const { digest } of image.layers) await chmod(swarm.blobPath(0, digest), 0o644);
            await harm(image);
            await swarm.pull(1, image);
            const lines = (): number[] =>
              image.layers.map(({ digest }) => linesWith(first, digest, 'content store'));
            // Where the second node needed nothing of them, the first one's next look finds it.
            await until(() => Math.max(...lines()) >= 1, `word of an image that ${what}`);
            // One for each change: a file that is found half written changes twice.
            assert.ok(Math.max(...lines()) <= 2, `an image that ${what}: ${lines()} lines`);
          }
        },
      );

      once('no pull fails while images are removed and collected under load', async () => {
        const images = [await swarm.image(LAYERS_BYTES), await swarm.image(LAYERS_BYTES)];
        for (const image of images) await swarm.pull(0, image);
        const removed = images.map(({ reference }) => swarm.runtimes[0]!.remove(reference));
        await Promise.all([...images.map((image) => swarm.pull(1, image)), ...removed]);
        await swarm.pull(0, images[0]!);
      });

      /** What happens to the whole store of the first node, and how it is undone. */
      const outages: [what: string, harm: () => Promise<void>, undo: () => Promise<void>][] = [
        [
          'is not mounted any more',
          // The mount point remains, as an empty folder.
          async () => {
            await rename(swarm.contentDir(0), `${swarm.contentDir(0)}.away`);
            await mkdir(swarm.contentDir(0));
          },
          async () => {
            await rm(swarm.contentDir(0), { recursive: true });
            await rename(`${swarm.contentDir(0)}.away`, swarm.contentDir(0));
          },
        ],
        [
          'may not be read any more',
          () => chmod(swarm.contentDir(0), 0),
          () => chmod(swarm.contentDir(0), 0o755),
        ],
      ];

      for (const [what, harm, undo] of outages) {
        once(`no byte is wrong and no pull fails when the store ${what}`, async () => {
          // A node that could not read its store, or takes it for one that drops layers, learns
          // better only later.
          await swarm.stopNode(0, 'stop');
          await startFirst();
          const image = await swarm.image(LAYERS_BYTES);
          await swarm.pull(0, image);
          await harm();
          try {
            await swarm.pull(1, image);
            await swarm.status(0, ({ state }) => state === 'unreadable');
          } finally {
            await undo();
          }
          const said = "cannot read the container runtime's content store";
          assert.equal(linesWith(swarm.nodes[0]!, said), 1);
          for (const { digest } of image.layers)
            assert.equal(linesWith(swarm.nodes[0]!, digest, 'content store'), 0);
        });
      }
    });

    describe('with memory', () => {
      before(() => swarm.pair({ capacity: CAPACITY }, { capacity: CAPACITY }));
      after(() => swarm.endNodes());

      it('a pull writes at most 5 % of the image, and a second node reads it from the store', () =>
        pullTwice((share) => share <= 0.05));

      once('a restarted agent serves what containerd has once it is verified', async () => {
        const image = await swarm.image(LAYERS_BYTES);
        await swarm.pull(0, image);
        await swarm.stopNode(0, 'kill');
        await swarm.node(0);
        const blobs = await swarm.intact(0);
        await swarm.status(0, (at) => at.unverified === 0 && at.blobs >= blobs.length);
        swarm.counting.reset();
        await swarm.pull(1, image);
        assert.equal(swarm.originBytes(image), 0);
      });

      once('caches layers once it has seen the runtime drop them', async () => {
        const first = swarm.nodes[0]!;
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

      // The last case: it ends the runtime.
      once('a node killed during a pull serves what containerd had by then', async () => {
        await swarm.endNodes();
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
        const had = new Set(await swarm.intact(0));
        await swarm.node(0);
        await swarm.node(1);
        await swarm.offered(0, had.size);
        swarm.counting.reset();
        await swarm.pull(1, image);
        const kept = image.layers.filter(({ digest }) => had.has(digest));
        assert.ok(kept.length > 0);
        assert.equal(swarm.originBytes({ ...image, layers: kept }), 0);
      });
    });
  });

/** Lines of a node's log that contain all of `texts`. */
function linesWith(node: ShoalNode, ...texts: string[]): number {
  return node.daemon.output.split('\n').filter((line) => texts.every((text) => line.includes(text)))
    .length;
}
