import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { CacheStore } from '../../lib/cache/store.ts';
import type { StoredShard } from '../../lib/cache/store.ts';
import { ManualClock } from '../../lib/clock.ts';
import { CACHE_IO_DEPTH, CACHE_RETRY_MS, CACHE_STALL_MS } from '../../lib/cache/limits.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { FakeDisk, checksumOfContent } from './fake-disk.ts';

const ENTRIES = 64;

interface Bench {
  disk: FakeDisk;
  clock: ManualClock;
  store: CacheStore;
  lines: string[];
  /** Puts a content into slot 0 and saves it as that shard. */
  save(
    key: string,
    shard: number,
    totalBytes: number,
    content?: string,
  ): Promise<'stored' | 'skipped'>;
  load(key: string, shard: number): Promise<string>;
}

function bench(
  disk = new FakeDisk(),
  slotCount = 4,
  checkReads: 'first' | 'always' = 'first',
): Bench {
  const lines: string[] = [];
  const say = (_: unknown, message: string): void => void lines.push(message);
  const clock = new ManualClock();
  const table = disk.table(ENTRIES);
  const store = CacheStore.open({
    slotCount,
    entryCount: ENTRIES,
    table,
    io: disk,
    clock,
    log: { info: say, warn: say },
    checkReads,
  });
  return {
    disk,
    clock,
    store,
    lines,
    save(key, shard, totalBytes, content = `${key}/${shard}`) {
      disk.slots.set(0, { generation: 1, content });
      return store.save(key, shard, 0, 1, shardOf(shard, totalBytes, content));
    },
    async load(key, shard) {
      return (await store.load(key, shard, 1)) === 'ok' ? disk.slots.get(1)!.content : 'miss';
    },
  };
}

function shardOf(shard: number, totalBytes: number, content: string): StoredShard {
  return {
    lengthBytes: Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES),
    totalBytes,
    checksum: checksumOfContent(content),
  };
}

