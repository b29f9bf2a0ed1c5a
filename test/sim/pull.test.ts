import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';

import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LONE_OWNER_CLIENTS_MAX, RANK_DEPTH } from '../../lib/swarm/limits.ts';
import { defaultCluster, type ClusterOptions } from '../../native-bench/sim/cluster.ts';
import { runDirect } from '../../native-bench/sim/direct.ts';
import { EventQueue } from '../../native-bench/sim/event-queue.ts';
import { runLayerTree } from '../../native-bench/sim/layer-tree.ts';
import { parseBytes, parseFaults, parseRate } from '../../native-bench/sim/options.ts';
import { plotFinish } from '../../native-bench/sim/plot.ts';
import { defaultPuller } from '../../native-bench/sim/puller.ts';
import { noFaults, runShoal, type Faults } from '../../native-bench/sim/shoal.ts';

const LINK = parseRate('10Gbit');
const IMAGE_BYTES = 1e9;

function pull(
  more: Partial<ClusterOptions> = {},
  faults: Partial<Faults> = {},
): ReturnType<typeof runShoal>['report'] {
  const cluster = {
    ...defaultCluster,
    nodes: 100,
    layers: [IMAGE_BYTES],
    linkBytesPerMs: LINK,
    originBytesPerMs: LINK,
    ...more,
  };
  return runShoal({
    cluster,
    puller: defaultPuller,
    hasRun: true,
    faults: { ...noFaults, ...faults },
    spreadMs: 50,
    deadlineMs: 120_000,
  }).report;
}

