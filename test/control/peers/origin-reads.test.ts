import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import type { Observation } from '../../../lib/control/watch/observation.ts';
import type { Pools } from '../../../lib/control/threads/pools.ts';
import {
  CREDENTIAL_HOLD_BEFORE_MS,
  CREDENTIAL_HOLD_MS,
  CREDENTIAL_LOOK_MS,
  HOLD_GATHER_MS,
  RANGE_SUPPORT_TTL_MS,
} from '../../../lib/control/peers/limits.ts';
import { OriginReads } from '../../../lib/control/peers/origin-reads.ts';
import type { ReadHow } from '../../../lib/control/peers/read-how.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { ORIGIN_GATHER_MS } from '../../../lib/swarm/limits.ts';
import type {
  OriginReadJob,
  OriginReadNews,
  OriginReadResult,
} from '../../../lib/workers/origin-read.ts';
import type { HoldJob } from '../../../lib/workers/pool.ts';
import { settled } from '../fixture.ts';

const OPTIONS = {
  url: 'https://r.example/v2/a/blobs/sha256:0?x=1',
  upstreamHost: 'r.example',
  authorization: 'Bearer opaque',
};
const TOTAL_BYTES = 40 * SHARD_BYTES;
const DATA = {
  kind: 'data',
  totalBytes: TOTAL_BYTES,
  lengthBytes: SHARD_BYTES,
  checksum: '',
} as const;

interface Sent {
  job: OriginReadJob;
  mayStream: boolean;
  tell(news: OriginReadNews): void;
  end(): void;
}

