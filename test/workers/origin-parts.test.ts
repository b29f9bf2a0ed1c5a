import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { ShoalError } from '../../lib/errors.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import type { OriginClient } from '../../lib/origin/client.ts';
import type { OriginSink } from '../../lib/origin/range-reader.ts';
import {
  readFromOrigin,
  type OriginPart,
  type OriginReadResult,
} from '../../lib/workers/origin-read.ts';
import { JOB, PART, readParts, SHARD, spansOf, turnEnd } from './origin-read-fixture.ts';
import { transferTools } from './peer/peer-server.ts';

describe('workers/origin-read: several shards of one blob', () => {
  const TOTAL = 4 * SHARD_BYTES + 1_000;
  const BLOB = Buffer.concat([SHARD, randomBytes(TOTAL - SHARD_BYTES)]);
  const parts = [2, 3, 4].map((shard, at): OriginPart => ({ ...PART, slot: at, shard }));
  const job = { parts, totalBytes: TOTAL };
  let tools: ReturnType<typeof transferTools>;
  beforeEach(() => (tools = transferTools(3)));

  /** Sends the blob's bytes [fromBytes, toBytes) in pieces that do not end where shards do. */
  const play = (sink: OriginSink, fromBytes: number, toBytes = TOTAL): void => {
    sink.head({ totalBytes: TOTAL, startBytes: fromBytes, lengthBytes: TOTAL - fromBytes });
    for (let at = fromBytes; at < toBytes; at += 300_000)
      sink.data(BLOB.subarray(at, Math.min(toBytes, at + 300_000)));
  };
  const spans = (asked: unknown[]): [number, number][] =>
    spansOf(asked).map(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes]);
  const shardOf = (index: number): Buffer =>
    BLOB.subarray(index * SHARD_BYTES, Math.min(TOTAL, (index + 1) * SHARD_BYTES));
  const done = (index: number): OriginReadResult => ({
    kind: 'data',
    totalBytes: TOTAL,
    lengthBytes: shardOf(index).length,
    checksum: checksumOf(shardOf(index)).toString('hex'),
  });

  it('are read in one request, each into its slot, and each reported when complete', async () => {
    const asked: unknown[] = [];
    const told: number[] = [];
    const origin = {
      readRange: async (_: unknown, span: unknown, sink: OriginSink) => (
        asked.push(_, span),
        play(sink, 2 * SHARD_BYTES, 3 * SHARD_BYTES + 5),
        await turnEnd(),
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
    assert.deepEqual(told, [2, -1, 3, 4], 'the first before the rest had arrived');
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

  it("are placed without writing past a slot's end", async () => {
    const results = await readParts(
      tools,
      (sink) => {
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
      },
      job,
    );
    assert.deepEqual(
      results.map(([result]) => result),
      [2, 3, 4].map(done),
    );
  });

  it('fail together from the byte where the origin stopped', async () => {
    const results = await readParts(
      tools,
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

  it('are left out when cancelled before their turn; the rest is requested again', async () => {
    const asked: unknown[] = [];
    tools.arena.cancel(1, 1);
    const before = await readParts(
      tools,
      (sink, request) =>
        play(sink, (request === 1 ? 2 : 4) * SHARD_BYTES, request === 1 ? 3 * SHARD_BYTES : TOTAL),
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

  it('stop when the current one is cancelled; the rest is requested again', async () => {
    const asked: unknown[] = [];
    const results = await readParts(
      tools,
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
