import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { ShoalError } from '../../lib/errors.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { SLICE_FIRST_BYTES_MIN } from '../../lib/workers/limits.ts';
import type { OriginClient } from '../../lib/origin/client.ts';
import type { OriginSink } from '../../lib/origin/range-reader.ts';
import {
  readFromOrigin,
  type OriginPart,
  type OriginReadJob,
  type OriginReadResult,
} from '../../lib/workers/origin-read.ts';
import { transferTools } from './peer/peer-server.ts';

const SHARD = randomBytes(SHARD_BYTES);
const PART: OriginPart = { slot: 0, attempt: 1, shard: 1, fromBytes: 0, sliceBytes: 0 };
const JOB: OriginReadJob = {
  kind: 'origin',
  parts: [PART],
  totalBytes: null,
  digest: null,
  url: 'https://r.example/b',
  upstreamHost: 'r.example',
  authorization: 'Bearer t',
  ranges: 'unknown',
  mayStream: true,
};

describe('workers/origin-read', () => {
  let tools: ReturnType<typeof transferTools>;
  beforeEach(() => (tools = transferTools()));

  /**
   * Carries out a job with an origin that does what `play` does with the sink, for each request.
   */
  async function readAll(
    play: (sink: OriginSink, request: number) => void,
    job: Partial<OriginReadJob>,
    asked: unknown[] = [],
  ): Promise<[OriginReadResult, OriginPart][]> {
    const results: [OriginReadResult, OriginPart][] = [];
    const origin = {
      readRange: async (target: unknown, span: unknown, sink: OriginSink) => (
        asked.push(target, span),
        play(sink, asked.length / 2)
      ),
    } as unknown as OriginClient;
    await readFromOrigin({ ...JOB, ...job }, origin, tools, (result, part) =>
      results.push([result, part]),
    );
    return results;
  }

  /** The same for one part. */
  function read(
    play: (sink: OriginSink) => void,
    { totalBytes = null, digest = null, ...part }: Partial<OriginPart & OriginReadJob> = {},
  ): Promise<OriginReadResult> & { asked: unknown[] } {
    const asked: unknown[] = [];
    const only = readAll(play, { totalBytes, digest, parts: [{ ...PART, ...part }] }, asked).then(
      (results) => {
        assert.equal(results.length, 1);
        return results[0]![0];
      },
    );
    return Object.assign(only, { asked });
  }

  const send = (sink: OriginSink, bytes: Uint8Array, totalBytes: number): void => {
    sink.head({ totalBytes, startBytes: SHARD_BYTES, lengthBytes: bytes.length });
    for (let at = 0; at < bytes.length; at += 65_536) sink.data(bytes.subarray(at, at + 65_536));
  };

  it('asks for the rest of the shard, and releases it to clients as it comes', async () => {
    const reading = read(
      (sink) => {
        sink.head({
          totalBytes: 3 * SHARD_BYTES,
          startBytes: SHARD_BYTES + 100,
          lengthBytes: SHARD_BYTES - 100,
        });
        sink.data(SHARD.subarray(100, 5_000));
        assert.deepEqual([tools.arena.received(0), tools.arena.released(0)], [5_000, 5_000]);
        sink.data(SHARD.subarray(5_000));
      },
      { fromBytes: 100 },
    );
    tools.arena.bytes(0).set(SHARD.subarray(0, 100));
    assert.deepEqual(await reading, {
      kind: 'data',
      totalBytes: 3 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: checksumOf(SHARD).toString('hex'),
    });
    assert.deepEqual(reading.asked, [
      { url: 'https://r.example/b', upstreamHost: 'r.example', authorization: 'Bearer t' },
      { offsetBytes: SHARD_BYTES + 100, lengthBytes: SHARD_BYTES - 100, totalBytes: null },
    ]);
    assert.equal(tools.arena.total(0), 3 * SHARD_BYTES);
  });

  describe('the slice first', () => {
    const [SLICE, TOTAL] = [1_500_000, 3 * SHARD_BYTES];
    const part = (
      sink: OriginSink,
      fromBytes: number,
      toBytes: number,
      each: () => void = () => undefined,
    ): void => {
      sink.head({
        totalBytes: TOTAL,
        startBytes: SHARD_BYTES + fromBytes,
        lengthBytes: toBytes - fromBytes,
      });
      for (let at = fromBytes; at < toBytes; at += 65_536) {
        sink.data(SHARD.subarray(at, Math.min(toBytes, at + 65_536)));
        each();
      }
    };
    const spans = (asked: unknown[]): unknown[] => asked.filter((_, index) => index % 2 === 1);

    it('is asked for and released before what lies below it, each byte once', async () => {
      let [ahead, parts] = [0, 0];
      const reading = read(
        (sink) => {
          if (parts++ === 0)
            part(
              sink,
              SLICE,
              SHARD_BYTES,
              () => (ahead = ahead === 0 ? tools.arena.sendableTo(0, SLICE) : ahead),
            );
          else
            part(sink, 0, SLICE, () =>
              assert.ok(
                tools.arena.sendableTo(0, SLICE) === SHARD_BYTES &&
                  tools.arena.received(0) <= SLICE,
              ),
            );
        },
        { sliceBytes: SLICE, totalBytes: TOTAL },
      );
      assert.deepEqual(await reading, {
        kind: 'data',
        totalBytes: TOTAL,
        lengthBytes: SHARD_BYTES,
        checksum: checksumOf(SHARD).toString('hex'),
      });
      assert.equal(ahead, SLICE + 65_536);
      assert.deepEqual(spans(reading.asked), [
        { offsetBytes: SHARD_BYTES + SLICE, lengthBytes: SHARD_BYTES - SLICE, totalBytes: TOTAL },
        { offsetBytes: SHARD_BYTES, lengthBytes: SLICE, totalBytes: TOTAL },
      ]);
      assert.deepEqual(
        [tools.arena.received(0), tools.arena.released(0)],
        [SHARD_BYTES, SHARD_BYTES],
      );
    });

    it('does not count as received when what lies below it fails', async () => {
      let parts = 0;
      const reading = read(
        (sink) => {
          if (parts++ === 0) part(sink, SLICE, SHARD_BYTES);
          else throw new ShoalError('ORIGIN_BROKEN', 'gone');
        },
        { sliceBytes: SLICE, totalBytes: TOTAL },
      );
      const result = await reading;
      assert.ok(result.kind === 'failed' && result.receivedBytes === 0);
      assert.equal(tools.arena.received(0), 0);
    });

    for (const [why, more] of [
      [
        'it begins near the start anyway',
        { sliceBytes: SLICE_FIRST_BYTES_MIN - 1, totalBytes: TOTAL },
      ],
      ['the size is not known', { sliceBytes: SLICE, totalBytes: null }],
      ['it lies past the end', { sliceBytes: SLICE, totalBytes: SHARD_BYTES + 1_000 }],
      [
        'the blob is checked as a whole',
        { shard: 0, sliceBytes: 300_000, totalBytes: 400_000, digest: `sha256:${'00'.repeat(32)}` },
      ],
    ] as const) {
      it(`is not asked for apart when ${why}`, async () => {
        const reading = read(() => undefined, more);
        await reading;
        assert.deepEqual(
          (spans(reading.asked) as { offsetBytes: number }[]).map(
            ({ offsetBytes }) => offsetBytes % SHARD_BYTES,
          ),
          [0],
        );
      });
    }
  });

  it('keeps a blob of one shard from clients until it has its digest', async () => {
    const bytes = SHARD.subarray(0, 1_000);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const play = (sink: OriginSink): void => {
      sink.head({ totalBytes: 1_000, startBytes: 0, lengthBytes: 1_000 });
      sink.data(bytes);
      assert.equal(tools.arena.released(0), 0);
    };
    assert.equal((await read(play, { shard: 0, digest })).kind, 'data');
    const wrong = await read(play, { shard: 0, digest: `sha256:${'00'.repeat(32)}` });
    assert.ok(wrong.kind === 'failed' && wrong.error.code === 'DIGEST_MISMATCH');
    assert.equal(tools.arena.released(0), 0);
  });

  it('takes neither more nor less than the shard', async () => {
    const more = await read((sink) =>
      send(sink, Buffer.concat([SHARD, SHARD.subarray(0, 1)]), 3 * SHARD_BYTES),
    );
    assert.ok(more.kind === 'failed' && more.error.code === 'ORIGIN_BROKEN');
    const less = await read((sink) => send(sink, SHARD.subarray(0, 777), 3 * SHARD_BYTES));
    assert.ok(less.kind === 'failed' && less.error.code === 'ORIGIN_BROKEN');
    assert.equal(less.receivedBytes, 777);
  });

  it('does not mix two versions of a blob', async () => {
    const result = await read((sink) => send(sink, SHARD, 4 * SHARD_BYTES), {
      totalBytes: 3 * SHARD_BYTES,
    });
    assert.ok(result.kind === 'failed' && result.error.code === 'ORIGIN_BROKEN');
    assert.equal(tools.arena.received(0), 0);
  });

  it('passes on why the origin failed, with what is here already', async () => {
    const result = await read((sink) => {
      sink.head({ totalBytes: 3 * SHARD_BYTES, startBytes: SHARD_BYTES, lengthBytes: SHARD_BYTES });
      sink.data(SHARD.subarray(0, 500));
      throw new ShoalError('ORIGIN_REFUSED', 'expired', { status: 403 });
    });
    assert.deepEqual(result, {
      kind: 'failed',
      error: { code: 'ORIGIN_REFUSED', message: 'expired', status: 403 },
      receivedBytes: 500,
    });
  });

  it('tells the origin client when control has cancelled this attempt', async () => {
    const seen: boolean[] = [];
    await read(
      (sink) => {
        tools.arena.cancel(0, 1);
        seen.push(sink.stopped());
        tools.arena.cancel(0, 2);
        seen.push(sink.stopped());
      },
      { attempt: 2 },
    );
    assert.deepEqual(seen, [false, true]);
  });

  describe('several parts', () => {
    const TOTAL = 4 * SHARD_BYTES + 1_000;
    const BLOB = Buffer.concat([SHARD, randomBytes(TOTAL - SHARD_BYTES)]);
    const parts = [2, 3, 4].map((shard, at): OriginPart => ({ ...PART, slot: at, shard }));
    const job = { parts, totalBytes: TOTAL };
    beforeEach(() => (tools = transferTools(3)));
    /** Sends the blob's bytes [fromBytes, toBytes) in pieces that do not end where shards do. */
    const play = (sink: OriginSink, fromBytes: number, toBytes = TOTAL): void => {
      sink.head({ totalBytes: TOTAL, startBytes: fromBytes, lengthBytes: TOTAL - fromBytes });
      for (let at = fromBytes; at < toBytes; at += 300_000)
        sink.data(BLOB.subarray(at, Math.min(toBytes, at + 300_000)));
    };
    const spans = (asked: unknown[]): [number, number][] =>
      asked
        .filter((_, index) => index % 2 === 1)
        .map((span) => [
          (span as { offsetBytes: number }).offsetBytes,
          (span as { lengthBytes: number }).lengthBytes,
        ]);
    const shardOf = (index: number): Buffer =>
      BLOB.subarray(index * SHARD_BYTES, Math.min(TOTAL, (index + 1) * SHARD_BYTES));
    const done = (index: number): OriginReadResult => ({
      kind: 'data',
      totalBytes: TOTAL,
      lengthBytes: shardOf(index).length,
      checksum: checksumOf(shardOf(index)).toString('hex'),
    });

    it('come in one request, each in its slot, and each is told of when it is there', async () => {
      const asked: unknown[] = [];
      const told: number[] = [];
      const origin = {
        readRange: async (_: unknown, span: unknown, sink: OriginSink) => (
          asked.push(_, span),
          play(sink, 2 * SHARD_BYTES, 3 * SHARD_BYTES + 5),
          told.push(-1),
          sink.data(BLOB.subarray(3 * SHARD_BYTES + 5))
        ),
      } as unknown as OriginClient;
      const results: OriginReadResult[] = [];
      await readFromOrigin(
        { ...JOB, ...job },
        origin,
        tools,
        (result, part) => (results.push(result), told.push(part.shard)),
      );
      assert.deepEqual(told, [2, -1, 3, 4], 'the first before the rest was there');
      assert.deepEqual(results, [2, 3, 4].map(done));
      assert.deepEqual(spans(asked), [[2 * SHARD_BYTES, 3 * SHARD_BYTES]]);
      for (const { slot, shard } of parts) {
        assert.ok(
          Buffer.from(tools.arena.bytes(slot, 0, shardOf(shard).length)).equals(shardOf(shard)),
        );
        assert.deepEqual(
          [tools.arena.released(slot), tools.arena.length(slot), tools.arena.total(slot)],
          [shardOf(shard).length, shardOf(shard).length, TOTAL],
        );
      }
    });

    it("are put in place without a step over a slot's end", async () => {
      const results = await readAll((sink) => {
        sink.head({
          totalBytes: TOTAL,
          startBytes: 2 * SHARD_BYTES,
          lengthBytes: TOTAL - 2 * SHARD_BYTES,
        });
        for (let at = 2 * SHARD_BYTES; at < TOTAL;) {
          const room = sink.room(700_000);
          const bytes = BLOB.subarray(at, Math.min(TOTAL, at + room.length));
          room.set(bytes);
          sink.placed(bytes.length);
          at += bytes.length;
        }
      }, job);
      assert.deepEqual(
        results.map(([result]) => result),
        [2, 3, 4].map(done),
      );
    });

    it('fail together from where the origin broke off', async () => {
      const results = await readAll(
        (sink) => play(sink, 2 * SHARD_BYTES, 3 * SHARD_BYTES + 777),
        job,
      );
      assert.deepEqual(
        results.map(([result]) =>
          result.kind === 'failed' ? [result.error.code, result.receivedBytes] : result.kind,
        ),
        ['data', ['ORIGIN_BROKEN', 777], ['ORIGIN_BROKEN', 0]],
      );
    });

    it('that nobody wants any more are left out, and the rest is asked for anew', async () => {
      const asked: unknown[] = [];
      tools.arena.cancel(1, 1);
      const before = await readAll(
        (sink, request) =>
          play(
            sink,
            (request === 1 ? 2 : 4) * SHARD_BYTES,
            request === 1 ? 3 * SHARD_BYTES : TOTAL,
          ),
        job,
        asked,
      );
      assert.deepEqual(
        before.map(([result]) => (result.kind === 'failed' ? result.error.code : 'data')),
        ['data', 'CANCELLED', 'data'],
      );
      assert.deepEqual(spans(asked), [
        [2 * SHARD_BYTES, SHARD_BYTES],
        [4 * SHARD_BYTES, SHARD_BYTES],
      ]);
    });

    it('are broken off when the one at hand is not wanted any more, and the rest is asked for anew', async () => {
      const asked: unknown[] = [];
      const results = await readAll(
        (sink, request) => {
          if (request === 1) {
            play(sink, 2 * SHARD_BYTES, 2 * SHARD_BYTES + 600_000);
            tools.arena.cancel(0, 1);
            assert.ok(sink.stopped());
            throw new ShoalError('CANCELLED', 'not wanted any more');
          }
          play(sink, 3 * SHARD_BYTES);
        },
        job,
        asked,
      );
      assert.deepEqual(
        results.map(([result]) =>
          result.kind === 'failed' ? [result.error.code, result.receivedBytes] : 'data',
        ),
        [['CANCELLED', 600_000], 'data', 'data'],
      );
      assert.deepEqual(spans(asked), [
        [2 * SHARD_BYTES, 3 * SHARD_BYTES],
        [3 * SHARD_BYTES, 2 * SHARD_BYTES],
      ]);
    });
  });
});
