import assert from 'node:assert/strict';
import { GATHER_MS } from '../../lib/limits.ts';
import { GATHER_MS_MIN, gatherMs, shapeFor, treeShape } from '../../lib/swarm/shape.ts';

describe('swarm/shape', () => {
  it('chooses chains for few nodes or slow lines, and trees for many nodes on fast lines', () => {
    assert.equal(shapeFor(8, 2).fanout, 1);
    assert.equal(shapeFor(60, Infinity).fanout, 1);
    assert.equal(shapeFor(100, 2).fanout, treeShape.fanout);
    assert.equal(shapeFor(1000, Infinity).fanout, treeShape.fanout);
    assert.equal(shapeFor(1000, 700).fanout, 1);
  });

  it('sends along more chains where there are more nodes, or hops cost more of a shard', () => {
    const chains = (agents: number, shardMs: number): number =>
      shapeFor(agents, shardMs).ownerFanout;
    assert.deepEqual(
      [2, 8, 64, 256, 1000].map((agents) => chains(agents, 1_700)),
      [1, 1, 1, 3, 6],
    );
    assert.deepEqual(
      [2, 8, 64, 256, 1000].map((agents) => chains(agents, 42)),
      [1, 1, 3, 6, 11],
    );
    const { ownerFanout, ownerLeaves } = shapeFor(256, 700);
    assert.equal(ownerLeaves, ownerFanout, 'the head of any chain may be whoever comes first');
  });

  it('gathers small pieces where chains are long, unless the line is fast or not known', () => {
    assert.equal(gatherMs(16, 160), GATHER_MS);
    assert.equal(gatherMs(17, 160), 160 / 32);
    assert.equal(gatherMs(1000, 640), 640 / 32);
    assert.equal(gatherMs(1000, 16), GATHER_MS_MIN);
    assert.equal(gatherMs(1000, 10_000), GATHER_MS);
    assert.equal(gatherMs(1000, Infinity), GATHER_MS);
  });
});
