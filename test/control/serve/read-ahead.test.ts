import assert from 'node:assert/strict';
import { ShoalError } from '../../../lib/errors.ts';
import { READ_WINDOW_SHARDS, SHARD_BYTES } from '../../../lib/limits.ts';
import { settled, KEY } from '../fixture.ts';
import { streamFixture, type StreamFixture } from './stream-fixture.ts';

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe('control/streams reading ahead', () => {
  async function opened(options: {
    slots?: number;
    openElsewhere?: number;
    shards?: number;
    shard?: number;
    untilShard?: number | null;
    sequential?: boolean;
  }): Promise<StreamFixture> {
    const at = streamFixture({
      slots: options.slots ?? 64,
      openElsewhere: options.openElsewhere ?? 0,
    });
    at.facts.sized(KEY, (options.shards ?? 100) * SHARD_BYTES - 5, 'upstream');
    at.open({
      shard: options.shard ?? 0,
      untilShard: options.untilShard ?? null,
      sequential: options.sequential ?? false,
    });
    await settled();
    // The front says that the first shard comes.
    at.streams.want(1, options.shard ?? 0, true);
    await settled();
    return at;
  }

  async function walk(at: StreamFixture, shards: number[]): Promise<void> {
    for (const shard of shards) {
      at.streams.want(1, shard, true);
      await settled();
    }
  }

  it('wants what is read, and more ahead with each step in order, to its bound', async () => {
    const at = await opened({});
    assert.deepEqual(at.wanted(), [0]);
    await walk(at, [1]);
    assert.deepEqual(at.wanted(), range(0, 2));
    await walk(at, range(2, 8));
    // Nothing has arrived, so no more than a window is under way at once.
    assert.deepEqual(at.wanted(), range(0, 8 + READ_WINDOW_SHARDS - 1));
  });

  it('opens at once for who says that all will be read', async () => {
    assert.deepEqual(
      (await opened({ sequential: true })).wanted(),
      range(0, READ_WINDOW_SHARDS - 1),
    );
  });

  it('begins small again after a leap', async () => {
    const at = await opened({});
    await walk(at, [1, 2, 3]);
    const before = at.wanted().length;
    at.streams.want(1, 60, false);
    await settled();
    assert.deepEqual(at.wanted().slice(before), [60]);
  });

  it('goes no further than the request, nor than the blob', async () => {
    assert.deepEqual((await opened({ sequential: true, untilShard: 1 })).wanted(), [0, 1]);
    assert.deepEqual((await opened({ sequential: true, untilShard: 0 })).wanted(), [0]);
    assert.deepEqual((await opened({ sequential: true, shards: 2 })).wanted(), [0, 1]);
    assert.deepEqual((await opened({ sequential: true, shard: 7, shards: 9 })).wanted(), [7, 8]);
  });

  it('keeps to its share of half the memory, but never to less than one shard', async () => {
    assert.deepEqual((await opened({ sequential: true, slots: 16 })).wanted(), range(0, 7));
    assert.deepEqual(
      (await opened({ sequential: true, slots: 16, openElsewhere: 7 })).wanted(),
      [0],
    );
    assert.deepEqual(
      (await opened({ sequential: true, slots: 16, openElsewhere: 100 })).wanted(),
      [0],
    );
  });

  it('shares memory with the streams that are open, not with those that are over', async () => {
    const [at, alone] = [await opened({ slots: 16 }), await opened({ slots: 16 })];
    for (const id of [2, 3, 4, 5, 6, 7, 8]) {
      at.open({ id });
      at.streams.close(id, false);
    }
    for (const each of [at, alone]) await walk(each, range(1, 6));
    assert.equal(Math.max(...at.wanted()), Math.max(...alone.wanted()));
  });

  it("does not guess while the blob's size is unknown", async () => {
    const at = streamFixture();
    at.open();
    await settled();
    at.streams.want(1, 0, true);
    await settled();
    assert.deepEqual(at.wanted(), [0]);
  });

  it('waits for the first shard to come, but not on a node that is alone', async () => {
    for (const [shardsTogether, wanted] of [
      [1, [0]],
      [8, range(0, 8)],
    ] as const) {
      const at = streamFixture({ shardsTogether });
      at.facts.sized(KEY, 9 * SHARD_BYTES, 'upstream');
      at.open();
      await settled();
      assert.deepEqual(at.wanted(), wanted);
      at.streams.want(1, 0, true);
      await settled();
      assert.deepEqual(at.wanted(), range(0, 8));
    }
  });

  it('goes by the size that a manifest says, before the first shard is whole', async () => {
    const at = streamFixture();
    at.gate.saidBytes = () => 3 * SHARD_BYTES;
    at.open();
    await settled();
    at.streams.want(1, 0, true);
    await settled();
    assert.deepEqual([at.facts.totalOf(KEY), at.wanted()], [null, [0, 1, 2]]);
  });

  it('keeps the failure of a shard ahead to itself, and retries it when needed', async () => {
    const at = await opened({ sequential: true, shards: 3 });
    at.fills[1]!.failed(new ShoalError('PEER_BROKEN', 'no'));
    assert.deepEqual(
      at.replies.map((reply) => reply.kind),
      ['opened', 'granted', 'granted'],
    );
    at.streams.want(1, 1, false);
    await settled();
    assert.deepEqual(
      at.wanted().filter((shard) => shard === 1),
      [1, 1],
    );
  });
});
