import { gaugeFamilies } from '../../lib/telemetry/gauge-list.ts';
import assert from 'node:assert/strict';
import {
  counterFamilies,
  derivedFamilies,
  histogramFamilies,
} from '../../lib/telemetry/metrics-list.ts';
import { telemetryFixture } from './fixture.ts';
import { sourceFiles } from '../check/source-tree.ts';
import { needs } from '../programs.ts';
import { checkMetrics } from './promtool.ts';

async function scrape(
  prepare?: (fixture: ReturnType<typeof telemetryFixture>) => void,
): Promise<string> {
  const fixture = telemetryFixture();
  prepare?.(fixture);
  return (await fixture.route('/metrics', '', true)).body;
}

function hasLine(metrics: string, line: string): void {
  assert.ok(
    metrics.split('\n').includes(line),
    `no line ${line} in\n${metrics
      .split('\n')
      .filter((text) => text.startsWith(line.split(/[{ ]/)[0]!))
      .join('\n')}`,
  );
}

describe('telemetry/own-metrics', () => {
  it('exports every family of the list, with its help', async () => {
    const metrics = await scrape();
    for (const family of [
      ...counterFamilies,
      ...histogramFamilies,
      ...Object.values(derivedFamilies),
      ...Object.values(gaugeFamilies),
    ]) {
      assert.ok(
        metrics.includes(`# HELP ${family.name} ${family.help.replaceAll('\\', '\\\\')}\n`),
        family.name,
      );
    }
  });

  it('names each family once', () => {
    const names = [
      ...counterFamilies,
      ...histogramFamilies,
      ...Object.values(derivedFamilies),
      ...Object.values(gaugeFamilies),
    ].map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  });

  it('has no counter or histogram that nothing ever counts', () => {
    const sources = sourceFiles()
      .filter(({ path }) => path.startsWith('lib/') && path !== 'lib/telemetry/metrics-list.ts')
      .map(({ text }) => text)
      .join('\n');
    const literals = new Set(
      [...sources.matchAll(/'([A-Za-z]+(?:\.[A-Za-z]+)*)'/g)].map((match) => match[1]),
    );
    const prefixes = new Set(
      [...sources.matchAll(/`([A-Za-z.]+)\.\$\{[^}]+\}`/g)].map((match) => match[1]),
    );
    const families: readonly { series: object }[] = [...counterFamilies, ...histogramFamilies];
    const uncounted = families
      .flatMap(({ series }) => Object.keys(series))
      .filter((key) => !literals.has(key) && !prefixes.has(key.slice(0, key.lastIndexOf('.'))));
    assert.deepEqual(uncounted, []);
  });

  it('labels each series with exactly the labels of its family', () => {
    for (const family of [...counterFamilies, ...histogramFamilies]) {
      for (const labels of Object.values(family.series))
        assert.deepEqual(Object.keys(labels), family.labels, family.name);
    }
  });

  it('shows counters, what follows from them, and histograms in seconds', async () => {
    const metrics = await scrape(({ meter }) => {
      meter.count('served.client.arena', 600);
      meter.count('served.client.peer', 300);
      meter.count('served.client.origin', 100);
      meter.count('refusal.HOST_NOT_ALLOWED', 3);
      meter.record('pread', 1000, 77, true);
      meter.observe('pread.disk', 100);
      meter.observe('pread.disk', 101);
      meter.observe('pread.disk', 60_000_000);
      meter.observe('treeDepth', 2);
    });
    hasLine(metrics, 'shoal_served_bytes_total{to="client",tier="arena"} 600');
    hasLine(metrics, 'shoal_saved_bytes_total 900');
    hasLine(metrics, 'shoal_hit_ratio{tier="peer"} 0.3');
    hasLine(metrics, 'shoal_refusals_total{reason="HOST_NOT_ALLOWED"} 3');
    hasLine(metrics, 'shoal_traffic_bytes_total{type="pread"} 1000');
    hasLine(metrics, 'shoal_traffic_failures_total{type="pread"} 1');
    const disk = 'operation="http:pread",source="disk"';
    hasLine(metrics, `shoal_operation_duration_seconds_bucket{le="0.00005",${disk}} 0`);
    hasLine(metrics, `shoal_operation_duration_seconds_bucket{le="0.0001",${disk}} 1`);
    hasLine(metrics, `shoal_operation_duration_seconds_bucket{le="0.00025",${disk}} 2`);
    hasLine(metrics, `shoal_operation_duration_seconds_bucket{le="30",${disk}} 2`);
    hasLine(metrics, `shoal_operation_duration_seconds_bucket{le="+Inf",${disk}} 3`);
    hasLine(metrics, `shoal_operation_duration_seconds_count{${disk}} 3`);
    assert.match(
      metrics,
      /shoal_operation_duration_seconds_sum\{operation="http:pread",source="disk"\} 60\.00020/,
    );
    hasLine(metrics, 'shoal_tree_depth_bucket{le="2"} 1');
  });

  it('does not add up what it collected at the scrape before', async () => {
    const { meter, route } = telemetryFixture();
    meter.count('throttle.wait', 2);
    await route('/metrics', '', true);
    hasLine((await route('/metrics', '', true)).body, 'shoal_throttle_waits_total 2');
  });

  it('shows the state of the node', async () => {
    const metrics = await scrape(({ inputs, meter }) => {
      inputs.peers = [
        { node: '10.0.0.1:65002', zone: 'a', role: 'agent', state: 'up' },
        { node: '10.0.0.2:65002', zone: 'a', role: 'agent', state: 'quarantined' },
        { node: '10.0.0.3:65002', zone: null, role: 'root', state: 'up' },
      ];
      inputs.arena = { slots: 128, used: 28 };
      inputs.queues = { layers: 4 };
      inputs.readiness = { phase: 'starting', problems: [] };
      meter.setLoopDelay(1500, 20_000);
    });
    hasLine(metrics, 'shoal_peers{role="agent",state="up"} 1');
    hasLine(metrics, 'shoal_peers{role="agent",state="quarantined"} 1');
    hasLine(metrics, 'shoal_peers{role="root",state="up"} 1');
    hasLine(metrics, 'shoal_peers{role="root",state="cooling"} 0');
    hasLine(metrics, 'shoal_arena_slots{state="free"} 100');
    hasLine(metrics, 'shoal_queue_length{queue="layers"} 4');
    hasLine(metrics, 'shoal_ready 0');
    hasLine(
      metrics,
      'shoal_build_info{mode="agent",node="192.168.69.172:65005",version="0.1.0"} 1',
    );
    hasLine(metrics, 'shoal_event_loop_delay_seconds{thread="control",stat="p99"} 0.0015');
    hasLine(metrics, 'shoal_threads{kind="control"} 1');
  });

  it('is loaded anew at the next scrape when that failed', async () => {
    const { telemetry, board, route } = telemetryFixture();
    Object.defineProperty(telemetry, 'board', {
      configurable: true,
      get: () => assert.fail('not there yet'),
    });
    assert.equal((await route('/metrics', '', true)).status, 500);
    Object.defineProperty(telemetry, 'board', { value: board });
    assert.equal((await route('/metrics', '', true)).status, 200);
  });

  it('passes promtool check metrics, except lint of DADIP2P_ names', async function () {
    needs(this, 'promtool');
    const metrics = await scrape(({ meter, inputs }) => {
      meter.observe('download', 1000);
      inputs.queues = { 'a "quoted"\\queue': 1 };
    });
    checkMetrics(metrics);
  });
});