describe('cache/store', () => {
  it('finds what it stored, by blob and shard, with sizes and checksum', async () => {
    const { store, save, load } = bench();
    assert.equal(await save('a', 1, SHARD_BYTES + 5), 'stored');
    assert.deepEqual(store.has('a', 1)!.lengthBytes, 5);
    assert.deepEqual(store.has('a', 1)!.totalBytes, SHARD_BYTES + 5);
    assert.equal(Buffer.compare(store.has('a', 1)!.checksum, checksumOfContent('a/1')), 0);
    assert.equal(store.totalOf('a'), SHARD_BYTES + 5);
    assert.equal(store.has('a', 0), undefined);
    assert.equal(store.totalOf('b'), undefined);
    assert.deepEqual(
      [
        store.shardsOf('a').count,
        store.shardsOf('a').has(1),
        store.shardsOf('a').has(0),
        store.shardsOf('b').count,
      ],
      [1, true, false, 0],
    );
    assert.equal(await load('a', 1), 'a/1');
    assert.equal(await load('a', 0), 'miss');
    assert.equal(store.stats().usedBytes, 4096);
  });

  it('writes the data first and the header after', async () => {
    const { disk, save } = bench();
    await save('a', 0, 100);
    assert.deepEqual(disk.log, ['write', 'header']);
  });

  it('serves what was stored after a restart, checked at its first read only', async () => {
    const before = bench();
    await before.save('a', 0, 100);
    const after = bench(before.disk.survivor((held) => held - 1));
    assert.equal(await after.load('a', 0), 'a/0');
    assert.equal(await after.load('a', 0), 'a/0');
    assert.deepEqual(after.disk.log, ['read checked', 'read unchecked']);
    assert.ok(after.lines.includes('cache recovered'));
  });

  it('checks every read when asked to', async () => {
    const { disk, save, load } = bench(new FakeDisk(), 4, 'always');
    await save('a', 0, 100);
    await load('a', 0);
    await load('a', 0);
    assert.deepEqual(disk.log.slice(2), ['read checked', 'read checked']);
  });

  it('drops a shard whose bytes are wrong, counts it, and keeps it dropped', async () => {
    const before = bench();
    await before.save('a', 0, 5000);
    const disk = before.disk.survivor((held) => held - 1);
    disk.pages.set(1, ['other#1']);
    const after = bench(disk);
    assert.ok(after.store.has('a', 0));
    assert.equal(await after.load('a', 0), 'miss');
    assert.equal(after.store.has('a', 0), undefined);
    assert.equal(after.store.stats().corrupt, 1);
    assert.equal(after.store.stats().usedBytes, 0);
    await after.store.close();
    assert.equal(bench(disk.survivor((held) => held - 1)).store.has('a', 0), undefined);
  });

  it('scrubs one shard after the other, and drops what no longer fits', async () => {
    const { disk, store, save } = bench();
    assert.equal(await store.scrub(1), 'idle', 'nothing is stored');
    for (const shard of [0, 1, 2]) await save('a', shard, 3 * SHARD_BYTES);
    const [, page] = [...disk.pages.keys()].filter((at) => at % (SHARD_BYTES / 4096) === 0);
    disk.pages.set(page!, ['rot#0']);
    const outcomes: string[] = [];
    for (let read = 0; read < 5; read++) outcomes.push(await store.scrub(1));
    assert.deepEqual(outcomes, ['ok', 'miss', 'ok', 'idle', 'ok'], 'then a new round');
    assert.equal(store.stats().corrupt, 1);
    assert.equal(store.stats().entries, 2);
  });

  it('does not scrub while the disk has other work', async () => {
    const { disk, store, save, load } = bench();
    await save('a', 0, 100);
    disk.stepwise = true;
    const reading = load('a', 0);
    assert.equal(await store.scrub(2), 'idle');
    await disk.finish();
    assert.equal(await reading, 'a/0');
  });

  it('forgets a dropped blob for good', async () => {
    const { disk, store, save } = bench();
    for (let shard = 0; shard < 3; shard++) await save('a', shard, 3 * SHARD_BYTES);
    await save('b', 0, 10);
    store.drop('a');
    await store.close();
    const { store: after } = bench(disk.survivor((held) => held - 1));
    assert.equal(after.totalOf('a'), undefined);
    assert.equal(after.totalOf('b'), 10);
    assert.equal(after.stats().usedBytes, 4096);
  });

  it('never uses more than its slots, and evicts the unused', async () => {
    const { store, save, load } = bench();
    for (let shard = 0; shard < 20; shard++) {
      assert.equal(await save('layer', shard, 20 * SHARD_BYTES), 'stored');
      assert.ok(store.stats().usedBytes <= 4 * SHARD_BYTES);
    }
    assert.equal(store.stats().evictions, 16);
    assert.equal(await load('layer', 19), 'layer/19');
    assert.equal(await load('layer', 0), 'miss');
  });

  it('does not let one whole shard cost every small blob', async () => {
    const { store, save } = bench(new FakeDisk(), 4);
    // Two slots of sixteen small blobs each, all of them in use, in a table of 64 entries; two of
    // whole shards.
    for (let blob = 0; blob < 32; blob++) await save(`small ${blob}`, 0, SHARD_BYTES / 16);
    for (let shard = 0; shard < 2; shard++) await save('large', shard, 2 * SHARD_BYTES);
    for (let blob = 0; blob < 32; blob++)
      for (let use = 0; use < 3; use++) store.touch(`small ${blob}`, 0);
    for (let shard = 0; shard < 8; shard++) await save('stream', shard, 8 * SHARD_BYTES);
    const left = Array.from({ length: 32 }, (_, blob) => store.has(`small ${blob}`, 0)).filter(
      (found) => found !== undefined,
    );
    assert.equal(left.length, 32);
  });

  it('leaves a shard that is being read where it is, and frees it afterwards', async () => {
    const { disk, store, save } = bench(new FakeDisk(), 1);
    await save('a', 0, SHARD_BYTES);
    disk.stepwise = true;
    const reading = store.load('a', 0, 1);
    await disk.advance(() => 0);
    assert.equal(await save('b', 0, SHARD_BYTES), 'skipped');
    await disk.finish();
    assert.equal(await reading, 'ok');
    disk.stepwise = false;
    assert.equal(await save('b', 0, SHARD_BYTES), 'stored');
  });

  it('answers a miss if a blob is dropped during its read, then reuses the place', async () => {
    const { disk, store, save } = bench(new FakeDisk(), 1);
    await save('a', 0, SHARD_BYTES);
    disk.stepwise = true;
    const reading = store.load('a', 0, 1);
    await disk.advance(() => 0);
    store.drop('a');
    assert.equal(store.stats().usedBytes, SHARD_BYTES);
    await disk.finish();
    assert.equal(await reading, 'miss');
    assert.equal(store.stats().usedBytes, 0);
  });

  it('forgets a blob dropped while it is written', async () => {
    const { disk, store, save, load } = bench();
    disk.stepwise = true;
    const saving = save('a', 0, 10_000);
    await disk.advance(() => 0);
    store.drop('a');
    await disk.finish();
    assert.equal(await saving, 'skipped');
    assert.equal(await load('a', 0), 'miss');
    assert.equal(store.stats().usedBytes, 0);
    assert.equal(bench(disk.survivor((held) => held - 1)).store.totalOf('a'), undefined);
  });

  it('skips a slot that has moved on, and keeps nothing of it', async () => {
    const { disk, store } = bench();
    disk.slots.set(0, { generation: 2, content: 'other' });
    assert.equal(await store.save('a', 0, 0, 1, shardOf(0, 100, 'a')), 'skipped');
    assert.equal(store.has('a', 0), undefined);
    assert.equal(store.stats().usedBytes, 0);
    assert.equal(store.stats().errors, 0);
  });

  it('agrees after a restart on what was evicted for a shard that was not written', async () => {
    const { disk, store, save } = bench(new FakeDisk(), 1);
    await save('old', 0, SHARD_BYTES);
    disk.slots.set(0, { generation: 2, content: 'other' });
    assert.equal(await store.save('new', 0, 0, 1, shardOf(0, SHARD_BYTES, 'new')), 'skipped');
    assert.equal(store.has('old', 0), undefined);
    await store.close();
    assert.equal(
      bench(
        disk.survivor((held) => held - 1),
        1,
      ).store.has('old', 0),
      undefined,
    );
  });

  it('takes the same shard once, and new content of a blob in place of the old', async () => {
    const { disk, store, save, load } = bench();
    for (let shard = 0; shard < 2; shard++) await save('tag', shard, 2 * SHARD_BYTES);
    assert.equal(await save('tag', 0, 2 * SHARD_BYTES), 'stored');
    assert.equal(disk.log.filter((line) => line === 'write').length, 2);
    assert.equal(await save('tag', 0, 2 * SHARD_BYTES, 'new'), 'stored');
    assert.equal(await load('tag', 0), 'new');
    assert.equal(store.has('tag', 1), undefined);
    assert.equal(await save('tag', 0, 77, 'newer'), 'stored');
    assert.equal(store.totalOf('tag'), 77);
  });

  it("refuses lengths that are not that shard's", async () => {
    const { store } = bench();
    const wrong = { lengthBytes: 5, totalBytes: 100, checksum: checksumOfContent('x') };
    assert.equal(await store.save('a', 0, 0, 1, wrong), 'skipped');
    assert.equal(
      await store.save('a', 0, 0, 1, { ...wrong, lengthBytes: 0, totalBytes: 0 }),
      'skipped',
    );
  });

  it('continues from memory when the disk is full: one line, counted, tried again', async () => {
    const { disk, clock, store, lines, save, load } = bench();
    await save('old', 0, 100);
    disk.fail.write = new Error('ENOSPC: no space left on device, write');
    for (let blob = 0; blob < 5; blob++) assert.equal(await save(`new ${blob}`, 0, 100), 'skipped');
    assert.equal(lines.filter((line) => line.includes('going on from memory')).length, 1);
    assert.deepEqual([store.stats().errors, store.stats().suspended], [1, true]);
    assert.equal(await load('old', 0), 'old/0');
    clock.advance(CACHE_RETRY_MS);
    assert.equal(await save('probe', 0, 100), 'skipped');
    assert.equal(store.stats().errors, 2);
    assert.equal(lines.filter((line) => line.includes('going on from memory')).length, 1);
    disk.fail = {};
    assert.equal(await save('early', 0, 100), 'skipped');
    clock.advance(CACHE_RETRY_MS);
    assert.equal(await save('late', 0, 100), 'stored');
    assert.equal(store.stats().suspended, false);
    assert.equal(lines.filter((line) => line.includes('works again')).length, 1);
    assert.equal(store.stats().usedBytes, 2 * 4096);
  });

  it('loses one shard to a bad sector, and avoids a disk that fails repeatedly', async () => {
    const { disk, clock, store, save, load } = bench();
    for (let blob = 0; blob < 5; blob++) await save(`b${blob}`, 0, 100);
    disk.fail.read = new Error('EIO: i/o error, read');
    assert.equal(await load('b0', 0), 'miss');
    assert.ok(store.has('b1', 0));
    await load('b1', 0);
    await load('b2', 0);
    assert.equal(store.has('b3', 0), undefined);
    disk.fail = {};
    assert.equal(await load('b3', 0), 'miss');
    clock.advance(CACHE_RETRY_MS);
    assert.equal(await load('b3', 0), 'b3/0');
    assert.equal(await load('b4', 0), 'b4/0');
    assert.deepEqual([store.stats().errors, store.stats().suspended], [3, false]);
  });

  it('resumes by one probe, and not by what was under way when the disk failed', async () => {
    const { disk, clock, store } = bench();
    const save = (key: string, slot: number): Promise<string> => {
      disk.slots.set(slot, { generation: 1, content: key });
      return store.save(key, 0, slot, 1, shardOf(0, 3 * 4096, key));
    };
    disk.stepwise = true;
    const before = save('before', 1);
    await disk.advance(() => 0.999);
    disk.fail.write = new Error('EIO: i/o error, write');
    assert.equal(await save('failing', 2), 'skipped');
    await disk.finish();
    assert.equal(await before, 'stored');
    assert.equal(store.stats().suspended, true);
    disk.fail = {};
    clock.advance(CACHE_RETRY_MS);
    const probe = save('probe', 3);
    assert.equal(await save('meanwhile', 4), 'skipped');
    await disk.finish();
    assert.equal(await probe, 'stored');
    assert.equal(store.stats().suspended, false);
  });

  it('does without a disk that hangs, and forgets nothing for it', async () => {
    const { disk, clock, store, save, load, lines } = bench();
    for (let blob = 0; blob < 6; blob++) await save(`b${blob}`, 0, 100);
    disk.stepwise = true;
    const loads = [0, 1, 2, 3, 4].map((blob) => store.load(`b${blob}`, 0, 10 + blob));
    await turn();
    clock.advance(CACHE_STALL_MS);
    assert.deepEqual(await Promise.all(loads.slice(CACHE_IO_DEPTH)), ['miss', 'miss']);
    assert.equal(store.has('b5', 0), undefined);
    assert.equal(lines.filter((line) => line.includes('going on from memory')).length, 1);
    await disk.finish();
    assert.deepEqual(await Promise.all(loads.slice(0, CACHE_IO_DEPTH)), ['ok', 'ok', 'ok']);
    disk.stepwise = false;
    clock.advance(CACHE_RETRY_MS);
    for (let blob = 0; blob < 6; blob++) assert.equal(await load(`b${blob}`, 0), `b${blob}/0`);
  });

  it('keeps serving a shard whose header could not be written', async () => {
    const { disk, store, save, load } = bench();
    disk.fail.header = new Error('EROFS: read-only file system, write');
    assert.equal(await save('a', 0, 100), 'stored');
    assert.equal(await load('a', 0), 'a/0');
    assert.equal(store.stats().suspended, true);
  });

  it('ends what is in flight before it closes, and takes nothing after', async () => {
    const { disk, store, save, load } = bench();
    disk.stepwise = true;
    const saving = save('a', 0, 10_000);
    const closing = store.close();
    await disk.finish();
    await closing;
    assert.equal(await saving, 'stored');
    assert.equal(await load('a', 0), 'miss');
    assert.equal(await save('b', 0, 100), 'skipped');
  });

  it('closes without a disk that never answers', async () => {
    const { disk, clock, store, save } = bench();
    disk.stepwise = true;
    void save('a', 0, 100);
    const closing = store.close();
    await turn();
    clock.advance(CACHE_STALL_MS);
    await closing;
    assert.equal(disk.waiting, 1);
  });
});
