import assert from 'node:assert/strict';
import { Eviction } from '../../lib/cache/eviction.ts';
import { randomFrom } from './random.ts';

const ENTRIES = 1000;

/** A cache of ENTRIES equal entries over `Eviction`; tells whether an access hit. */
class Toy {
  readonly eviction = new Eviction(ENTRIES, ENTRIES);
  readonly entryOf = new Map<number, number>();
  readonly #keyOf = new Map<number, number>();
  readonly #free = Array.from({ length: ENTRIES }, (_, entry) => entry);

  access(key: number): boolean {
    const entry = this.entryOf.get(key);
    if (entry !== undefined) {
      this.eviction.touch(entry);
      return true;
    }
    if (this.#free.length === 0) {
      const victim = this.eviction.victim();
      assert.ok(victim >= 0);
      this.entryOf.delete(this.#keyOf.get(victim)!);
      this.#free.push(victim);
    }
    const free = this.#free.pop()!;
    this.entryOf.set(key, free);
    this.#keyOf.set(free, key);
    this.eviction.insert(free, 1, Math.imul(key, 2_654_435_761) >>> 0);
    return false;
  }
}

describe('cache/eviction', () => {
  it('keeps a working set in use while a layer twenty times the cache streams through', () => {
    const toy = new Toy();
    const random = randomFrom(7);
    const working = 500;
    for (let round = 0; round < 4; round++) for (let key = 0; key < working; key++) toy.access(key);
    let uses = 0;
    let hits = 0;
    for (let shard = 0; shard < 20 * ENTRIES; shard++) {
      toy.access(1_000_000 + shard);
      if (shard % 4 !== 0) continue;
      uses++;
      if (toy.access(Math.floor(random() * working))) hits++;
    }
    assert.ok(hits / uses > 0.98, `${hits} hits of ${uses}`);
  });

  it('lets a new working set take the place of one nobody uses any more', () => {
    const toy = new Toy();
    for (let round = 0; round < 4; round++) for (let key = 0; key < 800; key++) toy.access(key);
    let hits = 0;
    for (let round = 0; round < 20; round++) {
      hits = 0;
      for (let key = 5000; key < 5800; key++) if (toy.access(key)) hits++;
    }
    assert.ok(hits > 720, `${hits} hits of 800`);
  });

  it('never gives up a pinned entry, and says so when every one is pinned', () => {
    const toy = new Toy();
    for (let key = 0; key < ENTRIES; key++) toy.access(key);
    for (let key = 0; key < ENTRIES; key++) toy.eviction.pin(toy.entryOf.get(key)!);
    assert.equal(toy.eviction.victim(), -1);
    const loose = toy.entryOf.get(321)!;
    toy.eviction.unpin(loose);
    assert.equal(toy.eviction.victim(), loose);
    assert.equal(toy.eviction.victim(), -1);
  });

  it('finds a victim in the main queue when the small one is all pinned', () => {
    const eviction = new Eviction(10, 10);
    for (let entry = 0; entry < 5; entry++) eviction.insert(entry, 1, entry, true);
    for (let entry = 5; entry < 10; entry++) {
      eviction.insert(entry, 1, entry);
      eviction.pin(entry);
    }
    assert.equal(eviction.victim(), 0);
  });

  it('gives up what a restart brought back oldest first', () => {
    const eviction = new Eviction(3, 3);
    for (const entry of [2, 0, 1]) eviction.insert(entry, 1, entry, true);
    assert.deepEqual(
      [eviction.victim(), eviction.victim(), eviction.victim(), eviction.victim()],
      [2, 0, 1, -1],
    );
  });

  it('gives what has been used since a second turn', () => {
    const eviction = new Eviction(3, 3);
    for (const entry of [0, 1, 2]) eviction.insert(entry, 1, entry, true);
    eviction.touch(0);
    assert.deepEqual([eviction.victim(), eviction.victim(), eviction.victim()], [1, 2, 0]);
  });

  it('takes an unpin too many for the mistake it is', () => {
    assert.throws(() => new Eviction(1, 1).unpin(0));
  });
});
