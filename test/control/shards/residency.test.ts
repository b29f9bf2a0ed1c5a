import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { Residency, type SlotOwner } from '../../../lib/control/shards/residency.ts';
import { Arena, SlotState } from '../../../lib/io/arena.ts';
import { Doorbells } from '../../../lib/io/doorbell.ts';
import {
  ARENA_WAIT_DEADLINE_MS,
  ARENA_SHARE_WAITERS_MAX,
  FRESH_SLOT_MS,
  SAVE_PATIENCE_MS,
} from '../../../lib/control/limits.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { UNVOUCHED, type Share } from '../../../lib/share-queue.ts';
import { settled } from '../fixture.ts';

describe('control/residency', () => {
  let clock: ManualClock;
  let arena: Arena;
  let residency: Residency;
  let evicted: string[];
  let evictions: number;
  let wanted: Set<string>;
  let expendable: Set<string>;

  beforeEach(() => {
    clock = new ManualClock();
    arena = Arena.create(2 * SHARD_BYTES);
    residency = new Residency(arena, Doorbells.create(1), clock, () => evictions++);
    evicted = [];
    wanted = new Set();
    expendable = new Set();
    evictions = 0;
  });

  const owner = (name: string): SlotOwner => ({
    evicted: () => evicted.push(name),
    isWanted: () => wanted.has(name),
    isExpendable: () => expendable.has(name),
  });

  /** Takes a slot and fills it; it is fresh from now on. */
  async function complete(name: string): Promise<{ slot: number; generation: number }> {
    const slot = await residency.acquire();
    const generation = arena.begin(slot);
    residency.hold(slot, owner(name));
    arena.setState(slot, SlotState.complete);
    residency.settle(slot);
    return { slot, generation };
  }

  it('gives out every slot once before it evicts any', async () => {
    const [first, second] = [await complete('a'), await complete('b')];
    assert.notEqual(first.slot, second.slot);
    assert.equal(residency.usedSlots, 2);
    assert.deepEqual(evicted, []);
  });

  it('tells how long memory has been short, but not of what a share holds back', async () => {
    arena = Arena.create(16 * SHARD_BYTES);
    residency = new Residency(arena, Doorbells.create(1), clock);
    const share = (client: string): Share => ({ lane: 'read', upstream: 'silent', client });
    for (let shard = 0; shard < 16; shard++) residency.acquire(share('one')).catch(() => undefined);
    clock.advance(1_000);
    assert.deepEqual([residency.waiting > 0, residency.stalledMs], [true, 0]);
    for (let shard = 0; shard < 16; shard++) residency.acquire().catch(() => undefined);
    clock.advance(3_000);
    assert.equal(residency.stalledMs, 3_000);
  });

  it('keeps slots back from an upstream that fills none of those it holds', async () => {
    arena = Arena.create(16 * SHARD_BYTES);
    residency = new Residency(arena, Doorbells.create(1), clock, () => evictions++);
    const got: string[] = [];
    const want = (name: string, share?: Share): Promise<number> =>
      residency.acquire(share).then((slot) => {
        got.push(name);
        return slot;
      });
    const of = (upstream: string, client = 'c'): Share => ({ lane: 'read', upstream, client });
    const silent = Array.from({ length: 40 }, () => want('silent', of('silent')));
    await settled();
    assert.equal(got.length, 10, '5/8 for one client');
    for (let asked = 0; asked < 9; asked++) void want('silent', of('silent', 'other client'));
    await settled();
    assert.equal(got.length, 12, '3/4 for one upstream');
    void want('other', of('other'));
    for (let asked = 0; asked < 9; asked++) void want('listed', of(UNVOUCHED));
    await settled();
    assert.deepEqual(got.slice(12), ['other', 'listed'], '7/8 for all upstreams');
    void want('disk');
    void want('disk');
    await settled();
    assert.deepEqual(got.slice(14), ['disk', 'disk'], 'the rest for what is on disk');
    const slot = await silent[0]!;
    arena.begin(slot);
    residency.discard(slot);
    await settled();
    assert.equal(got.length, 17);
  });

  it('spares a fresh slot until its time is over or it has been read', async () => {
    const { slot } = await complete('a');
    await complete('b');
    let got: number | null = null;
    void residency.acquire().then((taken) => (got = taken));
    clock.advance(FRESH_SLOT_MS / 2);
    await settled();
    assert.equal(got, null);
    arena.markUsed(slot);
    clock.advance(10);
    await settled();
    assert.equal(got, slot);
    assert.deepEqual(evicted, ['a']);
    assert.equal(evictions, 1);
  });

  it('gives a slot that was used a second chance over one that was not', async () => {
    const first = await complete('a');
    const second = await complete('b');
    clock.advance(FRESH_SLOT_MS + 1);
    arena.markUsed(first.slot);
    assert.equal(await residency.acquire(), second.slot);
    assert.deepEqual(evicted, ['b']);
  });

  it('spares a refreshed slot a while longer', async () => {
    const first = await complete('a');
    await complete('b');
    clock.advance(FRESH_SLOT_MS + 1);
    residency.refresh(first.slot);
    await residency.acquire();
    assert.deepEqual(evicted, ['b']);
  });

  it('takes what somebody is about to read only when there is nothing else', async () => {
    await complete('a');
    await complete('b');
    clock.advance(FRESH_SLOT_MS + 1);
    wanted.add('a');
    await residency.acquire();
    await residency.acquire();
    assert.deepEqual(evicted, ['b', 'a']);
  });

  it('gives up writes that may be lost for reads that waited long enough', async () => {
    for (const name of ['a', 'b']) {
      const slot = await residency.acquire();
      arena.begin(slot);
      residency.hold(slot, owner(name));
    }
    let got = false;
    void residency.acquire().then(() => (got = true));
    clock.advance(SAVE_PATIENCE_MS + 10);
    await settled();
    assert.equal(got, false, 'neither may be lost');
    expendable.add('b');
    clock.advance(10);
    await settled();
    assert.equal(got, true);
    assert.deepEqual(evicted, ['b']);
    void residency.acquire();
    expendable.add('a');
    clock.advance(SAVE_PATIENCE_MS - 10);
    await settled();
    assert.deepEqual(evicted, ['b'], 'not before its time');
  });

  it('never takes a pinned slot, nor one that is still being filled', async () => {
    const pinned = await complete('a');
    const filling = await residency.acquire();
    arena.begin(filling);
    residency.hold(filling, owner('filling'));
    arena.tryPin(pinned.slot, pinned.generation);
    let got: number | null = null;
    void residency.acquire().then((taken) => (got = taken));
    clock.advance(FRESH_SLOT_MS * 3);
    await settled();
    assert.equal(got, null);
    arena.unpin(pinned.slot);
    clock.advance(10);
    await settled();
    assert.equal(got, pinned.slot);
    assert.deepEqual(evicted, ['a']);
  });

  it('serves those who wait in the order in which they came', async () => {
    const slots = [await residency.acquire(), await residency.acquire()];
    for (const slot of slots) arena.begin(slot);
    const order: string[] = [];
    void residency.acquire().then(() => order.push('first'));
    void residency.acquire().then(() => order.push('second'));
    assert.equal(residency.waiting, 2);
    residency.discard(slots[0]!);
    await settled();
    assert.deepEqual(order, ['first']);
    residency.discard(slots[1]!);
    await settled();
    assert.deepEqual(order, ['first', 'second']);
  });

  it('answers overloaded to who waited too long, and serves those who came later', async () => {
    const slots = [await residency.acquire(), await residency.acquire()];
    for (const slot of slots) arena.begin(slot);
    const early = residency.acquire();
    const refused = assert.rejects(early, { code: 'OVERLOADED', status: 503 });
    clock.advance(ARENA_WAIT_DEADLINE_MS / 2);
    const late = residency.acquire();
    clock.advance(ARENA_WAIT_DEADLINE_MS / 2 + 10);
    await refused;
    assert.equal(residency.waiting, 1);
    residency.discard(slots[1]!);
    assert.equal(await late, slots[1]);
  });

  it('takes no more waiters than it can bear', async () => {
    for (const slot of [await residency.acquire(), await residency.acquire()]) arena.begin(slot);
    for (let waiter = 0; waiter < ARENA_SHARE_WAITERS_MAX; waiter++)
      void residency.acquire().catch(() => undefined);
    await assert.rejects(residency.acquire(), { code: 'OVERLOADED' });
    assert.equal(residency.waiting, ARENA_SHARE_WAITERS_MAX);
  });

  it('reuses a discarded slot after its last reader, under a new generation', async () => {
    const { slot, generation } = await complete('a');
    await complete('b');
    assert.equal(arena.tryPin(slot, generation), true);
    residency.discard(slot);
    clock.advance(50);
    assert.equal(residency.usedSlots, 2);
    arena.unpin(slot);
    clock.advance(2);
    assert.equal(residency.usedSlots, 1);
    assert.notEqual(arena.generation(slot), generation);
    assert.equal(arena.tryPin(slot, generation), false);
    assert.equal(await residency.acquire(), slot);
    assert.deepEqual(evicted, [], 'discarding is not evicting');
  });
});
