import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ShoalError } from '../../lib/errors.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import type { OriginTarget } from '../../lib/origin-target.ts';
import { SLICE_FIRST_BYTES_MIN } from '../../lib/workers/limits.ts';
import type { OriginSink } from '../../lib/origin/range-reader.ts';
import type { OriginPart, OriginReadJob, OriginReadResult } from '../../lib/workers/origin-read.ts';
import { PART, readParts, SHARD, spansOf, turnEnd } from './origin-read-fixture.ts';
import { transferTools } from './peer/peer-server.ts';

describe('workers/origin-read', () => {
  let tools: ReturnType<typeof transferTools>;
  beforeEach(() => (tools = transferTools()));

  /** Runs a job of one part; see readParts. */
  function read(
    play: (sink: OriginSink) => void | Promise<void>,
    { totalBytes = null, digest = null, ...part }: Partial<OriginPart & OriginReadJob> = {},
  ): Promise<OriginReadResult> & { asked: unknown[] } {
    const asked: unknown[] = [];
    const only = readParts(
      tools,
      play,
      { totalBytes, digest, parts: [{ ...PART, ...part }] },
      asked,
    ).then((results) => {
      assert.equal(results.length, 1);
      return results[0]![0];
    });
    return Object.assign(only, { asked });
  }

  const send = (sink: OriginSink, bytes: Uint8Array, totalBytes: number): void => {
    sink.head({ totalBytes, startBytes: SHARD_BYTES, lengthBytes: bytes.length });
    for (let at = 0; at < bytes.length; at += 65_536) sink.data(bytes.subarray(at, at + 65_536));
  };

  it('requests the rest of the shard and releases bytes as they arrive', async () => {
    const reading = read(
      async (sink) => {
        sink.head({
          totalBytes: 3 * SHARD_BYTES,
          startBytes: SHARD_BYTES + 100,
          lengthBytes: SHARD_BYTES - 100,
        });
        sink.data(SHARD.subarray(100, 5_000));
        assert.equal(tools.arena.received(0), 0, 'not within the read of the socket');
        await turnEnd();
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
    const [target, ...asked] = reading.asked as [OriginTarget, ...unknown[]];
    const { url, upstreamHost, authorization } = target;
    assert.deepEqual(
      [url, upstreamHost, authorization],
      ['https://r.example/b', 'r.example', 'Bearer t'],
    );
    assert.deepEqual(asked, [
      { offsetBytes: SHARD_BYTES + 100, lengthBytes: SHARD_BYTES - 100, totalBytes: null },
    ]);
    assert.equal(tools.arena.total(0), 3 * SHARD_BYTES);
  });

  it('asks for nothing when all bytes came before an earlier thread ended', async () => {
    tools.arena.bytes(0).set(SHARD);
    tools.arena.setLength(0, SHARD_BYTES, 3 * SHARD_BYTES);
    const reading = read(() => undefined, { fromBytes: SHARD_BYTES });
    assert.deepEqual(await reading, {
      kind: 'data',
      totalBytes: 3 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: checksumOf(SHARD).toString('hex'),
    });
    assert.deepEqual(reading.asked, []);
  });

  describe('the slice first', () => {
    const [SLICE, TOTAL] = [1_500_000, 3 * SHARD_BYTES];
    const part = async (
      sink: OriginSink,
      fromBytes: number,
      toBytes: number,
      each: () => void = () => undefined,
    ): Promise<void> => {
      sink.head({
        totalBytes: TOTAL,
        startBytes: SHARD_BYTES + fromBytes,
        lengthBytes: toBytes - fromBytes,
      });
      for (let at = fromBytes; at < toBytes; at += 65_536) {
        sink.data(SHARD.subarray(at, Math.min(toBytes, at + 65_536)));
        await turnEnd();
        each();
      }
    };

    it('is requested and released before the part below it, each byte once', async () => {
      let [ahead, parts] = [0, 0];
      const reading = read(
        async (sink) => {
          if (parts++ === 0)
            await part(
              sink,
              SLICE,
              SHARD_BYTES,
              () => (ahead = ahead === 0 ? tools.arena.sendableTo(0, SLICE) : ahead),
            );
          else
            await part(sink, 0, SLICE, () =>
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
      assert.deepEqual(spansOf(reading.asked), [
        { offsetBytes: SHARD_BYTES + SLICE, lengthBytes: SHARD_BYTES - SLICE, totalBytes: TOTAL },
        { offsetBytes: SHARD_BYTES, lengthBytes: SLICE, totalBytes: TOTAL },
      ]);
      assert.deepEqual(
        [tools.arena.received(0), tools.arena.released(0)],
        [SHARD_BYTES, SHARD_BYTES],
      );
    });

    it('does not count as received when the part below it fails', async () => {
      let parts = 0;
      const reading = read(
        async (sink) => {
          if (parts++ === 0) await part(sink, SLICE, SHARD_BYTES);
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
      it(`is not requested separately when ${why}`, async () => {
        const reading = read(() => undefined, more);
        await reading;
        assert.deepEqual(
          spansOf(reading.asked).map(({ offsetBytes }) => offsetBytes % SHARD_BYTES),
          [0],
        );
      });
    }
  });

  it('releases a blob of one shard only when its digest matches', async () => {
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

  it('fails if the origin sends more or less than the shard', async () => {
    const more = await read((sink) =>
      send(sink, Buffer.concat([SHARD, SHARD.subarray(0, 1)]), 3 * SHARD_BYTES),
    );
    assert.ok(more.kind === 'failed' && more.error.code === 'ORIGIN_BROKEN');
    const less = await read((sink) => send(sink, SHARD.subarray(0, 777), 3 * SHARD_BYTES));
    assert.ok(less.kind === 'failed' && less.error.code === 'ORIGIN_BROKEN');
    assert.equal(less.receivedBytes, 777);
  });

  it('fails if the size of the blob has changed', async () => {
    const result = await read((sink) => send(sink, SHARD, 4 * SHARD_BYTES), {
      totalBytes: 3 * SHARD_BYTES,
    });
    assert.ok(result.kind === 'failed' && result.error.code === 'ORIGIN_BROKEN');
    assert.equal(tools.arena.received(0), 0);
  });

  it('reports why the origin failed, how many bytes arrived and the size told', async () => {
    const result = await read((sink) => {
      sink.head({ totalBytes: 3 * SHARD_BYTES, startBytes: SHARD_BYTES, lengthBytes: SHARD_BYTES });
      sink.data(SHARD.subarray(0, 500));
      throw new ShoalError('ORIGIN_REFUSED', 'expired', { status: 403 });
    });
    assert.deepEqual(result, {
      kind: 'failed',
      error: { code: 'ORIGIN_REFUSED', message: 'expired', status: 403 },
      receivedBytes: 500,
      totalBytes: 3 * SHARD_BYTES,
    });
  });

  it('stops the origin client when control has cancelled this attempt', async () => {
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
});