describe('control/origin-reads', () => {
  let clock: ManualClock;
  let sent: Sent[];
  let holds: { job: HoldJob; opened: (opened: boolean) => void }[];
  let reads: OriginReads;

  beforeEach(() => {
    [clock, sent, holds] = [new ManualClock(), [], []];
    const pools = {
      origin: (job: OriginReadJob, tell: Sent['tell'], mayStream: boolean) =>
        new Promise<void>((end) => sent.push({ job, mayStream, tell, end })),
      hold: (job: HoldJob) => new Promise<boolean>((opened) => holds.push({ job, opened })),
    } as unknown as Pools;
    reads = new OriginReads({
      pools,
      clock,
      observation: { probe: null } as unknown as Observation,
      vouching: { isVouched: () => true },
    });
  });

  const read = (
    shard: number,
    mayStream = true,
    how: Partial<ReadHow> = {},
  ): Promise<OriginReadResult> =>
    reads.read(
      OPTIONS,
      { slot: shard, attempt: 1, shard, fromBytes: 0, totalBytes: TOTAL_BYTES, digest: null },
      { sliceBytes: 0, alone: true, isOnBehalf: false, mayStream, ...how },
    );
  const head = (ranges: 'parts' | 'whole'): OriginReadNews => ({
    kind: 'head',
    ranges,
    totalBytes: TOTAL_BYTES,
    atHome: true,
  });
  const shards = (): number[] => sent.map(({ job }) => job.parts[0]!.shard);

  it('lets the first read of an object find out alone what the origin does', async () => {
    for (const shard of [0, 1, 2]) void read(shard);
    await settled();
    assert.deepEqual([shards(), sent[0]!.mayStream], [[0], true]);
    sent[0]!.tell(head('parts'));
    await settled();
    assert.deepEqual(shards(), [0, 1, 2]);
    assert.deepEqual(
      sent.slice(1).map(({ mayStream, job }) => [mayStream, job.ranges]),
      [
        [false, 'parts'],
        [false, 'parts'],
      ],
    );
  });

  it('asks for shards that other nodes want together, once a head has told the size', async () => {
    const others = (shard: number): void =>
      void reads.read(
        OPTIONS,
        { slot: shard, attempt: 1, shard, fromBytes: 0, totalBytes: null, digest: null },
        { sliceBytes: 0, alone: false, isOnBehalf: true },
      );
    const asked = (): number[][] => sent.map(({ job }) => job.parts.map(({ shard }) => shard));
    for (let shard = 0; shard < 12; shard++) others(shard);
    clock.advance(ORIGIN_GATHER_MS);
    await settled();
    assert.deepEqual(asked(), [[0]], 'how many there are is not known yet');
    sent[0]!.tell(head('parts'));
    clock.advance(ORIGIN_GATHER_MS);
    await settled();
    sent[0]!.tell(DATA);
    sent[0]!.end();
    clock.advance(1_000);
    await settled();
    const [, together = []] = asked();
    assert.deepEqual(together, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(sent[1]!.job.totalBytes, TOTAL_BYTES);
  });

  it('forgets the size that an answer told which failed', async () => {
    const how = { sliceBytes: 0, alone: false, isOnBehalf: true };
    for (const shard of [0, 1, 2])
      void reads.read(
        OPTIONS,
        { slot: shard, attempt: 1, shard, fromBytes: 0, totalBytes: null, digest: null },
        how,
      );
    clock.advance(ORIGIN_GATHER_MS);
    await settled();
    sent[0]!.tell(head('parts'));
    await settled();
    const error = { code: 'ORIGIN_BROKEN', message: 'broken off', status: 502 } as const;
    sent[0]!.tell({ kind: 'failed', error, receivedBytes: 0 });
    sent[0]!.end();
    clock.advance(1_000);
    await settled();
    assert.deepEqual(
      sent.slice(1).map(({ job }) => [job.parts.length, job.totalBytes]),
      [[1, null]],
    );
  });

  it('sends all reads of a whole answer to the thread that has it, in order', async () => {
    for (const shard of [0, 3, 1]) void read(shard);
    await settled();
    sent[0]!.tell(head('whole'));
    await settled();
    assert.deepEqual(shards(), [0, 1, 3]);
    assert.ok(sent.every(({ mayStream }) => mayStream));
    assert.equal(reads.support(OPTIONS), 'whole');
    clock.advance(RANGE_SUPPORT_TTL_MS);
    assert.equal(reads.support(OPTIONS), 'unknown');
  });

  it('reads the whole object if the origin serves ranges, but not of this one', async () => {
    reads.note({ ...OPTIONS, url: 'https://r.example/other' }, 'parts');
    const result = read(2);
    await settled();
    assert.equal(sent[0]!.mayStream, false);
    const error = { code: 'ORIGIN_BROKEN', message: 'x' } as const;
    sent[0]!.tell({ kind: 'failed', error, receivedBytes: 0, wholeOnly: true });
    sent[0]!.end();
    await settled();
    assert.deepEqual([sent[1]!.mayStream, sent[1]!.job.ranges], [true, 'whole']);
    sent[1]!.tell(DATA);
    assert.equal((await result).kind, 'data');
  });

  it('leaves the whole to the node whose it is', async () => {
    reads.note(OPTIONS, 'whole');
    const result = await read(5, false);
    assert.deepEqual([result.kind === 'failed' && result.wholeOnly, sent.length], [true, 0]);
  });

  it('tells the reads that wait when the first one meets silence', async () => {
    const all = [read(0), read(1), read(2)];
    await settled();
    const error = { code: 'ORIGIN_TIMEOUT', message: 'silent' } as const;
    sent[0]!.tell({ kind: 'failed', error, receivedBytes: 0 });
    sent[0]!.end();
    for (const result of await Promise.all(all)) assert.equal(result.kind, 'failed');
    assert.equal(sent.length, 1);
  });

  it('lets the next one try when the first one fails otherwise', async () => {
    void read(0);
    void read(1);
    await settled();
    const error = { code: 'ORIGIN_BROKEN', message: 'x' } as const;
    sent[0]!.tell({ kind: 'failed', error, receivedBytes: 0 });
    sent[0]!.end();
    await settled();
    assert.deepEqual(shards(), [0, 1]);
  });

  it('proves the right to read by a read with the same credential', async () => {
    void read(0);
    await settled();
    const proof = reads.proofOf(OPTIONS);
    assert.ok(proof !== null);
    assert.equal(reads.proofOf({ ...OPTIONS, authorization: 'Bearer other' }), null);
    sent[0]!.tell(head('parts'));
    assert.deepEqual(await proof, { kind: 'granted', totalBytes: TOTAL_BYTES });
  });

  it('takes a refusal of such a read for one of the check, and nothing else', async () => {
    for (const [status, kind] of [
      [401, 'failed'],
      [503, undefined],
    ] as const) {
      void read(0);
      await settled();
      const proof = reads.proofOf(OPTIONS);
      const error = { code: 'ORIGIN_REFUSED', message: 'no', status } as const;
      sent.at(-1)!.tell({ kind: 'failed', error, receivedBytes: 0 });
      sent.at(-1)!.end();
      assert.equal((await proof)?.kind, kind);
      await settled();
    }
  });

  describe('a credential that may end', () => {
    beforeEach(async () => {
      void read(0);
      await settled();
      sent[0]!.tell(head('parts'));
      for (let shard = 1; shard < 20; shard++) void read(shard);
      await settled();
    });

    it('has the rest of the object come in one request, which waiting reads share', async () => {
      const before = shards();
      clock.advance(CREDENTIAL_HOLD_MS + CREDENTIAL_LOOK_MS);
      await settled();
      assert.equal(holds.length, 1);
      assert.equal(holds[0]!.job.fromBytes, before.length * SHARD_BYTES);
      holds[0]!.opened(true);
      await settled();
      assert.equal(sent.length, 20);
      assert.ok(sent.slice(before.length).every(({ mayStream }) => mayStream));
      clock.advance(CREDENTIAL_HOLD_MS);
      assert.equal(holds.length, 1, 'one is enough');
    });

    it('goes on as before when that is refused, and does not ask so again', async () => {
      const before = sent.length;
      clock.advance(CREDENTIAL_HOLD_MS + CREDENTIAL_LOOK_MS);
      await settled();
      holds[0]!.opened(false);
      await settled();
      assert.equal(sent.length, before, 'the others wait for their turn');
      clock.advance(10 * CREDENTIAL_LOOK_MS);
      await settled();
      assert.equal(holds.length, 1);
    });
  });

  describe('a credential that may end, in a swarm', () => {
    const isMoved = (result: OriginReadResult): boolean =>
      result.kind === 'failed' && result.wholeOnly === true;
    const inSwarm = { alone: false };

    beforeEach(async () => {
      void read(0, false, inSwarm);
      await settled();
    });

    it('the other nodes leave the rest to the node that may read the whole blob', async () => {
      sent[0]!.tell(head('parts'));
      const waiting = Array.from({ length: 40 }, (_, at) => read(at + 1, false, inSwarm));
      await settled();
      const running = sent.length - 1;
      clock.advance(CREDENTIAL_HOLD_MS + CREDENTIAL_LOOK_MS);
      await settled();
      const moved = await Promise.all(waiting.slice(running));
      assert.ok(moved.length > 0 && moved.every(isMoved), 'those that were not sent yet');
      assert.equal(reads.support(OPTIONS), 'whole', 'later reads go there at once');
      assert.ok(isMoved(await read(50, false, inSwarm)));
      assert.equal(holds.length, 0);
    });

    it('that node asks for the rest in one request', async () => {
      sent[0]!.tell(head('parts'));
      clock.advance(CREDENTIAL_HOLD_MS);
      for (const shard of [7, 5]) void read(shard, true, inSwarm);
      clock.advance(HOLD_GATHER_MS);
      await settled();
      assert.deepEqual(
        holds.map(({ job }) => job.fromBytes),
        [5 * SHARD_BYTES],
      );
    });

    it('a redirect target is used until it expires itself', async () => {
      const endsMs = clock.wallMs() + 2 * CREDENTIAL_HOLD_MS + CREDENTIAL_HOLD_BEFORE_MS;
      const url = `https://store.example/x?se=${new Date(endsMs).toISOString()}`;
      sent[0]!.tell({
        ...head('parts'),
        redirect: { url, referer: undefined },
        isPlain: true,
      } as OriginReadNews);
      clock.advance(CREDENTIAL_HOLD_MS);
      void read(1, false, inSwarm);
      await settled();
      assert.deepEqual(
        sent.map(({ job }) => [job.redirect?.url, job.isPlain]),
        [
          [undefined, false],
          [url, true],
        ],
        'whichever thread reads next',
      );
      clock.advance(CREDENTIAL_HOLD_MS);
      assert.ok(isMoved(await read(2, false, inSwarm)));
    });
  });
});
