import assert from 'node:assert/strict';
import { SlotSource, SlotState } from '../../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import {
  CHECKSUM,
  KEY,
  Listener,
  OPTIONS,
  loaderFixture,
  settled,
  type FakeRuntime,
  type LoaderFixture,
} from '../fixture.ts';

const TOTAL_BYTES = 4 * SHARD_BYTES;
const STORED = {
  lengthBytes: SHARD_BYTES,
  totalBytes: TOTAL_BYTES,
  checksum: Buffer.from(CHECKSUM, 'hex'),
};

describe("control/loader with the runtime's store", () => {
  /** Shards that the runtime has, and how a read of them ends. */
  const held = new Map<number, 'ok' | 'miss'>();
  const dropped: string[] = [];
  const wanted: string[] = [];
  let kept: PromiseWithResolvers<boolean>;
  let at: LoaderFixture;

  beforeEach(() => {
    held.clear();
    dropped.length = wanted.length = 0;
    kept = Promise.withResolvers();
    const runtime: FakeRuntime = {
      has: (_, shard) => (held.has(shard) ? STORED : undefined),
      load: (_, shard) => Promise.resolve(held.get(shard) ?? 'miss'),
      keeps: () => kept.promise,
      shardsOf: () => ({ count: held.size, has: (shard) => held.has(shard) }),
      totalOf: () => (held.size > 0 ? TOTAL_BYTES : undefined),
      wanted: (key) => void wanted.push(key),
      drop: (key) => void dropped.push(key),
    };
    at = loaderFixture({ disk: true, runtime });
  });

  it('reads from the runtime before the cache, and asks nobody else', async () => {
    held.set(0, 'ok');
    at.store.put(KEY, 0, TOTAL_BYTES);
    const reader = new Listener();
    const { slot } = at.loader.want(KEY, 0, OPTIONS, reader);
    await settled();
    assert.deepEqual([at.looked, at.fills.length, at.store.loads.length], [['runtime'], 0, 0]);
    const resident = at.loader.find(KEY, 0)!;
    assert.equal(at.arena.source(resident.slot), SlotSource.runtime);
    assert.deepEqual([reader.places.length, at.loader.has(KEY, 0), slot], [1, true, -1]);
    assert.equal(at.loader.stored(KEY, 0)?.checksum, CHECKSUM);
  });

  it('asks the cache, then the swarm after a miss, and places nobody twice', async () => {
    held.set(0, 'miss').set(1, 'miss');
    at.store.put(KEY, 0, TOTAL_BYTES);
    const [first, second] = [new Listener(), new Listener()];
    at.loader.want(KEY, 0, OPTIONS, first);
    at.loader.want(KEY, 1, OPTIONS, second);
    await settled();
    at.store.loads[0]!.end('ok');
    await settled();
    assert.deepEqual([first.places.length, second.places.length], [1, 1]);
    assert.deepEqual(
      at.fills.map(({ resident }) => resident.shard),
      [1],
    );
    assert.deepEqual(wanted, [KEY]);
  });

  for (const isKept of [true, false]) {
    it(`holds a shard until the runtime ${isKept ? 'has it' : 'refuses it'}`, async () => {
      at.loader.want(KEY, 0, OPTIONS, new Listener());
      await settled();
      await at.deliver(0, TOTAL_BYTES);
      const { slot } = at.fills[0]!.resident;
      assert.deepEqual([at.arena.state(slot), at.store.saves.length], [SlotState.filling, 0]);
      kept.resolve(isKept);
      await settled();
      assert.deepEqual(at.spared, isKept ? [SHARD_BYTES] : []);
      assert.equal(at.store.saves.length, isKept ? 0 : 1);
      if (isKept) assert.equal(at.arena.state(slot), SlotState.complete);
    });
  }

  it('writes a manifest to the cache whatever the runtime keeps', async () => {
    kept.resolve(true);
    at.loader.put(KEY, Buffer.from('{}'), CHECKSUM);
    await settled();
    assert.equal(at.store.saves.length, 1);
  });

  it('counts each shard once that is here, wherever it is', () => {
    for (const shard of [0, 1]) held.set(shard, 'ok');
    assert.equal(at.loader.countOf(KEY), 2);
    for (const shard of [1, 2]) at.store.put(KEY, shard, TOTAL_BYTES);
    assert.equal(at.loader.countOf(KEY), 3);
    at.loader.purge(KEY);
    assert.deepEqual(dropped, [KEY]);
  });
});
