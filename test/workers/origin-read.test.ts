import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { ShoalError } from '../../lib/errors.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
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