describe('sim: what the swarm reaches', function () {
  this.timeout(120_000);

  /** The undisturbed pull of 100 nodes, which several tests look at. */
  let calmReport: ReturnType<typeof pull> | null = null;
  const calm = (): ReturnType<typeof pull> => (calmReport ??= pull());

  it('100 nodes: within 1.25 of the ideal, the image leaves the origin once', () => {
    const report = calm();
    assert.ok(report.p95Seconds <= 1.25 * report.idealSeconds, `P95 ${report.p95Seconds}`);
    assert.equal(report.originBytes, IMAGE_BYTES);
    assert.ok(report.originRequests <= Math.ceil(IMAGE_BYTES / defaultCluster.shardBytes));
    assert.ok(report.uploadMaxOverMean < 1.5 && report.messagesPerShard < 3.5);
  });

  it('100 nodes without roots: the same', () => {
    const report = pull({ roots: 0, layers: [4e8] });
    assert.ok(report.p95Seconds <= 1.3 * report.idealSeconds, `P95 ${report.p95Seconds}`);
    assert.ok(report.originBytes <= 1.01 * report.imageBytes);
  });

  it('three nodes and forty layers, and one node alone, finish as well', () => {
    for (const more of [
      { nodes: 3, layers: Array<number>(40).fill(5e6 + 1) },
      { nodes: 1, roots: 0 },
      { nodes: 2, layers: [1] },
    ]) {
      const report = pull(more);
      assert.equal(report.unfinished, 0);
      assert.equal(report.originBytes, report.imageBytes);
    }
  });

  it('a slow origin does not look like slow owners: still each byte once', () => {
    for (const roots of [0, 3]) {
      const report = pull({
        nodes: 30,
        roots,
        layers: [1e8],
        originBytesPerMs: parseRate('200Mbit'),
        originFirstByteMs: 300,
      });
      assert.ok(report.originBytes <= 1.01 * 1e8, `${roots} roots: ${report.originBytes}`);
      assert.ok(report.p95Seconds <= 1.5 * report.idealSeconds);
    }
  });

  it('5 % killed and 5 % slowed to 1 %: all others finish within twice the time', () => {
    const image = { layers: [4e8] };
    const undisturbed = pull(image);
    const report = pull(image, { kill: 0.05, slow: 0.05 });
    assert.equal(report.unfinished, 0);
    assert.ok(
      report.p95Seconds <= 2 * undisturbed.p95Seconds,
      `P95 ${report.p95Seconds} against ${undisturbed.p95Seconds}`,
    );
    assert.ok(report.originBytes <= 1.1 * report.imageBytes);
  });

  it('lying nodes, first owners too, several owners a shard: no client hears of it', () => {
    // From LONE_OWNER_CLIENTS_MAX nodes on a shard has several trackers.
    {
      const seed = 2;
      const cluster = {
        ...defaultCluster,
        nodes: LONE_OWNER_CLIENTS_MAX + 1,
        layers: [4e7],
        linkBytesPerMs: LINK,
        originBytesPerMs: LINK,
        seed,
      };
      const {
        report,
        survivors,
        cluster: ran,
      } = runShoal({
        cluster,
        puller: defaultPuller,
        faults: { ...noFaults, lie: 0.03 },
        spreadMs: 50,
        deadlineMs: 120_000,
      });
      assert.ok(
        ran.shards.some(
          (shard) => ran.node(ran.agents[0]!.swarm.membership.owners.top(shard)[0]!).station.lies,
        ),
        'a first owner is among them',
      );
      assert.equal(
        survivors.reduce((sum, { retries }) => sum + retries, 0),
        0,
        'every stream went on',
      );
      // A root that liars lead past costs the origin a few shards more.
      assert.ok(report.originBytes <= 1.2 * report.imageBytes, `${report.originBytes} bytes`);
    }
  });

  it('the only root stalled for three seconds: nearly all wait for it', () => {
    const report = pull({ nodes: 50, roots: 1, layers: [4e8] }, { rootStall: 1 });
    assert.ok(report.originBytes <= 1.4 * report.imageBytes, `${report.originBytes} bytes`);
    assert.ok(report.maxSeconds < report.idealSeconds + 4.5, `a pull took ${report.maxSeconds} s`);
  });

  it('the only root frozen: everybody finishes, each shard twice from the origin at most', () => {
    const report = pull({ nodes: 50, roots: 1, layers: [4e8] }, { rootFreeze: 1 });
    assert.equal(report.unfinished, 0);
    assert.ok(
      report.originRequests <= 2 * Math.ceil(report.imageBytes / defaultCluster.shardBytes),
      `${report.originRequests} requests`,
    );
    assert.ok(report.maxSeconds < report.idealSeconds + 10, `a pull took ${report.maxSeconds} s`);
  });

  it('a partition: the part without roots gets the image from the origin once more', () => {
    const report = pull({ nodes: 60, layers: [2e8] }, { partition: 0.3 });
    assert.equal(report.unfinished, 0);
    assert.ok(report.originBytes <= 2.2 * report.imageBytes, `${report.originBytes} bytes`);
    assert.ok(
      report.maxSeconds < report.idealSeconds + 0.5 * RANK_DEPTH + 2,
      `half a second for each of a rank at most: ${report.maxSeconds} s`,
    );
  });

  it('slow owners where there are no roots: nobody runs to the origin for them', () => {
    const report = pull({ nodes: 50, roots: 0, layers: [2e8] }, { slow: 0.1 });
    assert.equal(report.unfinished, 0);
    assert.ok(report.originBytes <= 1.4 * report.imageBytes, `${report.originBytes} bytes`);
  });

  it('the only root killed: no wait for it, each shard twice from the origin at most', () => {
    const report = pull({ nodes: 50, roots: 1, layers: [4e8] }, { rootKill: 1 });
    assert.equal(report.unfinished, 0);
    assert.ok(
      report.originRequests <= 2 * Math.ceil(report.imageBytes / defaultCluster.shardBytes),
      `${report.originRequests} requests`,
    );
    assert.ok(report.maxSeconds < report.idealSeconds + 0.5, `a pull took ${report.maxSeconds} s`);
  });

  it('is 30 % faster than one tree a layer, and 99 % than the origin alone', () => {
    const ours = calm().p95Seconds;
    const old = runLayerTree({
      nodes: 100,
      layers: [IMAGE_BYTES],
      linkBytesPerMs: LINK,
      originBytesPerMs: LINK,
      originFirstByteMs: 10,
      delayMs: 0.25,
      cores: 4,
      spreadMs: 50,
      quanta: 8,
      fanout: 2,
      seed: 1,
    });
    assert.ok(ours <= 0.7 * old.report.p95Seconds, `${ours} against ${old.report.p95Seconds}`);
    const direct = runDirect({
      nodes: 100,
      imageBytes: IMAGE_BYTES,
      linkBytesPerMs: LINK,
      originBytesPerMs: LINK,
      spreadMs: 50,
      seed: 1,
    });
    assert.ok(ours <= 0.02 * direct.report.p95Seconds);
    assert.ok(Math.abs(direct.report.maxSeconds - 80) < 0.1, 'a hundred images over one link');
  });
});

