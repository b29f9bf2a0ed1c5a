import assert from 'node:assert/strict';
import { CacheStore } from '../../lib/cache/store.ts';
import { ManualClock } from '../../lib/clock.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { FakeDisk, checksumOfContent } from './fake-disk.ts';
import { randomFrom } from './random.ts';

const SLOTS = 3;
const ENTRIES = 40;
const SHARDS = 4;
/** Sizes of the blobs: small ones that share slots, one of whole shards, one with a tail. */
const BLOBS = [3000, 20_000, 20_000, 90_000, 600_000, SHARDS * SHARD_BYTES, SHARD_BYTES + 50_000];
const SEEDS = 150;

function open(disk: FakeDisk): CacheStore {
  const log = { info: () => undefined, warn: () => undefined };
  const table = disk.table(ENTRIES);
  return CacheStore.open({
    slotCount: SLOTS,
    entryCount: ENTRIES,
    table,
    io: disk,
    clock: new ManualClock(),
    log,
  });
}

interface World {
  disk: FakeDisk;
  store: CacheStore;
  /** Every content ever given to a blob's shard, by "blob/shard". */
  given: Map<string, Set<string>>;
  /** What a save has been answered `stored` for, with its content. */
  answered: Map<string, string>;
}

/**
 * Saves, loads and drops at random, each operation reaching the disk piece by piece and out of
 * order.
 */
async function live(random: () => number, disk: FakeDisk, given: World['given']): Promise<World> {
  const store = open(disk);
  disk.stepwise = true;
  const pick = (below: number): number => Math.floor(random() * below);
  const steps = 60 + pick(150);
  const answered: World['answered'] = new Map();
  let slot = 0;
  for (let step = 0; step < steps; step++) {
    const blob = pick(BLOBS.length);
    const totalBytes = BLOBS[blob]!;
    const shard = pick(Math.ceil(totalBytes / SHARD_BYTES));
    const dice = random();
    if (dice < 0.25) {
      // Content of a blob changes now and then, as a tag's does.
      const content = `${blob}/${shard}/${pick(2)}`;
      const contents = given.get(`${blob}/${shard}`) ?? new Set();
      given.set(`${blob}/${shard}`, contents.add(content));
      disk.slots.set(++slot, { generation: 1, content });
      const lengthBytes = Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
      const known = store.has(`blob ${blob}`, shard);
      const fresh =
        known === undefined || Buffer.compare(known.checksum, checksumOfContent(content)) !== 0;
      if (fresh) answered.delete(`${blob}/${shard}`);
      const saving = store.save(`blob ${blob}`, shard, slot, 1, {
        lengthBytes,
        totalBytes,
        checksum: checksumOfContent(content),
      });
      void saving.then(
        (answer) => answer === 'stored' && fresh && answered.set(`${blob}/${shard}`, content),
      );
    } else if (dice < 0.3) {
      void store.load(`blob ${blob}`, shard, ++slot);
    } else if (dice < 0.31) {
      store.drop(`blob ${blob}`);
    } else {
      for (let piece = 0; piece < 1 + pick(200); piece++) await disk.advance(random);
    }
  }
  return { disk, store, given, answered };
}

/**
 * Reads everything there could be; what is read must be whole, and what it is said to be. Returns
 * what was found.
 */
async function readAll(
  disk: FakeDisk,
  store: CacheStore,
  given: World['given'],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [blob, totalBytes] of BLOBS.entries()) {
    for (let shard = 0; shard < Math.ceil(totalBytes / SHARD_BYTES); shard++) {
      const promised = store.has(`blob ${blob}`, shard);
      if ((await store.load(`blob ${blob}`, shard, 0)) === 'miss') continue;
      const { content } = disk.slots.get(0)!;
      assert.ok(
        given.get(`${blob}/${shard}`)?.has(content),
        `blob ${blob} shard ${shard} reads as ${content}`,
      );
      assert.equal(Buffer.compare(promised!.checksum, checksumOfContent(content)), 0);
      found.set(`${blob}/${shard}`, content);
    }
  }
  assert.ok(store.stats().usedBytes <= SLOTS * SHARD_BYTES);
  return found;
}

describe('cache, crashing', () => {
  it(`loses nothing stored when it is killed at any of ${SEEDS} random moments`, async () => {
    let survived = 0;
    let owed = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = randomFrom(seed);
      const { disk, store, given, answered } = await live(random, new FakeDisk(), new Map());
      const after = disk.survivor((held) => held - 1);
      const found = await readAll(after, open(after), given);
      survived += found.size;
      for (const [place, content] of answered) {
        const [blob, shard] = place.split('/');
        const known = store.has(`blob ${blob}`, Number(shard));
        // Evicted, dropped or replaced meanwhile: rightly gone.
        if (known === undefined || Buffer.compare(known.checksum, checksumOfContent(content)) !== 0)
          continue;
        assert.equal(found.get(place), content, `seed ${seed}`);
        owed++;
      }
    }
    assert.ok(owed > 1.5 * SEEDS, `only ${owed} shards were owed: the test tests nothing`);
    assert.ok(survived > SEEDS, `only ${survived} shards survived: the test tests nothing`);
  });

  it('keeps every shard stored before the last operations, whatever they were', async () => {
    let total = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = randomFrom(10_000 + seed);
      const { disk, store, given } = await live(random, new FakeDisk(), new Map());
      await disk.finish();
      disk.stepwise = false;
      const stored = [...(await readAll(disk, store, given))].sort();
      const after = disk.survivor((held) => held - 1);
      total += stored.length;
      assert.deepEqual(
        [...(await readAll(after, open(after), given))].sort(),
        stored,
        `seed ${seed}`,
      );
    }
    assert.ok(total > 2 * SEEDS, `only ${total} shards were stored: the test tests nothing`);
  });

  it(`serves no wrong byte after a machine loses power twice, ${SEEDS} times`, async () => {
    // Pages and headers reach the disk in any order.
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = randomFrom(20_000 + seed);
      const given: World['given'] = new Map();
      const { disk } = await live(random, new FakeDisk(), given);
      // Each page and each header is as old as it likes: nothing was ever synced.
      const first = disk.survivor((held) => Math.floor(random() * (held + 1)) - 1);
      await readAll(first, open(first), given);
      const second = await live(
        random,
        disk.survivor((held) => Math.floor(random() * (held + 1)) - 1),
        given,
      );
      const last = second.disk.survivor((held) => Math.floor(random() * (held + 1)) - 1);
      await readAll(last, open(last), given);
    }
  });
});
