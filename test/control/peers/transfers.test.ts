import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { Envelope, type Opened } from '../../../lib/wire/envelope.ts';
import { parsePread } from '../../../lib/wire/pread.ts';
import { parseStat } from '../../../lib/wire/stat.ts';
import { ClusterSecret } from '../../../lib/wire/secret.ts';
import type { Observation } from '../../../lib/control/watch/observation.ts';
import type { Pools } from '../../../lib/control/threads/pools.ts';
import { Transfers } from '../../../lib/control/peers/transfers.ts';
import { ORIGIN_FEW_REQUESTS, ORIGIN_REQUEST_SHARDS_MAX } from '../../../lib/swarm/limits.ts';
import { ORIGIN_REQUESTS_MAX, SHARD_BYTES } from '../../../lib/limits.ts';
import type { OriginReadNews, OriginReadResult } from '../../../lib/workers/origin-read.ts';
import type { PoolJob } from '../../../lib/workers/pool.ts';
import { KEY, settled } from '../fixture.ts';

const ORIGIN = {
  url: 'https://r.example/b?signature=s3cret',
  upstreamHost: 'r.example',
  authorization: 'Bearer s3cret',
};
const FILLING = { slot: 3, attempt: 2, shard: 1, fromBytes: 100, totalBytes: null, digest: null };
const QUERY = {
  key: KEY,
  shard: 1,
  fromBytes: 100,
  node: '10.0.0.1:65002',
  zone: null,
  role: 'owner',
  exclude: [],
  hops: 0,
  load: 0,
  holdMs: 1000,
} as const;

const envelopeOf = (self: string): Envelope =>
  new Envelope({ secret: new ClusterSecret(Buffer.alloc(32, 1)), self, wallMs: () => 0 });

/** A job's request as the node it is for reads it. */
function opened({
  node,
  path,
  headers,
}: {
  node: string;
  path: string;
  headers: Record<string, string>;
}): Opened {
  return envelopeOf(node).open({ path, header: (name) => headers[name] ?? '' });
}

