import assert from 'node:assert/strict';
import { type Cell, runCell } from '../../native-bench/sim/grid.ts';

/**
 * A sample of `npm run sim -- --grid`, deterministic. A pull takes at most `overIdeal` times the
 * ideal and two shard times; at 10 Gbit/s processors count, too. The origin is read once, but for
 * links so slow that a root reads too many shards at once (docs/SWARM.md).
 */
const CELLS: [Cell, { overIdeal: number; origin: number }][] = [
  [
    { nodes: 2, link: '10Mbit', image: '64MB' },
    { overIdeal: 1.2, origin: 1.7 },
  ],
  [
    { nodes: 2, link: '25Mbit', image: '64MB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 2, link: '100Mbit', image: '64MB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 2, link: '1Gbit', image: '64MB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 2, link: '10Gbit', image: '64MB' },
    { overIdeal: 1.7, origin: 1.02 },
  ],
  [
    { nodes: 2, link: '25Mbit', image: '1GB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 8, link: '10Mbit', image: '64MB' },
    { overIdeal: 1.3, origin: 1.7 },
  ],
  [
    { nodes: 8, link: '25Mbit', image: '64MB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 8, link: '100Mbit', image: '64MB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 8, link: '1Gbit', image: '64MB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 8, link: '10Gbit', image: '64MB' },
    { overIdeal: 2, origin: 1.02 },
  ],
  [
    { nodes: 8, link: '25Mbit', image: '1GB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 8, link: '1Gbit', image: '1GB' },
    { overIdeal: 1.2, origin: 1.02 },
  ],
  [
    { nodes: 64, link: '25Mbit', image: '64MB' },
    { overIdeal: 1.25, origin: 1.02 },
  ],
];

/** A few messages a shard, whatever the line. */
const MESSAGES_MAX = 7;

describe('sim: the grid of nodes and lines', () => {
  for (const [cell, { overIdeal, origin }] of CELLS)
    it(`${cell.nodes} nodes, ${cell.link}, ${cell.image}`, () => {
      const result = runCell(cell);
      assert.equal(result.unfinished, 0);
      assert.ok(
        result.p95OverIdeal <= overIdeal + 2 * result.shardOverIdeal,
        `P95 ${result.p95OverIdeal} x the ideal`,
      );
      assert.ok(result.originOverImage <= origin, `origin ${result.originOverImage} x`);
      assert.ok(result.messagesPerShard <= MESSAGES_MAX, `${result.messagesPerShard} messages`);
    });
});
