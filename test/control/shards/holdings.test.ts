import assert from 'node:assert/strict';
import { Holdings } from '../../../lib/control/shards/holdings.ts';
import { ShoalError } from '../../../lib/errors.ts';
import { HOLD_SHARDS_AT_ONCE, PEER_RETURN_MS } from '../../../lib/control/limits.ts';
import { PEER_HOLD_MS, SHARD_BYTES } from '../../../lib/limits.ts';
import { KEY, loaderFixture, settled, type LoaderFixture } from '../fixture.ts';

const TOTAL_BYTES = 20 * SHARD_BYTES - 7;

describe('control/holdings', () => {
  let at: LoaderFixture;
  let holdings: Holdings;
  const wanted = (): number[] => at.fills.map((fill) => fill.resident.shard);

  beforeEach(() => {
    at = loaderFixture({ slots: 64, disk: true });
    holdings = new Holdings(at.loader, at.clock);
  });

  it('starts with the first missing shards, and reports its progress after a moment', async () => {
    const holding = holdings.hold(KEY, TOTAL_BYTES, null, 'r');
    await settled();
    assert.deepEqual(
      wanted(),
      Array.from({ length: HOLD_SHARDS_AT_ONCE }, (_, shard) => shard),
    );
    for (const shard of [0, 1, 2]) await at.deliver(shard, TOTAL_BYTES);
    at.clock.advance(PEER_HOLD_MS);
    assert.deepEqual(await holding, { shards: 20, held: 3, error: null });
  });

  it('continues what is under way if asked again, else gives it up', async () => {
    const first = holdings.hold(KEY, TOTAL_BYTES, null, 'r');
    await settled();
    at.clock.advance(PEER_HOLD_MS);
    await first;
    const second = holdings.hold(KEY, TOTAL_BYTES, null, 'r');
    await settled();
    at.clock.advance(PEER_RETURN_MS - 1);
    await second;
    assert.equal(wanted().length, HOLD_SHARDS_AT_ONCE, 'no shard is fetched twice');
    assert.ok(at.fills.every((fill) => !fill.abandoned));
    at.clock.advance(PEER_RETURN_MS);
    assert.ok(at.fills.every((fill) => fill.abandoned));
  });

  it('keeps no hold on what has come: nobody is about to read it from memory', async () => {
    const holding = holdings.hold(KEY, SHARD_BYTES, null, 'r');
    await settled();
    const { resident } = at.fills[0]!;
    assert.equal(resident.interests.size, 1);
    await at.deliver(0, SHARD_BYTES);
    await holding;
    assert.equal(resident.interests.size, 0);
  });

  it('answers at once when all is held, without fetching', async () => {
    const first = holdings.hold(KEY, SHARD_BYTES, null, 'r');
    await settled();
    await at.deliver(0, SHARD_BYTES);
    await first;
    assert.deepEqual(await holdings.hold(KEY, SHARD_BYTES, null, 'r'), {
      shards: 1,
      held: 1,
      error: null,
    });
    assert.equal(wanted().length, 1);
  });

  it('is not kept busy by a size that cannot be', async () => {
    const shards = 47_683_716;
    const holding = holdings.hold(KEY, shards * SHARD_BYTES, null, 'r');
    await settled();
    at.clock.advance(PEER_HOLD_MS);
    const startMs = performance.now();
    assert.deepEqual(await holding, { shards, held: 0, error: null });
    assert.ok(performance.now() - startMs < 1_000);
  });

  it('says why shards failed', async () => {
    const holding = holdings.hold(KEY, SHARD_BYTES, null, 'r');
    await settled();
    at.fills[0]!.failed(new ShoalError('ORIGIN_UNREACHABLE', 'no client gave a way'));
    assert.deepEqual(await holding, {
      shards: 1,
      held: 0,
      error: new ShoalError('ORIGIN_UNREACHABLE', 'no client gave a way').toWire(),
    });
  });

  it('has no more under way at once than its share, however many ask', async () => {
    void holdings.hold(KEY, TOTAL_BYTES, null, 'r');
    await settled();
    const other = `sha256:${'ef'.repeat(32)}`;
    assert.deepEqual(await holdings.hold(other, TOTAL_BYTES, null, 'r'), {
      shards: 20,
      held: 0,
      error: null,
    });
    assert.equal(wanted().length, HOLD_SHARDS_AT_ONCE);
  });
});
