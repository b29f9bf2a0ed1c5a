import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import {
  ORIGIN_GATHER_MS,
  ORIGIN_SILENT_MS,
  ORIGIN_SILENT_MS_MAX,
} from '../../lib/swarm/limits.ts';
import { OriginQueue, type OriginWant } from '../../lib/swarm/origin-queue.ts';

const LIMITS = {
  allRequests: 9,
  unvouchedRequests: 3,
  requests: 6,
  inOrderRequests: 4,
  fewRequests: 2,
  requestShards: 3,
};

/** Wanted by another node. */
const OTHER = {
  upstream: 'r.example',
  isVouched: true,
  series: 'a',
  shares: false,
  sizeShards: 1,
  alone: false,
  isOnBehalf: true,
  isWaitedFor: false,
};

describe('swarm/origin-queue', () => {
  let begun: OriginWant[][];
  let soon: (() => void)[];
  let queue: OriginQueue<OriginWant>;
  let nowMs: number;

  beforeEach(() => {
    [begun, soon, nowMs] = [[], [], 0];
    queue = new OriginQueue(
      (together) => begun.push([...together]),
      (look) => soon.push(look),
      () => nowMs,
      LIMITS,
    );
  });

  /** All that is wanted at this moment has been said. */
  function settle(): void {
    for (const look of soon.splice(0)) look();
  }
  function want(
    indices: readonly number[],
    series = 'a',
    shares = true,
    upstream = 'r.example',
  ): void {
    const isVouched = !upstream.startsWith('listed');
    for (const index of indices)
      queue.add({
        upstream,
        isVouched,
        series,
        index,
        shares,
        sizeShards: 1,
        alone: true,
        isOnBehalf: false,
        isWaitedFor: true,
      });
    settle();
  }
  function end(...requests: number[]): void {
    for (const request of requests) queue.over(begun[request]!);
    settle();
  }
  const asked = (): string[] =>
    begun.map((together) => together.map(({ series, index }) => `${series}${index}`).join(' '));
  const range = (from: number, to: number): number[] =>
    Array.from({ length: to - from }, (_, at) => from + at);

  it('keeps turns back for the upstreams that a registry vouches for', () => {
    for (const host of ['listed-1', 'listed-2', 'listed-3', 'listed-4'])
      want([0], host, false, host);
    assert.equal(begun.length, LIMITS.unvouchedRequests);
    want([0], 'a', false);
    assert.equal(begun.length, LIMITS.unvouchedRequests + 1);
    end(0);
    assert.equal(begun.length, LIMITS.unvouchedRequests + 2);
  });

  it('tells how long a read has waited that only the turns of all together hold back', () => {
    want(range(0, LIMITS.requests), 'silent-1', false, 'silent-1');
    want(range(0, LIMITS.unvouchedRequests), 'listed-1', false, 'listed-1');
    assert.equal(begun.length, LIMITS.allRequests);
    // Behind its own share, or its own upstream's turns.
    for (const host of ['listed-1', 'silent-1']) want([9, 10], host, false, host);
    assert.equal(queue.stalledMs, 0);
    nowMs += 1_000;
    want([0], 'a', false);
    nowMs += 3_000;
    assert.equal(queue.stalledMs, 3_000);
    // Those that came before take the first two.
    end(0, 1, 2);
    assert.equal(queue.stalledMs, 0);
  });

  it('sends consecutive shards in one request, up to its bound, never two series or a gap', () => {
    want([0, 1, 2, 3, 5]);
    want([4], 'b');
    assert.deepEqual(asked(), ['a0 a1 a2', 'a3', 'a5', 'b4']);
  });

  it('begins with the first shard of what other nodes ask for in a moment, in any order', () => {
    const later: number[] = [];
    queue = new OriginQueue(
      (together) => begun.push([...together]),
      (look, ms) => {
        later.push(ms);
        soon.push(look);
      },
      () => nowMs,
      LIMITS,
    );
    for (const index of [7, 3, 0, 1]) queue.add({ ...OTHER, index });
    assert.deepEqual(later, [ORIGIN_GATHER_MS]);
    settle();
    assert.deepEqual(asked(), ['a0'], 'one before the line is known');
  });

  it('asks for small blobs side by side before the line is known', () => {
    for (const series of ['a', 'b', 'c'])
      queue.add({ ...OTHER, series, sizeShards: 0.1, index: 0 });
    settle();
    assert.deepEqual(asked(), ['a0', 'b0', 'c0']);
  });

  it('lets what the upstream is slow to begin with hold up no other', () => {
    for (const index of [0, 1]) queue.add({ ...OTHER, index });
    settle();
    assert.deepEqual(asked(), ['a0']);
    nowMs += ORIGIN_SILENT_MS;
    settle();
    assert.deepEqual(asked(), ['a0', 'a1']);
  });

  it('gives the upstream of a slow line longer before others begin beside a request', () => {
    const read = (index: number): void => {
      queue.add({ ...OTHER, index });
      settle();
    };
    const first = { ...OTHER, index: 0 };
    queue.add(first);
    settle();
    queue.head(first);
    nowMs += 2_000;
    queue.arrived(first, SHARD_BYTES);
    queue.over([first]);
    settle();
    for (const index of [1, 2, 3]) read(index);
    nowMs += 2_000;
    settle();
    const before = begun.length;
    nowMs += ORIGIN_SILENT_MS;
    queue.add({ ...OTHER, index: 4 });
    settle();
    assert.equal(begun.length, before, 'the line is taken, though nothing came for 500 ms');
    nowMs += ORIGIN_SILENT_MS_MAX;
    queue.add({ ...OTHER, index: 5 });
    settle();
    assert.equal(begun.length, before + 1);
  });

  it('lets another blob begin beside a long request, of which no other part begins', () => {
    const first = { ...OTHER, index: 0, shares: true };
    queue.add(first);
    settle();
    nowMs += 20;
    queue.head(first);
    nowMs += 700;
    queue.arrived(first, SHARD_BYTES);
    queue.over([first]);
    for (const index of range(1, 9)) queue.add({ ...OTHER, index, shares: true });
    settle();
    nowMs += 20;
    queue.head(begun[1]![0]!);
    const long = begun[1]!.map(({ index }) => `a${index}`).join(' ');
    assert.ok(begun[1]!.length > 2);
    nowMs += 700;
    for (const series of ['b', 'c']) queue.add({ ...OTHER, series, index: 0, shares: true });
    settle();
    assert.deepEqual(asked(), ['a0', long, 'b0'], 'one beside it, and no more');
  });

  it('plans one look, however many wait and however the time goes on', () => {
    let planned = 0;
    queue = new OriginQueue(
      (together) => begun.push([...together]),
      (look) => (planned++, soon.push(look)),
      () => (nowMs += 0.001),
      LIMITS,
    );
    const first = { ...OTHER, index: 0 };
    queue.add(first);
    settle();
    queue.head(first);
    nowMs += 1_000;
    queue.arrived(first, SHARD_BYTES);
    for (let index = 1; index <= 24; index++) queue.add({ ...OTHER, index });
    planned = 0;
    for (let look = 0; look < 50; look++) settle();
    assert.ok(planned <= 51, `${planned} looks planned for 50`);
  });

  it('lets a client of this node wait for no request of others', () => {
    for (const index of [0, 1, 2]) queue.add({ ...OTHER, index });
    settle();
    assert.deepEqual(asked(), ['a0']);
    want([9], 'a', false);
    assert.deepEqual(asked(), ['a0', 'a9']);
  });

  it('sends each alone if they may not be joined; the rest wait in order', () => {
    want(range(0, 9), 'a', false);
    assert.deepEqual(asked(), ['a0', 'a1', 'a2', 'a3', 'a4', 'a5']);
    assert.equal(queue.waiting, 3);
    end(3, 0);
    assert.deepEqual(asked().slice(6), ['a6', 'a7']);
  });

  it('gives each upstream turns of its own: one that does not answer holds up no other', () => {
    want(range(0, 9), 'a', false, 'silent.example');
    want([0, 1], 'b', false);
    assert.deepEqual(asked().slice(6), ['b0', 'b1']);
    end(6);
    assert.equal(begun.length, 8);
    end(2);
    assert.deepEqual(asked().slice(8), ['a6']);
    want([7, 9, 11], 'b', false);
    assert.deepEqual(asked().slice(9), ['b7', 'b9'], 'no more than so many in all');
    end(9);
    assert.deepEqual(asked().slice(11), ['b11']);
  });

  it('fails the waiting reads of an upstream that answered none while one timed out', () => {
    want(range(0, 9), 'a', false, 'silent.example');
    want([0, 1], 'b', false);
    const givenUp = queue.over(begun[1]!, 'silent');
    settle();
    assert.deepEqual(
      [givenUp.map(({ index }) => index), asked().slice(6), queue.waiting],
      [[6, 7, 8], ['b0', 'b1'], 0],
    );
    want([6], 'a', false, 'silent.example');
    assert.deepEqual(asked().slice(8), ['a6'], 'it may be back');
  });

  it('but not if it has answered another one meanwhile, or one was only left', () => {
    want(range(0, 9), 'a', false);
    assert.deepEqual(queue.over(begun[0]!, 'left'), []);
    assert.deepEqual(queue.over(begun[1]!), []);
    assert.deepEqual(queue.over(begun[2]!, 'silent'), []);
    settle();
    assert.deepEqual(asked().slice(6), ['a6', 'a7', 'a8']);
    want(range(10, 14), 'a', false);
    assert.deepEqual(
      queue.over(begun[6]!, 'silent').map(({ index }) => index),
      [10, 11, 12, 13],
      'a6 began later than that answer',
    );
  });

  it('leaves turns to others beside a blob read in order', () => {
    want(range(0, 15));
    assert.deepEqual(asked(), ['a0 a1 a2', 'a3 a4 a5', 'a6 a7 a8', 'a9 a10 a11']);
    want([7, 70], 'b', false);
    assert.deepEqual(asked().slice(4), ['b7', 'b70']);
    end(1);
    assert.deepEqual(asked().slice(6), ['a12 a13 a14']);
  });

  it('holds a series that goes on until it fills a request, or few are left', () => {
    want(range(0, 7));
    assert.deepEqual(asked(), ['a0 a1 a2', 'a3 a4 a5'], 'a6 goes on from a5');
    want([7]);
    assert.equal(begun.length, 2);
    want([8]);
    assert.deepEqual(asked().slice(2), ['a6 a7 a8']);
    want([9]);
    end(0);
    assert.equal(queue.waiting, 1, 'two are under way still');
    end(1);
    assert.deepEqual(asked().slice(3), ['a9']);
  });

  it('holds a series no longer than until the shard before it has come', () => {
    // Its reader may want no more before it has this one.
    want(range(100, 109));
    want([0], 'a', false);
    want([1]);
    assert.deepEqual(
      asked().slice(3),
      ['a0'],
      'others of the blob are under way, for another reader',
    );
    end(3);
    assert.deepEqual(asked().slice(4), ['a1']);
  });

  it('does not wait with one that begins anew', () => {
    want(range(0, 9));
    want([50]);
    assert.deepEqual(asked(), ['a0 a1 a2', 'a3 a4 a5', 'a6 a7 a8', 'a50']);
  });

  it('ends with any wishes in any order, each shard once, even if wanted twice', () => {
    let seed = 7;
    const random = (below: number): number =>
      (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    const wanted: string[] = [];
    const ended = new Set<number>();
    const givenUp: OriginWant[] = [];
    for (let step = 0; step < 5_000; step++) {
      const [series, index] = ['abc'[random(3)]!, random(40)];
      if (step < 2_000) {
        wanted.push(`${series}${index}`);
        want([index], series, random(4) > 0);
      }
      const under = [...begun.keys()].filter((at) => !ended.has(at));
      assert.ok(under.length <= LIMITS.requests);
      if (under.length > 0 && random(2) === 0) {
        const at = under[random(under.length)]!;
        ended.add(at);
        givenUp.push(
          ...queue.over(begun[at]!, (['answered', 'silent', 'left'] as const)[random(3)]!),
        );
        settle();
      }
    }
    assert.equal(queue.waiting, 0);
    assert.ok(givenUp.length > 0);
    assert.deepEqual(
      [...begun.flat(), ...givenUp].map(({ series, index }) => `${series}${index}`).sort(),
      wanted.sort(),
    );
  });
});
