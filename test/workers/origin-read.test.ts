import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { ShoalError } from '../../lib/errors.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES, SLICE_FIRST_BYTES_MIN } from '../../lib/limits.ts';
import type { OriginClient } from '../../lib/registry/origin.ts';
import type { OriginSink } from '../../lib/registry/range-reader.ts';
import { readFromOrigin, type OriginReadJob, type OriginReadResult } from '../../lib/workers/origin-read.ts';
import { transferTools } from './peer-server.ts';

const SHARD = randomBytes(SHARD_BYTES);
const JOB: OriginReadJob = { kind: 'origin', slot: 0, attempt: 1, shard: 1, fromBytes: 0, sliceBytes: 0, totalBytes: null, digest: null, url: 'https://r.example/b', upstreamHost: 'r.example', authorization: 'Bearer t' };

describe('workers/origin-read', () => {
  let tools: ReturnType<typeof transferTools>;
  beforeEach(() => (tools = transferTools()));

  /** Reads with an origin that does what `play` does with the sink. */
  function read(play: (sink: OriginSink) => void, more: Partial<OriginReadJob> = {}): Promise<OriginReadResult> & { asked: unknown[] } {
    const asked: unknown[] = [];
    const origin = { readRange: async (target: unknown, span: unknown, sink: OriginSink) => (asked.push(target, span), play(sink)) } as unknown as OriginClient;
    return Object.assign(readFromOrigin({ ...JOB, ...more }, origin, tools), { asked });
  }

  const send = (sink: OriginSink, bytes: Uint8Array, totalBytes: number): void => {
    sink.head({ totalBytes, startBytes: SHARD_BYTES, lengthBytes: bytes.length });
    for (let at = 0; at < bytes.length; at += 65_536) sink.data(bytes.subarray(at, at + 65_536));
  };

  it('asks for the rest of the shard, and releases it to clients as it comes', async () => {
    const reading = read((sink) => {
      sink.head({ totalBytes: 3 * SHARD_BYTES, startBytes: SHARD_BYTES + 100, lengthBytes: SHARD_BYTES - 100 });
      sink.data(SHARD.subarray(100, 5_000));
      assert.deepEqual([tools.arena.received(0), tools.arena.released(0)], [5_000, 5_000]);
      sink.data(SHARD.subarray(5_000));
    }, { fromBytes: 100 });
    tools.arena.bytes(0).set(SHARD.subarray(0, 100));
    assert.deepEqual(await reading, { kind: 'data', totalBytes: 3 * SHARD_BYTES, lengthBytes: SHARD_BYTES, checksum: checksumOf(SHARD).toString('hex') });
    assert.deepEqual(reading.asked, [
      { url: 'https://r.example/b', upstreamHost: 'r.example', authorization: 'Bearer t' },
      { offsetBytes: SHARD_BYTES + 100, lengthBytes: SHARD_BYTES - 100, totalBytes: null },
    ]);
    assert.equal(tools.arena.total(0), 3 * SHARD_BYTES);
  });

  describe('the slice first', () => {
    const [SLICE, TOTAL] = [1_500_000, 3 * SHARD_BYTES];
    const part = (sink: OriginSink, fromBytes: number, toBytes: number, each: () => void = () => undefined): void => {
      sink.head({ totalBytes: TOTAL, startBytes: SHARD_BYTES + fromBytes, lengthBytes: toBytes - fromBytes });
      for (let at = fromBytes; at < toBytes; at += 65_536) {
        sink.data(SHARD.subarray(at, Math.min(toBytes, at + 65_536)));
        each();
      }
    };
    const spans = (asked: unknown[]): unknown[] => asked.filter((_, index) => index % 2 === 1);

    it('is asked for and released before what lies below it, each byte once', async () => {
      let [ahead, parts] = [0, 0];
      const reading = read((sink) => {
        if (parts++ === 0) part(sink, SLICE, SHARD_BYTES, () => (ahead = ahead === 0 ? tools.arena.sendableTo(0, SLICE) : ahead));
        else part(sink, 0, SLICE, () => assert.ok(tools.arena.sendableTo(0, SLICE) === SHARD_BYTES && tools.arena.received(0) <= SLICE));
      }, { sliceBytes: SLICE, totalBytes: TOTAL });
      assert.deepEqual(await reading, { kind: 'data', totalBytes: TOTAL, lengthBytes: SHARD_BYTES, checksum: checksumOf(SHARD).toString('hex') });
      assert.equal(ahead, SLICE + 65_536);
      assert.deepEqual(spans(reading.asked), [
        { offsetBytes: SHARD_BYTES + SLICE, lengthBytes: SHARD_BYTES - SLICE, totalBytes: TOTAL },
        { offsetBytes: SHARD_BYTES, lengthBytes: SLICE, totalBytes: TOTAL },
      ]);
      assert.deepEqual([tools.arena.received(0), tools.arena.released(0)], [SHARD_BYTES, SHARD_BYTES]);
    });

    it('does not count as received when what lies below it fails', async () => {
      let parts = 0;
      const reading = read((sink) => {
        if (parts++ === 0) part(sink, SLICE, SHARD_BYTES);
        else throw new ShoalError('ORIGIN_BROKEN', 'gone');
      }, { sliceBytes: SLICE, totalBytes: TOTAL });
      const result = await reading;
      assert.ok(result.kind === 'failed' && result.receivedBytes === 0);
      assert.equal(tools.arena.received(0), 0);
    });

    for (const [why, more] of [
      ['it begins near the start anyway', { sliceBytes: SLICE_FIRST_BYTES_MIN - 1, totalBytes: TOTAL }],
      ['the size is not known', { sliceBytes: SLICE, totalBytes: null }],
      ['it lies past the end', { sliceBytes: SLICE, totalBytes: SHARD_BYTES + 1_000 }],
      ['the blob is checked as a whole', { shard: 0, sliceBytes: 300_000, totalBytes: 400_000, digest: `sha256:${'00'.repeat(32)}` }],
    ] as const) {
      it(`is not asked for apart when ${why}`, async () => {
        const reading = read(() => undefined, more);
        await reading;
        assert.deepEqual((spans(reading.asked) as { offsetBytes: number }[]).map(({ offsetBytes }) => offsetBytes % SHARD_BYTES), [0]);
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
    const more = await read((sink) => send(sink, Buffer.concat([SHARD, SHARD.subarray(0, 1)]), 3 * SHARD_BYTES));
    assert.ok(more.kind === 'failed' && more.error.code === 'ORIGIN_BROKEN');
    const less = await read((sink) => send(sink, SHARD.subarray(0, 777), 3 * SHARD_BYTES));
    assert.ok(less.kind === 'failed' && less.error.code === 'ORIGIN_BROKEN');
    assert.equal(less.receivedBytes, 777);
  });

  it('does not mix two versions of a blob', async () => {
    const result = await read((sink) => send(sink, SHARD, 4 * SHARD_BYTES), { totalBytes: 3 * SHARD_BYTES });
    assert.ok(result.kind === 'failed' && result.error.code === 'ORIGIN_BROKEN');
    assert.equal(tools.arena.received(0), 0);
  });

  it('passes on why the origin failed, with what is here already', async () => {
    const result = await read((sink) => {
      sink.head({ totalBytes: 3 * SHARD_BYTES, startBytes: SHARD_BYTES, lengthBytes: SHARD_BYTES });
      sink.data(SHARD.subarray(0, 500));
      throw new ShoalError('ORIGIN_REFUSED', 'expired', { status: 403 });
    });
    assert.deepEqual(result, { kind: 'failed', error: { code: 'ORIGIN_REFUSED', message: 'expired', status: 403 }, receivedBytes: 500 });
  });

  it('tells the origin client when control has cancelled this attempt', async () => {
    const seen: boolean[] = [];
    await read((sink) => {
      tools.arena.cancel(0, 1);
      seen.push(sink.stopped());
      tools.arena.cancel(0, 2);
      seen.push(sink.stopped());
    }, { attempt: 2 });
    assert.deepEqual(seen, [false, true]);
  });
});
