import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import {
  RUNTIME_CROWDED_PATIENCE_MS,
  RUNTIME_DISCARD_MS,
  RUNTIME_MISS_MS,
  RUNTIME_PATIENCE_MS,
  RUNTIME_SCAN_MS,
  RUNTIME_WATCH_MS,
} from '../../lib/runtime-store/limits.ts';
import { bench, LAYER, OTHER, shardOf, type Bench } from './fixture.ts';

const TOTAL_BYTES = 3 * SHARD_BYTES + 100;

describe('runtime-store', () => {
  let at: Bench;
  beforeEach(() => (at = bench()));
  afterEach(() => at.store.close());

  const keeps = (shard: number, digest = LAYER): { kept: boolean | null } => {
    const answer: { kept: boolean | null } = { kept: null };
    void at.store
      .keeps(digest, shard, shardOf(TOTAL_BYTES, shard, digest))
      .then((kept) => (answer.kept = kept));
    return answer;
  };
  /** A pull of a layer through this node, from its ingest to its commit. */
  const pulled = async (digest = LAYER): Promise<void> => {
    at.content.ingest(digest, TOTAL_BYTES);
    const kept = [0, 1, 2, 3].map((shard) => keeps(shard, digest));
    await at.pass(100);
    at.content.commit(digest, TOTAL_BYTES);
    await at.pass(RUNTIME_WATCH_MS);
    assert.deepEqual(kept.map((one) => one.kept).includes(null), false);
  };

  it('keeps a shard as soon as the ingest covers it, and reads it from then on', async () => {
    at.content.ingest(LAYER, SHARD_BYTES);
    const [first, second] = [keeps(0), keeps(1)];
    await at.pass(50);
    assert.deepEqual([first.kept, second.kept], [true, null]);
    assert.equal(at.store.has(LAYER, 1), undefined);
    at.content.ingest(LAYER, 2 * SHARD_BYTES);
    await at.pass(50);
    assert.equal(second.kept, true);
    assert.deepEqual(at.store.has(LAYER, 1), shardOf(TOTAL_BYTES, 1));
    assert.equal(await at.store.load(LAYER, 1, 0), 'ok');
    assert.equal(at.store.totalOf(LAYER), TOTAL_BYTES);
    assert.equal(at.store.shardsOf(LAYER).count, 2);
  });

  it('reads on from the committed blob when the ingest has moved there', async () => {
    await pulled();
    assert.equal(await at.store.load(LAYER, 3, 0), 'ok');
    at.content.ingest(OTHER, TOTAL_BYTES);
    keeps(0, OTHER);
    await at.pass(50);
    at.content.commit(OTHER, TOTAL_BYTES);
    assert.equal(await at.store.load(OTHER, 0, 0), 'ok', 'before it was seen to be committed');
  });

  it('keeps nothing that the runtime does not write, and asks again only later', async () => {
    const answers = [keeps(0), keeps(1)];
    await at.pass(25);
    assert.deepEqual(answers, [{ kept: false }, { kept: false }]);
    assert.equal(at.content.finds, 1);
    at.content.ingest(LAYER, TOTAL_BYTES);
    await at.pass(RUNTIME_MISS_MS);
    const later = keeps(2);
    await at.pass(25);
    assert.equal(later.kept, true);
    assert.equal(await at.store.keeps('url:1', 0, shardOf(TOTAL_BYTES, 0)), false);
  });

  it('gives up a shard whose client has gone: its ingest grows no more', async () => {
    at.content.ingest(LAYER, SHARD_BYTES);
    const answer = keeps(2);
    await at.pass(RUNTIME_PATIENCE_MS - 1_000);
    assert.equal(answer.kept, null);
    await at.pass(1_100);
    assert.equal(answer.kept, false);
    at.content.files.delete(LAYER);
    const next = keeps(3);
    await at.pass(100);
    assert.equal(next.kept, false, 'the ingest is gone');
  });

  it('gives up earlier while others wait for memory, but not while the ingest grows', async () => {
    at.content.ingest(LAYER, SHARD_BYTES);
    at.crowded = true;
    const answer = keeps(3);
    for (let grown = 1; grown <= 3; grown++) {
      await at.pass(RUNTIME_CROWDED_PATIENCE_MS - 100);
      assert.equal(answer.kept, null);
      at.content.ingest(LAYER, SHARD_BYTES + grown);
    }
    await at.pass(RUNTIME_CROWDED_PATIENCE_MS + 100);
    assert.equal(answer.kept, false);
  });

  it('lets only a share of memory wait for the runtime', async () => {
    at = bench(4);
    at.content.ingest(LAYER, 0);
    const answers = [0, 1, 2, 3].map((shard) => keeps(shard));
    await at.pass(50);
    assert.deepEqual(
      answers.map(({ kept }) => kept),
      [null, null, null, false],
    );
  });

  for (const [what, happens] of [
    ['vanishes', (): void => void at.content.files.delete(LAYER)],
    ['shrinks', (): void => at.content.commit(LAYER, SHARD_BYTES, LAYER, 2)],
    ['is replaced by other bytes', (): void => at.content.commit(LAYER, TOTAL_BYTES, OTHER, 2)],
  ] as const) {
    it(`answers a miss for a file that ${what}, with one line, and reads it no more`, async () => {
      await pulled();
      const before = at.lines.length;
      happens();
      const reads = [2, 2, 3].map((shard) => at.store.load(LAYER, shard, 0));
      assert.deepEqual(await Promise.all(reads), ['miss', 'miss', 'miss']);
      assert.equal(await at.store.load(LAYER, 2, 0), 'miss');
      at.store.start();
      await at.pass(2 * RUNTIME_SCAN_MS);
      assert.equal(at.store.has(LAYER, 2), undefined);
      const lines = at.lines.slice(before).filter((line) => !line.startsWith('reading'));
      assert.equal(lines.length, 1, lines.join('\n'));
    });
  }

  it('says once that the store cannot be read, and reads it again when it can be', async () => {
    at.store.start();
    await pulled();
    at.content.broken = new Error('EACCES: permission denied');
    assert.equal(await at.store.load(LAYER, 0, 0), 'miss');
    const answers = [keeps(0), keeps(0, OTHER)];
    await at.pass(RUNTIME_SCAN_MS);
    assert.deepEqual(answers, [{ kept: false }, { kept: false }]);
    assert.equal(at.store.stats().state, 'unreadable');
    assert.equal(at.lines.filter((line) => line.startsWith('cannot read')).length, 1);
    at.content.broken = null;
    await at.pass(RUNTIME_SCAN_MS);
    assert.equal(at.store.stats().state, 'reading');
    assert.equal(await at.store.load(LAYER, 0, 0), 'ok', 'its checksums are still known');
  });

  it('learns that the runtime drops its layers, and that it keeps them again', async () => {
    at.store.start();
    for (const digest of [LAYER, OTHER]) {
      await pulled(digest);
      at.content.files.delete(digest);
      await at.pass(RUNTIME_WATCH_MS);
    }
    assert.equal(at.store.stats().dropsLayers, true);
    assert.equal(at.lines.filter((line) => line.includes('drops layers')).length, 1);
    const third = `sha256:${'c'.repeat(64)}`;
    at.content.ingest(third, TOTAL_BYTES);
    const answers = [0, 1, 2, 3].map((shard) => keeps(shard, third));
    await at.pass(100);
    assert.deepEqual(new Set(answers.map(({ kept }) => kept)), new Set([false]));
    at.content.commit(third, TOTAL_BYTES);
    await at.pass(RUNTIME_DISCARD_MS + 2 * RUNTIME_WATCH_MS);
    assert.equal(at.store.stats().dropsLayers, false);
    at.content.ingest(LAYER, TOTAL_BYTES);
    const again = keeps(1);
    await at.pass(RUNTIME_MISS_MS);
    assert.equal(again.kept, true);
  });

  it('does not take an image that is removed later for a dropped one', async () => {
    at.store.start();
    for (const digest of [LAYER, OTHER]) await pulled(digest);
    await at.pass(RUNTIME_DISCARD_MS + 2 * RUNTIME_WATCH_MS);
    at.content.files.clear();
    await at.pass(RUNTIME_SCAN_MS);
    assert.equal(at.store.stats().dropsLayers, false);
    assert.equal(at.store.has(LAYER, 0), undefined);
  });

  it('verifies blobs before they are read, the wanted first; ignores wrong ones', async () => {
    at.content.commit(LAYER, TOTAL_BYTES);
    at.content.commit(OTHER, TOTAL_BYTES, 'something else');
    const third = `sha256:${'c'.repeat(64)}`;
    at.content.commit(third, TOTAL_BYTES);
    at.store.start();
    await at.pass(0);
    assert.equal(at.store.has(LAYER, 0), undefined, 'a miss until then');
    at.store.wanted(third);
    await at.pass(1_000);
    assert.deepEqual(
      at.verified.map((path) => path.slice('/content/blobs/'.length)),
      [LAYER, third, OTHER],
    );
    assert.deepEqual(at.store.has(LAYER, 3), shardOf(TOTAL_BYTES, 3));
    assert.equal(at.store.has(OTHER, 0), undefined);
    assert.equal(at.lines.filter((line) => line.includes('does not have its digest')).length, 1);
    await at.pass(2 * RUNTIME_SCAN_MS);
    assert.equal(at.verified.length, 3, 'each once, as long as its file stays the same');
    at.content.commit(OTHER, TOTAL_BYTES, OTHER, 2);
    await at.pass(RUNTIME_SCAN_MS + 1_000);
    assert.equal(await at.store.load(OTHER, 0, 0), 'ok');
  });

  it('verifies a blob of which only a part came through this node', async () => {
    at.store.start();
    at.content.ingest(LAYER, TOTAL_BYTES);
    keeps(1);
    await at.pass(100);
    at.content.commit(LAYER, TOTAL_BYTES);
    await at.pass(RUNTIME_WATCH_MS + 1_000);
    assert.deepEqual(at.verified, [`/content/blobs/${LAYER}`]);
    assert.equal(at.store.shardsOf(LAYER).count, 4);
  });

  it('forgets the checksums of a blob that is dropped, and verifies its file', async () => {
    at.store.start();
    at.content.ingest(LAYER, TOTAL_BYTES);
    void at.store.keeps(LAYER, 0, shardOf(TOTAL_BYTES, 0, 'wrong bytes'));
    await at.pass(50);
    at.store.drop(LAYER);
    assert.equal(at.store.has(LAYER, 0), undefined);
    at.content.commit(LAYER, TOTAL_BYTES);
    await at.pass(RUNTIME_SCAN_MS + 1_000);
    assert.deepEqual(at.store.has(LAYER, 0), shardOf(TOTAL_BYTES, 0));
  });

  it('offers whole blobs when verified or committed, and none that will be dropped', async () => {
    let changes = 0;
    at.store.watchOffers(() => (changes += 1));
    at.content.commit(LAYER, TOTAL_BYTES);
    at.content.commit(OTHER, TOTAL_BYTES, 'something else');
    at.store.start();
    await at.pass(0);
    assert.deepEqual([[...at.store.offers()], changes], [[], 0], 'nothing is verified yet');
    await at.pass(1_000);
    assert.deepEqual([[...at.store.offers()], changes], [[[LAYER, TOTAL_BYTES]], 1]);
    const third = `sha256:${'c'.repeat(64)}`;
    await pulled(third);
    assert.deepEqual([[...at.store.offers()].length, changes], [2, 2]);
    at.content.files.clear();
    await at.pass(RUNTIME_SCAN_MS);
    assert.deepEqual([...at.store.offers()], []);
  });
});
