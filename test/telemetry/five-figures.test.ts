import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { UpReport } from '../../lib/commands/up-report.ts';
import type { Config } from '../../lib/config/schema.ts';
import { formatBytes } from '../../lib/quantity.ts';
import type { Status } from '../../lib/telemetry/status.ts';
import type { SwarmStatus } from '../../lib/telemetry/swarm-status.ts';
import { cliPath } from '../built-program.ts';
import { run } from '../e2e/daemon.ts';
import { needs } from '../programs.ts';
import { Browser } from './browser.ts';
import { startOrigin, type Origin } from './live-node.ts';
import { RealPrometheus } from './real-prometheus.ts';
import { until } from './until.ts';

const BLOB_BYTES = 20 * 2 ** 20 + 123;
const NODES = 4;
/** Of the dashboard's expressions here: longer than the test takes. */
const RANGE_SECONDS = 300;

const dashboard = JSON.parse(
  readFileSync(new URL('../../deploy/helm/shoal/files/dashboard.json', import.meta.url), 'utf8'),
) as { panels: { title: string; targets?: { expr: string }[] }[] };

interface UpNode {
  name: string;
  exporter: string;
  proxy: string;
}

/** What clients of one node got, by source. */
interface Expected {
  client: number;
  origin: number;
  peer: number;
  cache: number;
}

/**
 * The table of `shoal up`, /status, the pages, the metrics and the dashboard in a real Prometheus
 * show the same bytes: those that clients and registry counted.
 */
