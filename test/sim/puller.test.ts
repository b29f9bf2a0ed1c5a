import assert from 'node:assert/strict';
import { READ_AHEAD_FROM } from '../../lib/front/limits.ts';
import { defaultCluster } from '../../native-bench/sim/cluster.ts';
import { parseRate } from '../../native-bench/sim/options.ts';
import { quantaFor } from '../../native-bench/sim/pieces.ts';
import { defaultPuller } from '../../native-bench/sim/puller.ts';
import { noFaults, runShoal } from '../../native-bench/sim/shoal.ts';

/** For each shard that a reader wants: its index, and the part of the first that is here. */
function wants(link: string): [index: number, part: number][] {
  const found: [number, number][] = [];
  runShoal({
    cluster: {
      ...defaultCluster,
      nodes: 8,
      roots: 1,
      layers: [20e6],
      quanta: 16,
      linkBytesPerMs: parseRate(link),
      originBytesPerMs: parseRate('10Gbit'),
    },
    puller: defaultPuller,
    hasRun: true,
    faults: noFaults,
    spreadMs: 50,
    deadlineMs: 120_000,
    prepare({ agents }) {
      for (const node of agents) {
        const want = node.want.bind(node);
        node.want = (index) => {
          const supply = node.placeOf(0)?.supply;
          const part = node.held[0] === 1 ? 1 : (supply?.received ?? 0) / (supply?.quanta ?? 1);
          found.push([index, part]);
          want(index);
        };
      }
    },
  });
  return found;
}

describe('sim: readers and pieces', () => {
  it('ask for further shards when the first has begun to come, as those of a node do', () => {
    const later = wants('25Mbit').filter(([index]) => index > 0);
    assert.ok(later.length > 0);
    assert.ok(later.every(([, part]) => part >= READ_AHEAD_FROM));
  });

  it('ask for all at once on lines as fast as a test can tell', () => {
    assert.ok(wants('10Gbit').some(([index, part]) => index > 0 && part === 0));
  });

  it('passes on what a node gathers: less of a shard on slow lines and in long chains', () => {
    const quanta = (nodes: number, link: string): number => quantaFor(nodes, 64e6, parseRate(link));
    assert.deepEqual(
      ['10Mbit', '25Mbit', '100Mbit', '10Gbit'].map((link) => quanta(8, link)),
      [32, 16, 8, 8],
    );
    assert.deepEqual(
      ['10Mbit', '25Mbit', '100Mbit', '10Gbit'].map((link) => quanta(64, link)),
      [32, 32, 32, 8],
    );
  });

  it('is coarser in runs that would take too long', () => {
    assert.equal(quantaFor(1_000, 1e9, parseRate('10Mbit')), 8);
    assert.equal(quantaFor(10_000, 1e9, parseRate('10Gbit')), 4);
  });
});
