import assert from 'node:assert/strict';
import { Arrivals } from '../../lib/swarm/arrivals.ts';
import type { FetchParts } from '../../lib/swarm/fetch-parts.ts';
import { ARRIVALS_BLOBS_MAX, ARRIVALS_SHARDS_MAX } from '../../lib/swarm/limits.ts';
import { Patience } from '../../lib/swarm/patience.ts';

describe('swarm/patience', () => {
  let nowMs: number;
  let turned: string[];
  let arrivals: Arrivals;
  const patience = (hasRoot: boolean, hasOrigin: boolean): Patience => {
    nowMs = 0;
    turned = [];
    arrivals = new Arrivals();
    const parts = {
      shard: { key: 'k', index: 5 },
      progress: { grownMs: 0, ownerChanged: () => undefined },
      shared: { nowMs: () => nowMs, arrivals, pace: { giveUpMs: 100 }, observe: () => undefined },
      attempts: { node: null },
      sources: {
        hasRoot,
        turnToRoots: () => turned.push('roots'),
        turnToOrigin: () => turned.push('origin'),
      },
    };
    return new Patience(parts as unknown as FetchParts, () => hasOrigin);
  };

  it('turns to a root, then to the origin, then gives up; each once', () => {
    const made = patience(true, true);
    for (nowMs = 0; nowMs <= 50; nowMs += 10) assert.equal(made.look(), 'wait');
    assert.equal(made.look(), 'elsewhere');
    assert.equal(made.look(), 'wait');
    nowMs = 101;
    assert.equal(made.look(), 'elsewhere');
    assert.deepEqual(turned, ['roots', 'origin']);
    nowMs = 201;
    assert.equal(made.look(), 'wait', 'the origin has as long as the nodes had');
    nowMs = 202;
    const end = made.look();
    assert.ok(typeof end === 'object' && end.code === 'PEER_TIMEOUT');
    assert.match(end.message, /no byte of shard 5 from any node for 101 ms/);
  });

  it('gives up at once where there is nothing to turn to', () => {
    const made = patience(false, false);
    nowMs = 100;
    assert.equal(made.look(), 'wait');
    nowMs = 101;
    assert.ok(typeof made.look() === 'object');
    assert.deepEqual(turned, []);
  });

  it('counts from the last bytes of a shard before it, of the same blob', () => {
    const made = patience(true, true);
    arrivals.came('k', 4, 90);
    arrivals.came('other', 4, 130);
    arrivals.came('k', 6, 135);
    nowMs = 140;
    assert.equal(made.look(), 'wait');
    nowMs = 141;
    assert.equal(made.look(), 'elsewhere');
  });
});

describe('swarm/arrivals', () => {
  it('says when bytes last came of a shard before another', () => {
    const arrivals = new Arrivals();
    arrivals.came('k', 3, 1_000);
    arrivals.came('k', 5, 2_000);
    assert.equal(arrivals.beforeMs('k', 3), -Infinity);
    assert.equal(arrivals.beforeMs('k', 4), 1_000);
    assert.equal(arrivals.beforeMs('k', 9), 2_000);
    arrivals.came('k', 3, 3_000);
    assert.equal(arrivals.beforeMs('k', 9), 3_000);
    assert.equal(arrivals.beforeMs('other', 9), -Infinity);
  });

  it('forgets the earliest shards and blobs beyond its bounds', () => {
    const arrivals = new Arrivals();
    for (let index = 0; index <= ARRIVALS_SHARDS_MAX; index++) arrivals.came('k', index, index);
    assert.equal(arrivals.beforeMs('k', 1), -Infinity);
    assert.equal(arrivals.beforeMs('k', 2), 1);
    for (let blob = 0; blob < ARRIVALS_BLOBS_MAX; blob++) arrivals.came(`b${blob}`, 0, 1);
    assert.equal(arrivals.beforeMs('k', 2), -Infinity);
    assert.equal(arrivals.beforeMs('b0', 1), 1);
  });
});
