import assert from 'node:assert/strict';
import { ORIGIN_TRIES_MAX, OWNER_REFUSALS_MAX } from '../../lib/swarm/limits.ts';
import { defaultCluster } from '../../native-bench/sim/cluster.ts';
import { defaultPuller } from '../../native-bench/sim/puller.ts';
import { Random } from '../../native-bench/sim/random.ts';
import {
  noFaults,
  runShoal,
  type ShoalOptions,
  type ShoalRun,
} from '../../native-bench/sim/shoal.ts';

/** CI runs a sample; `SIM_SEEDS=1000 npm test -- test/sim/seeds.test.ts` runs more. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 120);
const NODES = 50;

/** Nodes that may read a shard because its owner is late, where there are no roots. */
const LATE_READERS_MAX = 2;

/**
 * Longest pull of any healthy survivor, over a link that would take it in 30 ms: the faults' time
 * is what is bounded here.
 */
const PULL_SECONDS_MAX = 30;

/**
 * The same where roots freeze, too: each node has to find that out by itself, two silences a root.
 */
const FROZEN_ROOTS_SECONDS_MAX = 60;

/**
 * A run chosen by its seed: 50 nodes, up to three roots, an image of 8 to 16 shards, and up to 15 %
 * each of nodes that die, are unplugged, freeze, are slowed to 1 % and lie; roots die, freeze and
 * stall, the origin is busy and breaks off.
 */
function scenario(seed: number): ShoalOptions {
  const random = new Random(seed * 7919 + 1);
  const share = (): number => (random.next() < 0.5 ? 0 : random.next() * 0.15);
  const roots = random.below(4);
  const shards = 8 + random.below(9);
  const faults = {
    ...noFaults,
    kill: share(),
    unplug: share(),
    freeze: share(),
    slow: share(),
    lie: share(),
    rootKill: random.next() < 0.3 ? random.next() : 0,
  };
  const options = {
    cluster: {
      ...defaultCluster,
      nodes: NODES,
      roots,
      zones: 1 + random.below(3),
      layers: [shards * defaultCluster.shardBytes - random.below(defaultCluster.shardBytes - 1)],
      linkBytesPerMs: 1.25e6,
      originBytesPerMs: 1.25e6,
      quanta: 4,
      seed,
      originFaults: {
        unavailable: random.next() < 0.3 ? 0.1 : 0,
        retryAfterSeconds: random.next() < 0.5 ? 1 : null,
        breaksOff: random.next() < 0.3 ? 0.1 : 0,
      },
    },
    puller: defaultPuller,
    faults,
    spreadMs: random.next() * 200,
    deadlineMs: 300_000,
  };
  if (random.next() < 0.2) faults.rootFreeze = random.next();
  if (random.next() < 0.2) faults.rootStall = random.next();
  return options;
}

/**
 * Requests for one shard at the origin that the faults of a run can explain: each root that died,
 * froze or stalled had its own, so had each owner that took over; where the origin fails, each
 * tries again, and so do the next in rank.
 */
function requestsExplained({ cluster, faults }: ShoalOptions): number {
  const broken = faults.kill + faults.unplug + faults.freeze + faults.slow + faults.lie;
  const fetchers =
    1 +
    // Without roots, the next in rank may read what its owner is late with.
    (cluster.roots === 0 ? LATE_READERS_MAX : 0) +
    Math.ceil((faults.rootKill + faults.rootFreeze + faults.rootStall) * cluster.roots) +
    Math.ceil(broken * NODES);
  const { unavailable, breaksOff } = cluster.originFaults;
  return unavailable + breaksOff > 0
    ? (fetchers + OWNER_REFUSALS_MAX) * ORIGIN_TRIES_MAX
    : fetchers;
}

/**
 * What must hold whatever happens; that no byte is lost or made and no wrong one accepted is
 * asserted inside the run.
 */
function check(
  seed: number,
  options: ShoalOptions,
  { report, cluster, survivors }: ShoalRun,
): void {
  const say = (what: string): string =>
    `seed ${seed}: ${what}; ${JSON.stringify(options.faults)}, ${options.cluster.roots} roots`;
  assert.equal(report.unfinished, 0, say('a survivor is not whole'));
  for (const { node } of survivors)
    assert.ok(!node.held.includes(0), say(`${node.member.node} lacks a shard`));
  assert.ok(
    report.maxSeconds <=
      (options.faults.rootFreeze > 0 ? FROZEN_ROOTS_SECONDS_MAX : PULL_SECONDS_MAX),
    say(`a pull took ${report.maxSeconds.toFixed(1)} s`),
  );
  const most = Math.max(...cluster.origin.perShard);
  assert.ok(
    most <= requestsExplained(options),
    say(`${most} requests for one shard at the origin`),
  );
  for (const { swarm, condition } of cluster.agents) {
    if (condition !== 'well') continue;
    assert.ok(swarm.snapshot().uploads >= 0, say('uploads are counted wrongly'));
    assertNoCircles(seed, swarm.trees(cluster.shards[0]!.key, 100_000));
  }
}

function assertNoCircles(
  seed: number,
  edges: readonly { shard: number; node: string; parent: string | null; complete: boolean }[],
): void {
  const above = new Map(
    edges
      .filter(({ complete }) => !complete)
      .map(({ shard, node, parent }) => [
        `${shard} ${node}`,
        parent === null ? null : `${shard} ${parent}`,
      ]),
  );
  for (const start of above.keys()) {
    let steps = 0;
    for (let at = above.get(start); at !== null && at !== undefined; at = above.get(at))
      assert.ok(at !== start && ++steps <= edges.length, `seed ${seed}: ${start} is above itself`);
  }
}

describe('sim: faults of all kinds', function () {
  this.timeout(300_000);
  const tenth = Math.ceil(SEEDS / 10);
  for (let part = 0; part < 10; part++) {
    it(`seeds ${part * tenth + 1} to ${(part + 1) * tenth} keep the rules of a pull`, () => {
      // Survivors get all bytes, all bytes are right, the origin is spared, waits are bounded.
      for (let seed = part * tenth + 1; seed <= (part + 1) * tenth; seed++) {
        const options = scenario(seed);
        check(seed, options, runShoal(options));
      }
    });
  }

  it('a seed replays its run exactly', () => {
    const once = runShoal(scenario(7)).report;
    assert.deepEqual(runShoal(scenario(7)).report, once);
    assert.notDeepEqual(runShoal(scenario(8)).report, once);
  });
});
