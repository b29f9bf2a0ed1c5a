import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { parsePread, parseStat } from '../../lib/cluster/rpc.ts';
import { ClusterSecret } from '../../lib/cluster/secret.ts';
import type { Observation } from '../../lib/control/observation.ts';
import type { Pools } from '../../lib/control/pools.ts';
import { Transfers } from '../../lib/control/transfers.ts';
import { ORIGIN_SHARDS_MAX } from '../../lib/limits.ts';
import type { PoolJob } from '../../lib/workers/pool.ts';
import { KEY, settled } from './fixture.ts';

const ORIGIN = { url: 'https://r.example/b?signature=s3cret', upstreamHost: 'r.example', authorization: 'Bearer s3cret' };
const FILLING = { slot: 3, attempt: 2, shard: 1, fromBytes: 100, totalBytes: null, digest: null };
const QUERY = { key: KEY, shard: 1, fromBytes: 100, node: '10.0.0.1:65002', zone: null, role: 'owner', exclude: [], hops: 0, load: 0 } as const;

describe('control/transfers', () => {
  let clock: ManualClock;
  let jobs: PoolJob[];
  let ends: ((result: unknown) => void)[];
  let lines: unknown[][];
  let secret: ClusterSecret;
  let transfers: Transfers;

  beforeEach(() => {
    [clock, jobs, ends, lines] = [new ManualClock(), [], [], []];
    secret = new ClusterSecret(Buffer.alloc(32, 1));
    const run = (job: PoolJob): Promise<unknown> => {
      jobs.push(job);
      return new Promise((end) => ends.push(end));
    };
    const observation = { probe: { line: (...line: unknown[]) => lines.push(line) } } as unknown as Observation;
    transfers = new Transfers({ pools: { run } as unknown as Pools, secret, clock, observation });
  });

  it('signs what it asks of another node, and seals the way to the origin for it', () => {
    void transfers.peer('[::1]:65002', { ...QUERY, exclude: [] }, FILLING, { origin: ORIGIN, requestId: 'request-1' });
    const job = jobs[0]!;
    assert.ok(job.kind === 'peer');
    assert.deepEqual([job.host, job.port, job.slot, job.attempt, job.fromBytes], ['::1', 65_002, 3, 2, 100]);
    assert.equal(secret.verify(job.headers['shoal-auth']!, 'GET', job.path, clock.wallMs(), job.headers['shoal-origin']), true);
    assert.deepEqual(JSON.parse(secret.open(job.headers['shoal-origin']!)!), ORIGIN);
    assert.equal(job.headers['shoal-request-id'], 'request-1');
    assert.doesNotMatch(JSON.stringify(job), /s3cret/);
    const [path, query] = job.path.split('?') as [string, string];
    assert.deepEqual(parsePread(path, query), QUERY);
  });

  it('sends no way to the origin where none is needed', () => {
    void transfers.peer('10.0.0.2:65002', { ...QUERY, exclude: [] }, FILLING, { origin: null, requestId: '' });
    assert.ok(jobs[0]!.kind === 'peer');
    assert.deepEqual(Object.keys(jobs[0]!.headers), ['shoal-auth']);
  });

  it('signs a stat as well', () => {
    const query = { key: KEY, shard: 1, node: 'n:1', zone: 'z', parent: 'p:2', report: 'slow' } as const;
    void transfers.stat('10.0.0.2:65002', query);
    const job = jobs[0]!;
    assert.ok(job.kind === 'stat');
    assert.equal(secret.verify(job.headers['shoal-auth']!, 'GET', job.path, clock.wallMs(), job.headers['shoal-origin']), true);
    const [path, rest] = job.path.split('?') as [string, string];
    assert.deepEqual(parseStat(path, rest), query);
  });

  it('reads so many shards at once from the origin, the rest in turn', async () => {
    const all = Array.from({ length: ORIGIN_SHARDS_MAX + 2 }, () => transfers.origin(ORIGIN, FILLING, 0));
    await settled();
    assert.equal(jobs.length, ORIGIN_SHARDS_MAX);
    ends[0]!({ kind: 'failed', error: { code: 'ORIGIN_BROKEN', message: 'x' }, receivedBytes: 100 });
    assert.equal((await all[0]!).kind, 'failed');
    await settled();
    assert.equal(jobs.length, ORIGIN_SHARDS_MAX + 1);
  });

  it('writes an audit line for each read at the origin, of its own bytes, negative when it failed', async () => {
    const [good, bad] = [transfers.origin(ORIGIN, FILLING, 0), transfers.origin(ORIGIN, FILLING, 0)];
    await settled();
    clock.advance(5);
    ends[0]!({ kind: 'data', totalBytes: 2_097_252, lengthBytes: 300, checksum: '' });
    ends[1]!({ kind: 'failed', error: { code: 'ORIGIN_BROKEN', message: 'x' }, receivedBytes: 100 });
    await Promise.all([good, bad]);
    assert.deepEqual(lines.map(([op, , offset, size, latencyUs]) => [op, offset, size, latencyUs]), [['download', 2_097_252, 200, 5_000], ['download', 2_097_252, -1, 5_000]]);
  });
});