describe('the five places that show bytes', function () {
  this.timeout(150_000);
  let directory: string;
  let origin: Origin;
  let imageBytes: number;
  let release: () => void;
  let up: ChildProcess;
  let [stdout, stderr] = ['', ''];
  let root: UpNode;
  let agents: UpNode[];
  let prometheus: RealPrometheus | undefined;
  let browser: Browser | undefined;
  let report: UpReport;
  const expected = new Map<UpNode, Expected>();

  before(async function () {
    needs(this, 'skopeo', 'prometheus', 'chromium');
    directory = mkdtempSync(join(tmpdir(), 'shoal-five-'));
    origin = await startOrigin(BLOB_BYTES);
    imageBytes = BLOB_BYTES + origin.config.length;
    // Until Prometheus has seen all counters at 0. `shoal up` itself begins with one blob, to see
    // where the registry sends its clients.
    const gate = Promise.withResolvers<void>();
    let blobs = 0;
    origin.hold = () => (blobs++ === 0 ? Promise.resolve() : gate.promise);
    release = gate.resolve;
    const image = ['--registry', origin.url, '--image', 'team/app:v1'];
    up = spawn(process.execPath, [cliPath, 'up', '--nodes', String(NODES), ...image, '--json'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: directory },
    });
    up.stdout!.on('data', (text: Buffer) => (stdout += text.toString()));
    up.stderr!.on('data', (text: Buffer) => (stderr += text.toString()));
    await until(() => stderr.includes('/swarm\n') || up.exitCode !== null, 'the nodes', 60_000);
    assert.equal(up.exitCode, null, stderr);
    [root, ...agents] = nodesOfUp() as [UpNode, ...UpNode[]];
    const exporters = [root, ...agents].map(({ exporter }) => exporter);
    [prometheus, browser] = await Promise.all([
      RealPrometheus.start(exporters, '250ms'),
      Browser.open(),
    ]);
    const seen = async (): Promise<number> =>
      (await prometheus!.ask('shoal_saved_bytes_total == 0')).length;
    await until(async () => (await seen()) === NODES + 1, 'a scrape of each node', 30_000);
    release();
    await until(() => stdout.includes('\n') || up.exitCode !== null, 'the report', 60_000);
    report = JSON.parse(stdout) as UpReport;
    const copies = await Promise.all(agents.map(copy));
    for (const [at, agent] of agents.entries()) {
      const row = report.nodes.find(({ name }) => name === agent.name)!.bytes;
      // The second pull finds all in the cache.
      const client = row.origin + row.peer + row.cache + copies[at]!;
      expected.set(agent, { ...row, client, cache: row.cache + copies[at]! });
    }
  });

  after(async () => {
    release?.();
    await Promise.allSettled([prometheus?.stop(), browser?.close()]);
    if ((up as ChildProcess | undefined)?.exitCode === null) {
      up.kill('SIGTERM');
      await new Promise((resolve) => up.once('close', resolve));
    }
    origin?.server.closeAllConnections();
    origin?.server.close();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  /** The root first, from the configs that `shoal up` wrote. */
  function nodesOfUp(): UpNode[] {
    const dir = readdirSync(directory).find((name) => name.startsWith('shoal-up-'));
    return ['root', ...Array.from({ length: NODES }, (_, i) => `agent-${i + 1}`)].map((name) => {
      const text = readFileSync(join(directory, dir!, name, 'config.yaml'), 'utf8');
      const { ExporterConfig, ProxyConfig } = parse(text) as Config;
      const url = ({ port }: { port: number }): string => `http://127.0.0.1:${port}`;
      return { name, exporter: url(ExporterConfig), proxy: url(ProxyConfig) };
    });
  }

  /** Pulls the image with skopeo, and counts the bytes of its blobs that came. */
  async function copy({ name, proxy }: UpNode): Promise<number> {
    const to = join(directory, `pulled-${name}`);
    const from = `docker://${new URL(proxy).host}/team/app:v1`;
    const options = ['--preserve-digests', '--src-tls-verify=false'];
    await run('skopeo', ['copy', ...options, from, `dir:${to}`]);
    const blobs = readdirSync(to).filter((file) => /^[0-9a-f]{64}$/.test(file));
    return blobs.reduce((sum, file) => sum + statSync(join(to, file)).size, 0);
  }

  /** Sent by the registry to nodes: all but the byte with which `shoal up` begins. */
  function registryBytes(): number {
    return origin.sentBytes - 1;
  }

  async function statusOf({ exporter }: UpNode): Promise<Status> {
    return (await (await fetch(`${exporter}/status`)).json()) as Status;
  }

  function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
  }

  /** The table and its JSON: what the clients of `shoal up` got, and the registry sent. */
  it('the table of shoal up', () => {
    assert.equal(report.ok, true, stderr);
    assert.equal(report.imageBytes, imageBytes);
    assert.deepEqual([report.origin.bytes, registryBytes()], [imageBytes, imageBytes]);
    for (const { name, bytes } of report.nodes) {
      const all = sum([bytes.origin, bytes.peer, bytes.cache]);
      assert.equal(all, imageBytes, `${name}: each byte once, by its source`);
      const shown = stderr.split('\n').find((line) => line.includes(`│ ${name} `));
      for (const source of ['origin', 'peer', 'cache'] as const)
        assert.ok(shown?.includes(` ${formatBytes(bytes[source])} `), `${source} in ${shown}`);
    }
    assert.deepEqual(
      [...expected.values()].map(({ client }) => client),
      agents.map(() => 2 * imageBytes),
    );
  });

  it('/status', async () => {
    assert.equal((await statusOf(root)).bytes.origin, registryBytes());
    for (const [agent, { client, origin: fetched, peer, cache }] of expected) {
      const { sent, clientBytes, bytes } = await statusOf(agent);
      const { arena, runtime, disk } = clientBytes;
      assert.deepEqual(
        [sent.client, clientBytes.origin, clientBytes.peer, arena + runtime + disk, bytes.cache],
        [client, fetched, peer, cache, cache],
        agent.name,
      );
    }
  });

  it('the shoal_ metrics', async () => {
    const metricsOf = async ({ exporter }: UpNode): Promise<(series: RegExp) => number> => {
      const text = await (await fetch(`${exporter}/metrics`)).text();
      return (series) =>
        sum(
          text
            .split('\n')
            .flatMap((line) => (series.test(line) ? [Number(line.split(' ')[1])] : [])),
        );
    };
    const ofRoot = await metricsOf(root);
    assert.equal(ofRoot(/^shoal_traffic_bytes_total\{.*type="download"/), registryBytes());
    for (const [agent, { client, origin: fetched, peer, cache }] of expected) {
      const of = await metricsOf(agent);
      const served = (tier: string): number =>
        of(new RegExp(`^shoal_served_bytes_total\\{(?=.*to="client").*tier="(?:${tier})"`));
      assert.deepEqual(
        [
          ...[served('.*'), served('origin'), served('peer'), served('arena|runtime|disk')],
          ...[of(/^shoal_saved_bytes_total/), of(/^shoal_traffic_bytes_total\{.*type="pread"/)],
        ],
        [client, fetched, peer, cache, client - fetched, client],
        agent.name,
      );
    }
  });

  it('the pages', async () => {
    const title = (id: string): string => `document.getElementById('${id}')?.title`;
    const shows = async (values: Record<string, number>): Promise<void> => {
      const wanted = Object.entries(values);
      const all = wanted.map(([id, bytes]) => `${title(id)} === '${bytes} bytes'`).join(' && ');
      await browser!.waitFor(all).catch(async (error: Error) => {
        const shown = await browser!.evaluate(`[${wanted.map(([id]) => title(id)).join()}]`);
        throw new Error(`${JSON.stringify(values)} wanted, shown: ${String(shown)}`, {
          cause: error,
        });
      });
    };
    await browser!.size(1280, 900);
    await browser!.go(`${root.exporter}/`);
    await shows({ 'tile-origin': registryBytes(), 'tile-client': 0 });
    for (const [{ exporter }, { client, cache, peer }] of expected) {
      await browser!.go(`${exporter}/`);
      await shows({ 'tile-client': client, 'tile-cache': cache });
      const tiers = await browser!.evaluate<string[]>(
        `[...document.querySelectorAll('#hits b')].map(({ title }) => title)`,
      );
      assert.equal(tiers[3], `${peer} bytes`);
      assert.equal(sum(tiers.map((text) => Number.parseInt(text, 10))), client);
    }
    await browser!.go(`${agents[0]!.exporter}/swarm`);
    const all = [...expected.values()];
    const client = sum(all.map((one) => one.client));
    await shows({
      saved: client - registryBytes(),
      'tile-client': client,
      'tile-origin': registryBytes(),
    });
    const swarm = await (await fetch(`${agents[0]!.exporter}/swarm/status`)).json();
    assert.equal((swarm as SwarmStatus).bytes.client, client);
  });

  it("the dashboard's expressions in Prometheus", async () => {
    const ask = prometheus!.ask.bind(prometheus!);
    /** Values of a panel for one node by a label, at its last scrape: in bytes over the range. */
    const panel = async (title: string, node: UpNode, label = ''): Promise<Map<string, number>> => {
      const instance = new URL(node.exporter).host;
      const series = `shoal_served_bytes_total{instance="${instance}",to="client"}`;
      const [scraped] = await ask(`timestamp(${series})`);
      const { expr } = dashboard.panels.find((one) => one.title === title)!.targets![0]!;
      const shown = await ask(
        expr
          .replaceAll(/\$__(?:rate_interval|range)\b/g, `${RANGE_SECONDS}s`)
          .replaceAll('$instance', instance),
        Number(scraped!.value[1]),
      );
      const perSecond = expr.includes('rate(') ? RANGE_SECONDS : 1;
      return new Map(
        shown.map(({ metric, value }) => [
          metric[label] ?? '',
          Math.round(Number(value[1]) * perSecond),
        ]),
      );
    };
    const one = async (title: string, node: UpNode): Promise<number | undefined> =>
      (await panel(title, node)).get('');
    // The last scrape is to be later than the last byte.
    const scraped = async (): Promise<boolean> => {
      const [last] = await ask('sum(shoal_served_bytes_total{to="client"})');
      const reads = await ask('sum(shoal_registry_saved_bytes_total)');
      const client = sum([...expected.values()].map((each) => each.client));
      return Number(last?.value[1]) === client && Number(reads[0]?.value[1]) === client;
    };
    await until(scraped, 'a scrape after the last byte', 30_000);

    assert.equal(await one('From the registry', root), registryBytes());
    // Of the whole swarm the dashboard sums this: what the root fetched counts against it.
    assert.equal(await one('Is it saving anything?', root), -registryBytes());
    for (const [agent, { client, origin: fetched, peer, cache }] of expected) {
      assert.equal(await one('Is it saving anything?', agent), client - fetched);
      assert.equal(await one('Delivered', agent), client);
      const registry = new URL(origin.url).host;
      const saved = await panel('Saved, by registry', agent, 'registry');
      assert.deepEqual([...saved], [[registry, client - fetched]]);
      const tiers = await panel("Sources of clients' bytes", agent, 'tier');
      const of = (tier: string): number => tiers.get(tier) ?? 0;
      assert.deepEqual(
        [of('origin'), of('peer'), of('arena') + of('runtime') + of('disk')],
        [fetched, peer, cache],
      );
      assert.equal((await panel('Bytes by kind of traffic', agent, 'type')).get('pread'), client);
    }
  });
});