describe('sim: its parts', () => {
  it('lets events happen in order of time, then of their making', () => {
    const queue = new EventQueue();
    const heard: string[] = [];
    const order = [5, 1, 3, 1, 5, 2, 0.5, 3];
    order.forEach((atMs, at) =>
      queue.at(atMs, (name: string) => heard.push(name), `${atMs}/${at}`),
    );
    queue.run(() => false);
    assert.deepEqual(heard, ['0.5/6', '1/1', '1/3', '2/5', '3/2', '3/7', '5/0', '5/4']);
    assert.equal(queue.nowMs, 5);
  });

  it('reads sizes, rates and faults, and refuses what is none', () => {
    assert.deepEqual(
      [parseBytes('1GB'), parseBytes('512MiB'), parseBytes('1.5kb'), parseBytes('7')],
      [1e9, 2 ** 29, 1500, 7],
    );
    assert.deepEqual([parseRate('10Gbit'), parseRate('8Mbit/s')], [1.25e6, 1000]);
    assert.deepEqual(parseFaults('kill=5%,slow=0.1'), { ...noFaults, kill: 0.05, slow: 0.1 });
    for (const bad of [
      () => parseBytes('lots'),
      () => parseBytes('0GB'),
      () => parseRate('10GB'),
      () => parseRate('25'),
      () => parseFaults('burn=1%'),
      () => parseFaults('kill=200%'),
      () => parseFaults('__proto__=1'),
    ])
      assert.throws(bad);
  });

  it('draws a picture without outside parts', () => {
    const svg = plotFinish('a <title>', [{ name: 'shoal', seconds: [1, 2, 3] }], 1);
    assert.match(svg, /^<svg /);
    assert.match(svg, /a &lt;title&gt;/);
    assert.doesNotMatch(svg, /href|<script/);
  });

  it('prints one JSON object on its last line, and exits 2 on misuse', () => {
    const script = fileURLToPath(new URL('../../native-bench/sim.ts', import.meta.url));
    const run = spawnSync(
      process.execPath,
      [script, '--nodes', '10', '--image', '20MB', '--json'],
      { encoding: 'utf8' },
    );
    assert.equal(run.status, 0, run.stderr);
    const report = JSON.parse(run.stdout.trim().split('\n').at(-1)!) as Record<string, unknown>;
    assert.deepEqual(Object.keys(report), [
      'mode',
      'seed',
      'nodes',
      'imageBytes',
      'idealSeconds',
      'p50Seconds',
      'p95Seconds',
      'p99Seconds',
      'maxSeconds',
      'originBytes',
      'originPeakGbps',
      'originRequests',
      'uploadMaxOverMean',
      'messagesPerShard',
      'depthMax',
      'unfinished',
      'failedReads',
      'wallSeconds',
    ]);
    const picture = join(mkdtempSync(join(tmpdir(), 'shoal-sim-')), 'out.svg');
    assert.equal(
      spawnSync(process.execPath, [script, '--nodes', '3', '--image', '5MB', '--plot', picture])
        .status,
      0,
    );
    assert.match(readFileSync(picture, 'utf8'), /^<svg .*<polyline /s);
    rmSync(dirname(picture), { recursive: true });
    for (const bad of [
      ['--nodes', '0'],
      ['--image', 'lots'],
      ['--mode', 'torrent'],
      ['--nonsense'],
    ])
      assert.equal(spawnSync(process.execPath, [script, ...bad]).status, 2, bad.join(' '));
  });
});
