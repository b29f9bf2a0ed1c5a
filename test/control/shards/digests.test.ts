import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import { Digests } from '../../../lib/control/shards/digests.ts';
import {
  BLOB_DIGESTS_MAX,
  DIGEST_AHEAD_SHARDS,
  DIGEST_FIRST_SHARDS,
  DIGEST_PATIENCE_MS,
} from '../../../lib/control/limits.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import type { DigestJob, DigestResult } from '../../../lib/workers/blob-hashes.ts';
import {
  Listener,
  OTHER_KEY,
  OPTIONS,
  loaderFixture,
  settled,
  type LoaderFixture,
} from '../fixture.ts';

const TOTAL_BYTES = 2 * SHARD_BYTES + 100;

/** Shard `index` of the sample blob, as its first byte repeated. */
const shardBytes = (index: number): Buffer =>
  Buffer.alloc(Math.min(SHARD_BYTES, TOTAL_BYTES - index * SHARD_BYTES), index + 1);

const BLOB = Buffer.concat([0, 1, 2].map(shardBytes));
const KEY = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`;

describe('control/digests', () => {
  let at: LoaderFixture;
  let jobs: DigestJob[];
  let verdicts: string[];
  let digests: Digests;
  let hashes: Map<string, { hash: Hash; bytes: number }>;
  /** The thread ends before the next job of this kind. */
  let endsBefore: DigestJob['kind'] | null;

  beforeEach(() => {
    at = loaderFixture({ slots: 8, disk: true });
    jobs = [];
    verdicts = [];
    hashes = new Map();
    endsBefore = null;
    const run = async (job: DigestJob): Promise<DigestResult> => {
      jobs.push(job);
      if (job.kind === endsBefore) {
        endsBefore = null;
        hashes.clear();
      }
      if (job.kind === 'update') {
        if (job.offsetBytes === 0) hashes.set(job.key, { hash: createHash('sha256'), bytes: 0 });
        const hashing = hashes.get(job.key);
        if (hashing?.bytes !== job.offsetBytes) return { kind: 'gone' };
        let count = 0;
        for (const { slot, generation, lengthBytes } of job.shards) {
          if (at.arena.generation(slot) !== generation) break;
          assert.ok(!at.arena.tryLock(slot), 'the slot is pinned by control');
          hashing.hash.update(at.arena.bytes(slot, 0, lengthBytes));
          hashing.bytes += lengthBytes;
          count++;
        }
        return { kind: 'hashed', count };
      }
      const hashing = hashes.get(job.key);
      hashes.delete(job.key);
      return job.kind === 'finish' && hashing?.bytes === job.totalBytes
        ? { kind: 'done', digest: hashing.hash.digest('hex') }
        : { kind: 'gone' };
    };
    digests = new Digests({
      run,
      arena: at.arena,
      loader: at.loader,
      clock: at.clock,
      digestOf: (key) => at.facts.digestOf(key),
      held: (key) => verdicts.push(`held ${key}`),
      broken: (key) => verdicts.push(`broken ${key}`),
    });
  });

  /** Brings a shard into memory, and tells the digests. */
  async function bring(
    key: string,
    shard: number,
    bytes = shardBytes(shard),
    totalBytes = TOTAL_BYTES,
  ): Promise<void> {
    at.loader.want(key, shard, OPTIONS, new Listener());
    await settled();
    at.arena.bytes(at.loader.find(key, shard)!.slot).set(bytes);
    await at.deliver(shard, totalBytes);
    digests.completed(at.loader.find(key, shard)!, totalBytes);
    await settled();
  }

  const updates = (): number[] =>
    jobs
      .filter((job) => job.kind === 'update')
      .flatMap((job) => job.shards.map(({ slot }) => at.arena.bytes(slot)[0]! - 1));

  it('hashes in one go what has come out of order', async () => {
    for (const shard of [2, 1]) await bring(KEY, shard);
    assert.deepEqual(jobs, []);
    await bring(KEY, 0);
    assert.deepEqual(
      jobs.map(({ kind }) => kind),
      ['update', 'finish'],
    );
    assert.deepEqual([updates(), verdicts], [[0, 1, 2], [`held ${KEY}`]]);
  });

  it('hashes a blob in order as it comes, and says that it holds', async () => {
    for (const shard of [0, 1]) await bring(KEY, shard);
    assert.deepEqual(verdicts, []);
    await bring(KEY, 2);
    assert.deepEqual(updates(), [0, 1, 2]);
    assert.deepEqual(verdicts, [`held ${KEY}`]);
  });

  it('waits for several shards before its first job, and for none afterwards', async () => {
    const shards = DIGEST_FIRST_SHARDS + 2;
    const bytes = Buffer.alloc(SHARD_BYTES);
    const seen: number[][] = [];
    for (let shard = 0; shard < shards; shard++) {
      await bring(KEY, shard, bytes, shards * SHARD_BYTES);
      seen.push(jobs.flatMap((job) => (job.kind === 'update' ? [job.shards.length] : [])));
    }
    const first = DIGEST_FIRST_SHARDS;
    const none = Array.from({ length: first - 1 }, () => []);
    assert.deepEqual(seen, [...none, [first], [first, 1], [first, 1, 1]]);
    assert.deepEqual(verdicts, [`broken ${KEY}`]);
  });

  it('hashes a blob anew when the thread ended with its hash, and blames nobody', async () => {
    endsBefore = 'finish';
    for (const shard of [0, 1, 2]) await bring(KEY, shard);
    assert.deepEqual(updates(), [0, 1, 2, 0, 1, 2]);
    assert.deepEqual(verdicts, [`held ${KEY}`]);
  });

  it('leaves a blob unverified whose hash is lost again and again', async () => {
    await bring(KEY, 0);
    const broken = hashes;
    broken.set = () => broken;
    broken.clear();
    for (const shard of [1, 2]) await bring(KEY, shard);
    assert.deepEqual(verdicts, []);
    assert.equal(digests.isAwaited(at.loader.find(KEY, 2)!), false, 'it is no longer followed');
  });

  it('hashes what came out of order when its turn comes', async () => {
    await bring(KEY, 2);
    await bring(KEY, 1);
    assert.deepEqual(updates(), []);
    await bring(KEY, 0);
    assert.deepEqual(updates(), [0, 1, 2]);
    assert.deepEqual(verdicts, [`held ${KEY}`]);
  });

  it('hashes each shard once, though all are told of at once', async () => {
    for (const shard of [2, 1]) await bring(KEY, shard);
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    at.arena.bytes(at.loader.find(KEY, 0)!.slot).set(shardBytes(0));
    await at.deliver(0, TOTAL_BYTES);
    for (const shard of [0, 1, 2]) digests.completed(at.loader.find(KEY, shard)!, TOTAL_BYTES);
    await settled();
    assert.deepEqual(updates(), [0, 1, 2]);
    assert.deepEqual(verdicts, [`held ${KEY}`]);
  });

  it('finds a blob broken of which one byte is wrong', async () => {
    await bring(KEY, 0);
    const wrong = shardBytes(1);
    wrong[SHARD_BYTES - 1]! ^= 1;
    await bring(KEY, 1, wrong);
    await bring(KEY, 2);
    assert.deepEqual(verdicts, [`broken ${KEY}`]);
  });

  it('does not hash a blob again that holds', async () => {
    for (const shard of [0, 1, 2]) await bring(KEY, shard);
    const before = jobs.length;
    digests.completed(at.loader.find(KEY, 1)!, TOTAL_BYTES);
    await settled();
    assert.equal(jobs.length, before);
  });

  it('leaves alone what has no sha256, and what was checked whole where it came in', async () => {
    await bring(`url:${'ab'.repeat(32)}`, 0);
    digests.completed(at.loader.find(`url:${'ab'.repeat(32)}`, 0)!, SHARD_BYTES);
    await bring(KEY, 1);
    digests.completed({ ...at.loader.find(KEY, 1)!, key: OTHER_KEY }, SHARD_BYTES);
    assert.deepEqual(jobs, []);
  });

  it('awaits the shards it comes to next, for as long as it gets on', async () => {
    await bring(KEY, 1);
    const resident = at.loader.find(KEY, 1)!;
    assert.equal(digests.isAwaited(resident), true);
    assert.equal(digests.isAwaited({ ...resident, key: OTHER_KEY }), false);
    assert.equal(digests.isAwaited({ ...resident, shard: DIGEST_AHEAD_SHARDS }), false);
    at.clock.advance(DIGEST_PATIENCE_MS);
    assert.equal(digests.isAwaited(resident), false);
    await bring(KEY, 0);
    assert.equal(digests.isAwaited(resident), false, 'hashed by now');
  });

  it('lets go of what it has read back', async () => {
    await bring(KEY, 1);
    at.store.put(KEY, 0, TOTAL_BYTES);
    await bring(KEY, 2);
    const resident = at.loader.find(KEY, 0)!;
    assert.equal(resident.interests.size, 1);
    at.store.loads[0]!.end('ok');
    await settled();
    digests.completed(resident, TOTAL_BYTES);
    await settled();
    assert.equal(resident.interests.size, 0);
  });

  it('reads back from disk what has left memory, but only once the blob is complete', async () => {
    await bring(KEY, 1);
    assert.equal(at.store.loads.length, 0);
    at.store.put(KEY, 0, TOTAL_BYTES);
    await bring(KEY, 2);
    assert.deepEqual(
      at.store.loads.map(({ shard }) => shard),
      [0],
    );
    at.arena.bytes(at.store.loads[0]!.slot).set(shardBytes(0));
    at.store.loads[0]!.end('ok');
    await settled();
    digests.completed(at.loader.find(KEY, 0)!, TOTAL_BYTES);
    await settled();
    assert.deepEqual(updates(), [0, 1, 2]);
    assert.deepEqual(verdicts, [`held ${KEY}`]);
  });

  it('follows a bounded number of blobs, and tells the digest thread which it forgot', async () => {
    await bring(KEY, 1);
    const resident = at.loader.find(KEY, 1)!;
    for (let blob = 0; blob < BLOB_DIGESTS_MAX; blob++)
      digests.completed(
        { ...resident, key: `sha256:${blob.toString(16).padStart(64, '0')}` },
        TOTAL_BYTES,
      );
    await settled();
    assert.deepEqual(jobs, [{ kind: 'forget', key: KEY }]);
  });
});
