import assert from 'node:assert/strict';
import { SlotFollowers, type Follower } from '../../lib/front/slot-follower.ts';
import { Doorbells } from '../../lib/io/doorbell.ts';
import { until } from '../telemetry/until.ts';

/** A follower that waits until `level` reaches what it waits for, and may do something then. */
class Waiter implements Follower {
  looks = 0;
  goneOn = 0;
  readonly #ready: () => boolean;
  readonly #goOn: () => void;
  constructor(ready: () => boolean, goOn: () => void = () => undefined) {
    [this.#ready, this.#goOn] = [ready, goOn];
  }

  look(): boolean {
    this.looks++;
    if (!this.#ready()) return true;
    this.goneOn++;
    this.#goOn();
    return false;
  }
}

describe('front/slot-follower', () => {
  let bells: Doorbells;
  let followers: SlotFollowers;
  let level: number;
  beforeEach(() => {
    bells = Doorbells.create(1);
    followers = new SlotFollowers(bells, 0);
    level = 0;
  });

  const raise = (): void => {
    level++;
    bells.ringAll();
  };

  it('looks at once, though nobody rings', async () => {
    const waiter = new Waiter(() => true);
    followers.add(waiter);
    await until(() => waiter.goneOn === 1, 'the first look');
  });

  it('does not look within the call that adds, which may be in the middle of something', () => {
    const waiter = new Waiter(() => true);
    followers.add(waiter);
    assert.equal(waiter.looks, 0);
  });

  it('looks at all who wait when the bell rings, and at nobody who has gone on', async () => {
    const [first, second] = [new Waiter(() => level >= 1), new Waiter(() => level >= 2)];
    followers.add(first);
    followers.add(second);
    raise();
    await until(() => first.goneOn === 1, 'the first');
    const { looks } = first;
    raise();
    await until(() => second.goneOn === 1, 'the second');
    assert.equal(first.looks, looks);
  });

  it('looks at once when bytes came on this thread, and still hears bells', async () => {
    const [first, second] = [new Waiter(() => level >= 1), new Waiter(() => level >= 2)];
    followers.add(first);
    followers.add(second);
    await until(() => second.looks === 1, 'the first look');
    level = 1;
    followers.rung();
    assert.deepEqual([first.goneOn, second.goneOn, second.looks], [1, 0, 2]);
    raise();
    await until(() => second.goneOn === 1, 'the bell');
  });

  it('does not lose a follower that comes to wait again within its look', async () => {
    let wants = 1;
    const waiter: Waiter = new Waiter(
      () => level >= wants,
      () => {
        wants++;
        followers.add(waiter);
      },
    );
    followers.add(waiter);
    for (const step of [1, 2, 3, 4]) {
      raise();
      await until(() => waiter.goneOn === step, `step ${step}`, 2_000);
    }
  });

  it("does not look at who was taken out, by itself or by another's look", async () => {
    const victim = new Waiter(() => true);
    const other = new Waiter(
      () => level >= 1,
      () => followers.delete(victim),
    );
    followers.add(other);
    level = 1;
    followers.add(victim);
    await until(() => other.goneOn === 1, 'the look');
    assert.equal(victim.looks, 0);
  });

  it('wakes all without a pause while a small read waits, and no longer', async () => {
    const brief = Object.assign(new Waiter(() => level >= 1), { isBrief: true });
    const bulk = new Waiter(() => false);
    followers.add(bulk);
    followers.add(brief);
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    };
    await turns();
    const looks = bulk.looks;
    bells.ringAll();
    await turns();
    assert.ok(bulk.looks > looks && brief.goneOn === 0);
    // It may change its mind about being brief while it waits.
    brief.isBrief = false;
    raise();
    await until(() => brief.goneOn === 1, 'the small read');
    assert.equal(followers.isUrgent, false);
  });

  it('does not look while a small read is added, even during a pause or after a ring', async () => {
    const bulk = new Waiter(() => false);
    followers.add(bulk);
    await until(() => bulk.looks === 1, 'the first look, after which it pauses');
    bells.ringAll();
    const brief = Object.assign(new Waiter(() => true), { isBrief: true });
    followers.add(brief);
    assert.deepEqual([brief.looks, bulk.looks], [0, 1]);
    await until(() => brief.goneOn === 1, 'the small read');
  });

  it('listens again after it had nobody to listen for', async () => {
    const first = new Waiter(() => level >= 1);
    followers.add(first);
    raise();
    await until(() => first.goneOn === 1, 'the first');
    const second = new Waiter(() => level >= 2);
    followers.add(second);
    raise();
    await until(() => second.goneOn === 1, 'the second');
  });
});
