import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { Meter } from '../../lib/telemetry/counters.ts';
import { exporterRoutes } from '../../lib/telemetry/exporter.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import { Telemetry } from '../../lib/telemetry/telemetry.ts';
import { serveFixture } from './demo-server.ts';
import { idleInputs } from './fixture.ts';
import { needs } from '../programs.ts';
import { until } from './until.ts';

interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

/** A node's exporter in real time, whose clients read `bytesPerSecond`, evenly. */
async function busyNode(node: string, bytesPerSecond: number): Promise<{ url: string; clientBytes: () => number; stop: () => void }> {
  const board = new MeterBoard();
  const meter = new Meter(board.shared, 0, 'control');
  const telemetry = new Telemetry({ mode: 'agent', node, version: '0.1.0' }, board, systemClock);
  const inputs = idleInputs();
  const { url, close } = await serveFixture({ route: exporterRoutes({ telemetry, clock: systemClock, inputs: () => inputs, tree: () => undefined }) });
  telemetry.start();
  let clientBytes = 0;
  const startMs = performance.now();
  const load = setInterval(() => {
    const bytes = Math.round(((performance.now() - startMs) / 1000) * bytesPerSecond) - clientBytes;
    clientBytes += bytes;
    meter.record('pread', bytes, 300);
    meter.record('http', bytes, 300);
  }, 5);
  const stop = (): void => {
    clearInterval(load);
    telemetry.stop();
    close();
  };
  return { url, clientBytes: () => clientBytes, stop };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

describe('telemetry in a real Prometheus', function () {
  this.timeout(90_000);
  let directory = '';
  let prometheus: ChildProcess | undefined;
  const stops: (() => void)[] = [];

  afterEach(async () => {
    for (const stop of stops.splice(0)) stop();
    if (prometheus !== undefined) {
      const gone = new Promise((resolve) => prometheus!.once('exit', resolve));
      prometheus.kill('SIGKILL');
      await gone;
    }
    if (directory !== '') rmSync(directory, { recursive: true, force: true });
  });

  it('is scraped from two nodes: every seed metric with its labels, and the rates the clients saw', async function () {
    needs(this, 'prometheus');
    const rates: Record<string, number> = { '10.0.0.1:65002': 50e6, '10.0.0.2:65002': 1.25e9 };
    const nodes = await Promise.all(Object.entries(rates).map(([node, rate]) => busyNode(node, rate)));
    stops.push(...nodes.map(({ stop }) => stop));
    directory = mkdtempSync(join(tmpdir(), 'shoal-prometheus-'));
    const targets = nodes.map(({ url }) => url.replace('http://', ''));
    writeFileSync(join(directory, 'prometheus.yml'), JSON.stringify({ global: { scrape_interval: '500ms' }, scrape_configs: [{ job_name: 'shoal', static_configs: [{ targets }] }] }));
    const listen = `127.0.0.1:${await freePort()}`;
    prometheus = spawn('prometheus', [`--config.file=${directory}/prometheus.yml`, `--storage.tsdb.path=${directory}/data`, `--web.listen-address=${listen}`], { stdio: 'ignore' });

    const query = async (expression: string): Promise<Sample[]> => {
      const response = await fetch(`http://${listen}/api/v1/query?query=${encodeURIComponent(expression)}`).catch(() => undefined);
      if (response?.status !== 200) return [];
      return ((await response.json()) as { data: { result: Sample[] } }).data.result;
    };
    await until(async () => (await query('min(count_over_time(DADIP2P_Count{type="pread"}[30s]))')).some(({ value }) => Number(value[1]) >= 14), '14 scrapes of both nodes', 60_000);

    for (const { metric, value } of await query('rate(DADIP2P_Count{type="pread"}[6s])')) {
      const expected = rates[metric['node']!]!;
      const error = Math.abs(Number(value[1]) / expected - 1);
      assert.ok(error < 0.02, `${metric['node']}: ${value[1]} bytes/s for ${expected}`);
    }
    const throughput = await query('DADIP2P_Read_Throughtput{type="http"}');
    assert.equal(throughput.length, 2);
    for (const { metric, value } of throughput) assert.ok(Math.abs(Number(value[1]) / rates[metric['node']!]! - 1) < 0.05, JSON.stringify(metric));

    const series: Record<string, number> = { Alive: 1, Read_Throughtput: 5, QPS: 5, MaxLatency: 5, Count: 5, Cache: 2 };
    for (const [name, perNode] of Object.entries(series)) {
      const samples = await query(`DADIP2P_${name}`);
      assert.equal(samples.length, 2 * perNode, name);
      for (const { metric } of samples) assert.deepEqual(Object.keys(metric).sort(), ['__name__', 'instance', 'job', 'mode', 'node', ...(name === 'Alive' ? [] : ['type'])], name);
    }
    assert.deepEqual((await query('up')).map(({ value }) => value[1]), ['1', '1']);
    assert.equal((await query('count({__name__=~"shoal_.*"}) > 500')).length, 1);
  });
});
