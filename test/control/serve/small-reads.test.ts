import assert from 'node:assert/strict';
import { ShoalError } from '../../../lib/errors.ts';
import { AHEAD_SMALL_READS_SLOT_SHARE, SHARD_BYTES } from '../../../lib/limits.ts';
import { READ_PATTERN_IDLE_MS } from '../../../lib/control/limits.ts';
import { KEY, settled } from '../fixture.ts';
import { streamFixture, type StreamFixture } from './stream-fixture.ts';

/**
 * The reads of a client that asks for each in a request of its own, and the shards they make
 * control bring.
 */
describe('control/streams reading ahead of small requests', () => {
  let id = 0;

  function begun(options: Parameters<typeof streamFixture>[0] = {}): StreamFixture {
    const at = streamFixture(options);
    at.facts.sized(KEY, 100 * SHARD_BYTES - 5, 'upstream');
    return at;
  }

  /** One read of 64 KiB at the start of `shard`, opened and over. */
  async function read(
    at: StreamFixture,
    shard: number,
    sliceBytes = 0,
    small = true,
  ): Promise<void> {
    id += 1;
    at.open({ id, shard, sliceBytes, untilShard: shard, small });
    await settled();
    at.streams.close(id, true);
  }

  it('fetches ahead of reads in order, over any stream, also when these are over', async () => {
    const at = begun();
    for (const shard of [0, 1, 2, 3]) await read(at, shard);
    assert.deepEqual(at.wanted(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.ok(at.ahead.underWay > 0);
    assert.ok(at.fills.every((fill) => !fill.resident.abandoned));
  });

  it('fetches nothing ahead of random reads, nor of requests that name what is next', async () => {
    const at = begun();
    for (const shard of [50, 3, 77, 20, 9, 64]) await read(at, shard, 700_000);
    assert.deepEqual(at.wanted(), [50, 3, 77, 20, 9, 64]);
    const other = begun();
    for (const shard of [0, 1, 2, 3]) await read(other, shard, 0, false);
    assert.deepEqual(other.wanted(), [0, 1, 2, 3]);
  });

  it('brings nothing for a client whose right is not proven, however its reads look', async () => {
    const at = begun({ check: 'strict' });
    for (const shard of [0, 1, 2, 3]) {
      id += 1;
      at.open({ id, shard, untilShard: shard, small: true });
      await settled();
      at.answer({ kind: 'failed', error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 } });
      await settled();
      at.streams.close(id, false);
    }
    assert.deepEqual(at.wanted(), [0, 1, 2, 3]);
  });

  it('keeps to its share of memory, and has it again once shards have come or failed', async () => {
    const at = begun({ slots: 16 });
    for (const shard of [0, 1, 2, 3, 4, 5]) await read(at, shard);
    assert.equal(at.ahead.underWay, 16 * AHEAD_SMALL_READS_SLOT_SHARE);
    for (const fill of [...at.fills]) fill.failed(new ShoalError('ORIGIN_BROKEN', 'gone'));
    await settled();
    assert.equal(at.ahead.underWay, 0);
  });

  it('waits for no turn among the layers', async () => {
    const at = begun({ layers: 1 });
    at.ahead.read(KEY, 0, 100 * SHARD_BYTES, {
      origin: null,
      sliceBytes: 0,
      digest: null,
      requestId: '',
      onBehalf: null,
    });
    at.open({
      id: 99,
      blob: {
        key: `sha256:${'cd'.repeat(32)}`,
        url: 'https://r.example/other',
        upstreamHost: 'r.example',
        scope: 'repo r.example/app',
        pathname: '/x',
      },
      shard: 0,
    });
    await settled();
    for (const shard of [1, 2, 3])
      at.ahead.read(KEY, shard * SHARD_BYTES, 100 * SHARD_BYTES, {
        origin: null,
        sliceBytes: 0,
        digest: null,
        requestId: '',
        onBehalf: null,
      });
    await settled();
    assert.deepEqual([at.wanted(), at.ahead.underWay], [[0], 0]);
  });

  it('forgets a blob that nobody has read for a while', async () => {
    const at = begun();
    await read(at, 0);
    at.clock.advance(READ_PATTERN_IDLE_MS);
    await read(at, 1);
    assert.deepEqual(at.wanted(), [0, 1]);
  });
});