describe('control/transfers', () => {
  let clock: ManualClock;
  let jobs: PoolJob[];
  let ends: ((result: unknown) => void)[];
  /** Of reads at the origin: what tells of a part, and what ends the job. */
  let tells: ((news: OriginReadNews) => void)[];
  let lines: unknown[][];
  let envelope: Envelope;
  let transfers: Transfers;

  beforeEach(async () => {
    [clock, jobs, ends, tells, lines] = [new ManualClock(), [], [], [], []];
    envelope = envelopeOf('10.0.0.1:65002');
    const run = (job: PoolJob, heard: (news: OriginReadNews) => void): Promise<unknown> => {
      jobs.push(job);
      tells.push(heard);
      return new Promise((end) => ends.push(end));
    };
    const observation = {
      probe: { line: (...line: unknown[]) => lines.push(line) },
    } as unknown as Observation;
    transfers = new Transfers({
      pools: { run, origin: run } as unknown as Pools,
      envelope,
      clock,
      observation,
      vouching: { isVouched: () => true },
    });
    // An earlier object has shown that the host serves parts.
    void transfers.origin({ ...ORIGIN, url: 'https://r.example/earlier' }, FILLING, {
      sliceBytes: 0,
      isOnBehalf: false,
      alone: false,
    });
    await settled();
    tells[0]!({ kind: 'head', ranges: 'parts', totalBytes: null, atHome: true });
    tells[0]!({ kind: 'data', totalBytes: 1, lengthBytes: 1, checksum: '' });
    ends[0]!({ kind: 'over' });
    await settled();
    for (const list of [jobs, ends, tells, lines]) list.length = 0;
  });

  it('signs what it asks of another node, and seals the way to the origin for it', () => {
    void transfers.peer('[::1]:65002', { ...QUERY, exclude: [] }, FILLING, {
      patience: { silenceMs: 2000, stallMs: 2000 },
      shardMs: null,
      gatherMs: 40,
      origin: ORIGIN,
      requestId: 'request-1',
    });
    const job = jobs[0]!;
    assert.ok(job.kind === 'peer');
    assert.deepEqual([job.node, job.slot, job.attempt, job.fromBytes], ['[::1]:65002', 3, 2, 100]);
    assert.deepEqual(opened(job), {
      kind: 'opened',
      origin: ORIGIN,
      words: null,
      requestId: 'request-1',
    });
    assert.doesNotMatch(JSON.stringify(job), /s3cret/);
    const [path, query] = job.path.split('?') as [string, string];
    assert.deepEqual(parsePread(path, query), QUERY);
  });

  it('sends no way to the origin where none is needed', () => {
    void transfers.peer('10.0.0.2:65002', { ...QUERY, exclude: [] }, FILLING, {
      patience: { silenceMs: 2000, stallMs: 2000 },
      shardMs: null,
      gatherMs: 40,
      origin: null,
      requestId: '',
    });
    assert.ok(jobs[0]!.kind === 'peer');
    assert.deepEqual(Object.keys(jobs[0]!.headers), ['host', 'shoal-version', 'shoal-auth']);
  });

  it('signs a stat as well', () => {
    const query = {
      key: KEY,
      shard: 1,
      node: 'n:1',
      zone: 'z',
      parent: 'p:2',
      report: 'slow',
    } as const;
    void transfers.stat('10.0.0.2:65002', query);
    const job = jobs[0]!;
    assert.ok(job.kind === 'stat');
    assert.equal(opened(job).kind, 'opened');
    const [path, rest] = job.path.split('?') as [string, string];
    assert.deepEqual(parseStat(path, rest), query);
  });

  it('reads so many shards at once from the origin, the rest in turn', async () => {
    const all = Array.from({ length: ORIGIN_REQUESTS_MAX + 2 }, () =>
      transfers.origin(ORIGIN, FILLING, { sliceBytes: 0, alone: false, isOnBehalf: false }),
    );
    await settled();
    assert.equal(jobs.length, ORIGIN_REQUESTS_MAX);
    tells[0]!({
      kind: 'failed',
      error: { code: 'ORIGIN_BROKEN', message: 'x' },
      receivedBytes: 100,
    });
    assert.equal((await all[0]!).kind, 'failed');
    await settled();
    assert.equal(jobs.length, ORIGIN_REQUESTS_MAX, 'the request has not ended');
    ends[0]!({ kind: 'over' });
    await settled();
    assert.equal(jobs.length, ORIGIN_REQUESTS_MAX + 1);
  });

  it('writes an audit line with its bytes for each origin read, negative if failed', async () => {
    const [good, bad] = [
      transfers.origin(ORIGIN, FILLING, { sliceBytes: 0, alone: false, isOnBehalf: false }),
      transfers.origin(ORIGIN, FILLING, { sliceBytes: 0, alone: false, isOnBehalf: false }),
    ];
    await settled();
    clock.advance(5);
    tells[0]!({ kind: 'data', totalBytes: SHARD_BYTES + 100, lengthBytes: 300, checksum: '' });
    tells[1]!({
      kind: 'failed',
      error: { code: 'ORIGIN_BROKEN', message: 'x' },
      receivedBytes: 100,
    });
    await Promise.all([good, bad]);
    assert.deepEqual(
      lines.map(([op, , offset, size, latencyUs]) => [op, offset, size, latencyUs]),
      [
        ['download', SHARD_BYTES + 100, 200, 5_000],
        ['download', SHARD_BYTES + 100, -1, 5_000],
      ],
    );
  });

  it('fails the waiting at once when one waited in vain, and asks for the next', async () => {
    // All at the same upstream.
    const all = Array.from({ length: ORIGIN_REQUESTS_MAX + 2 }, () =>
      transfers.origin(ORIGIN, FILLING, { sliceBytes: 0, alone: false, isOnBehalf: false }),
    );
    await settled();
    tells[0]!({
      kind: 'failed',
      error: { code: 'ORIGIN_TIMEOUT', message: 'silent' },
      receivedBytes: 100,
    });
    ends[0]!({ kind: 'over' });
    assert.deepEqual(
      await Promise.all(all.slice(-2)),
      Array.from({ length: 2 }, () => ({
        kind: 'failed',
        error: { code: 'ORIGIN_TIMEOUT', message: 'silent' },
        receivedBytes: 100,
      })),
    );
    void transfers.origin(ORIGIN, FILLING, { sliceBytes: 0, alone: false, isOnBehalf: false });
    await settled();
    assert.equal(jobs.length, ORIGIN_REQUESTS_MAX + 1);
  });

  for (const [what, result] of [
    [
      'nobody wanted the shard any more',
      { kind: 'failed', error: { code: 'CANCELLED', message: 'x' }, receivedBytes: 100 },
    ],
    [
      'it broke off behind some bytes',
      { kind: 'failed', error: { code: 'ORIGIN_TIMEOUT', message: 'x' }, receivedBytes: 101 },
    ],
    [
      'it answered with an error',
      { kind: 'failed', error: { code: 'ORIGIN_BUSY', message: 'x' }, receivedBytes: 100 },
    ],
  ] as const) {
    it(`but not when ${what}`, async () => {
      for (let read = 0; read < ORIGIN_REQUESTS_MAX + 2; read++)
        void transfers.origin(ORIGIN, FILLING, { sliceBytes: 0, alone: false, isOnBehalf: false });
      await settled();
      tells[0]!(result);
      ends[0]!({ kind: 'over' });
      await settled();
      assert.equal(jobs.length, ORIGIN_REQUESTS_MAX + 1);
    });
  }

  describe('alone in the swarm', () => {
    const read = (
      shard: number,
      { fromBytes = 0, sliceBytes = null }: { fromBytes?: number; sliceBytes?: number | null } = {},
    ): Promise<OriginReadResult> =>
      transfers.origin(
        ORIGIN,
        { ...FILLING, slot: shard, shard, fromBytes, totalBytes: 100 * SHARD_BYTES },
        { sliceBytes, alone: true, isOnBehalf: false },
      );
    const asked = (): number[][] =>
      jobs.map((job) => (job.kind === 'origin' ? job.parts.map(({ shard }) => shard) : []));

    it('asks for consecutive shards in one request, and settles each as it comes', async () => {
      const shards = Array.from({ length: ORIGIN_REQUEST_SHARDS_MAX }, (_, shard) => shard);
      const reads = shards.map((shard) => read(shard));
      await settled();
      assert.deepEqual(asked(), [shards]);
      const job = jobs[0]!;
      assert.ok(job.kind === 'origin');
      assert.deepEqual(
        job.parts.map(({ slot }) => slot),
        shards,
      );
      clock.advance(3);
      tells[0]!({
        kind: 'data',
        totalBytes: 100 * SHARD_BYTES,
        lengthBytes: SHARD_BYTES,
        checksum: 'aa',
      });
      assert.equal((await reads[0]!).kind, 'data');
      clock.advance(4);
      for (const _ of reads.slice(1))
        tells[0]!({
          kind: 'failed',
          error: { code: 'ORIGIN_BROKEN', message: 'x' },
          receivedBytes: 0,
        });
      assert.deepEqual(
        (await Promise.all(reads)).map(({ kind }) => kind),
        shards.map((shard) => (shard === 0 ? 'data' : 'failed')),
      );
      assert.deepEqual(
        lines.map(([, , offset, size, latencyUs]) => [offset, size, latencyUs]),
        shards.map((shard) => [
          shard * SHARD_BYTES,
          shard === 0 ? SHARD_BYTES : -1,
          shard === 0 ? 3_000 : shard === 1 ? 4_000 : 0,
        ]),
      );
    });

    it('but by itself what is begun already, or what somebody waits for', async () => {
      void read(0, { fromBytes: 5 });
      void read(1);
      void read(2, { sliceBytes: 700_000 });
      void read(3, { sliceBytes: 0 });
      await settled();
      assert.deepEqual(asked(), [[0], [2], [3]], 'nobody waits for the second');
      for (const end of ends) end({ kind: 'over' });
      await settled();
      assert.deepEqual(asked(), [[0], [2], [3], [1]]);
    });

    it('fails what a thread left unreported at its death, and starts the next', async () => {
      const dying = {
        run: () => Promise.reject(new Error('gone')),
        origin: () => Promise.reject(new Error('gone')),
      } as unknown as Pools;
      transfers = new Transfers({
        pools: dying,
        envelope,
        clock,
        observation: { probe: null } as unknown as Observation,
        vouching: { isVouched: () => true },
      });
      for (let shard = 0; shard <= ORIGIN_FEW_REQUESTS; shard++) {
        const result = await read(shard);
        assert.match(result.kind === 'failed' ? result.error.message : '', /gone/);
      }
    });
  });
});
