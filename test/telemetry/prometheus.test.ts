import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { needs } from '../programs.ts';
import { checkMetrics } from './promtool.ts';
import { startOrigin, startSwarm, type LiveNode, type Origin } from './live-node.ts';
import { RealPrometheus, type Sample } from './real-prometheus.ts';
import { until } from './until.ts';

const golden = readFileSync(new URL('../golden/metrics.prom', import.meta.url), 'utf8');
const dashboard = JSON.parse(
  readFileSync(new URL('../../deploy/helm/shoal/files/dashboard.json', import.meta.url), 'utf8'),
) as { panels: { title: string; targets?: { expr: string }[] }[] };
const MIB = 1024 * 1024;
const BLOB_BYTES = 8 * MIB;
const READ_BYTES = 64 * 1024;
/**
 * Of the readers of one node: what is on its way between node and client at any moment is small
 * beside what is counted.
 */
const CONNECTIONS = 4;
const WINDOW_SECONDS = 5;

/**
 * Clients that read at random until told to stop, and know at each moment how much they have got.
 */
class Readers {
  readonly #agent = new Agent({ connections: CONNECTIONS });
  readonly #log: { atMs: number; bytes: number }[] = [{ atMs: Date.now(), bytes: 0 }];
  readonly #loops: Promise<void>[];
  readonly #stopping = new AbortController();

  constructor(url: string, expected: Buffer) {
    this.#loops = Array.from({ length: CONNECTIONS }, (_, reader) =>
      this.#read(url, expected, reader),
    );
  }

  /**
   * Bytes got up to a moment, read off the straight line between the answers before and after it.
   */
  bytesAt(atMs: number): number {
    const after = this.#log.findIndex((entry) => entry.atMs >= atMs);
    assert.ok(after > 0, 'the moment lies within the run');
    const [from, to] = [this.#log[after - 1]!, this.#log[after]!];
    return to.atMs === from.atMs
      ? to.bytes
      : from.bytes + ((to.bytes - from.bytes) * (atMs - from.atMs)) / (to.atMs - from.atMs);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#loops);
    await this.#agent.close();
  }

  async #read(url: string, expected: Buffer, reader: number): Promise<void> {
    for (let turn = reader; !this.#stopping.signal.aborted; turn += CONNECTIONS) {
      const from = (turn * 7 * READ_BYTES) % BLOB_BYTES;
      const { statusCode, body } = await request(url, {
        dispatcher: this.#agent,
        headers: { range: `bytes=${from}-${from + READ_BYTES - 1}` },
      });
      const bytes = Buffer.from(await body.arrayBuffer());
      assert.equal(statusCode, 206);
      assert.ok(bytes.equals(expected.subarray(from, from + READ_BYTES)));
      this.#log.push({ atMs: Date.now(), bytes: this.#log.at(-1)!.bytes + bytes.length });
    }
  }
}

/** The DADIP2P_ part of an answer, without its numbers and names. */
function shape(metrics: string): string {
  return metrics.replace(/node="[^"]*"/g, 'node="N"').replace(/ \d+\.\d{6} \d{13}$/gm, ' F T');
}

describe('two real nodes before a real Prometheus', function () {
  this.timeout(150_000);
  let origin: Origin;
  let nodes: LiveNode[];
  let prometheus: RealPrometheus | undefined;
  let readers: Readers[] = [];

  before(async () => {
    origin = await startOrigin(BLOB_BYTES);
    nodes = await startSwarm(origin, ['ProxyConfig.throttleLimitMB=24'], 1);
  });

  after(async () => {
    await Promise.allSettled(readers.map((each) => each.stop()));
    for (const node of nodes ?? []) node.remove();
    origin.server.closeAllConnections();
    origin.server.close();
    await prometheus?.stop();
  });

  it('answers the sample byte for byte when idle, except numbers and the node name', async () => {
    for (const [node, mode] of [
      [nodes[1]!, 'agent'],
      [nodes[0]!, 'root'],
    ] as const) {
      const response = await fetch(`${node.exporter}/metrics`);
      const metrics = await response.text();
      assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4');
      const own = metrics.indexOf('# HELP shoal_');
      assert.equal(
        shape(metrics.slice(0, own)),
        shape(golden).replaceAll('mode="agent"', `mode="${mode}"`),
      );
      assert.ok(
        metrics
          .slice(own)
          .split('\n')
          .every((line) => /^(?:$|# (?:HELP|TYPE) shoal_|shoal_)/.test(line)),
        'ours come after, and nothing else',
      );
      assert.deepEqual(
        [
          ...new Set(
            [...metrics.slice(0, own).matchAll(/node="([^"]*)"/g)].map((match) => match[1]),
          ),
        ],
        [node.name],
      );
      const of = (series: string): number =>
        Number(
          new RegExp(
            `^${series.replace('{', `\\{node="${node.name}",`)},mode="${mode}"\\} (\\S+) `,
            'm',
          ).exec(metrics)?.[1],
        );
      assert.deepEqual(
        [
          'DADIP2P_Count{type="pread"',
          'DADIP2P_QPS{type="http"',
          'DADIP2P_Read_Throughtput{type="peer"',
        ].map(of),
        [0, 0, 0],
      );
      // The capacity, less what the table of headers takes of it.
      const allocated = of('DADIP2P_Cache{type="allocated"');
      assert.ok(allocated > 120 * MIB && allocated <= 128 * MIB, String(allocated));
    }
  });

  it('is scraped under load: all DADIP2P_ metrics, rates as clients count them', async function () {
    needs(this, 'prometheus');
    prometheus = await RealPrometheus.start(
      nodes.map(({ exporter }) => exporter),
      '500ms',
    );
    readers = nodes.map(
      ({ proxy }) =>
        new Readers(`${proxy}/v2/library/sample/blobs/sha256:${origin.digest}`, origin.bytes),
    );

    const ask = prometheus.ask.bind(prometheus);
    const count = 'DADIP2P_Count{type="pread"}';
    // The first seconds, when the blob is fetched, lie before the window.
    await until(
      async () =>
        (await ask<Sample>(`min(count_over_time(${count}[60s]))`)).some(
          ({ value }) => Number(value[1]) >= 2 * WINDOW_SECONDS + 4,
        ),
      'scrapes of both nodes',
      60_000,
    );

    for (const [at, { name }] of nodes.entries()) {
      const own = `DADIP2P_Count{type="pread",node="${name}"}`;
      const [{ values }] = (await ask<{ values: [number, string][] }>(`${own}[60s]`)) as [
        { values: [number, string][] },
      ];
      // From sample to sample: on a busy machine scrapes are late, and where a window ends in a gap
      // `rate` guesses.
      const toSeconds = values.at(-1)![0];
      const fromSeconds = values.findLast(([seconds]) => seconds <= toSeconds - WINDOW_SECONDS)![0];
      const [{ value }] = (await ask<Sample>(
        `rate(${own}[${Math.round((toSeconds - fromSeconds) * 1000) + 1}ms])`,
        toSeconds,
      )) as [Sample];
      const rate = Number(value[1]);
      const counted =
        (readers[at]!.bytesAt(toSeconds * 1000) - readers[at]!.bytesAt(fromSeconds * 1000)) /
        (toSeconds - fromSeconds);
      assert.ok(counted > 1e6, `${name} was under load: ${counted} bytes/s`);
      assert.ok(
        Math.abs(rate / counted - 1) < 0.02,
        `${name}: Prometheus has ${rate} bytes/s, its clients got ${counted}`,
      );
    }

    const series: Record<string, number> = {
      Alive: 1,
      Read_Throughtput: 5,
      QPS: 5,
      MaxLatency: 5,
      Count: 5,
      Cache: 2,
    };
    for (const [name, perNode] of Object.entries(series)) {
      const samples = await ask<Sample>(`DADIP2P_${name}`);
      assert.equal(samples.length, 2 * perNode, name);
      for (const { metric } of samples)
        assert.deepEqual(
          Object.keys(metric).sort(),
          ['__name__', 'instance', 'job', 'mode', 'node', ...(name === 'Alive' ? [] : ['type'])],
          name,
        );
    }
    assert.deepEqual(
      (await ask<Sample>('DADIP2P_Alive'))
        .map(({ metric }) => [metric['node'], metric['mode']])
        .sort(),
      nodes.map(({ name }, at) => [name, at === 0 ? 'root' : 'agent']).sort(),
    );
    for (const busy of [
      'DADIP2P_Read_Throughtput{type="http"}',
      'DADIP2P_QPS{type="pread"}',
      'DADIP2P_MaxLatency{type="pread"}',
    ]) {
      assert.ok((await ask<Sample>(`${busy} > 0`)).length === 2, busy);
    }
    for (const { title, targets } of dashboard.panels) {
      for (const { expr } of targets ?? []) {
        // Panels of what went wrong have nothing to show here.
        if (/> 0\)*$/.test(expr)) continue;
        const shown = await ask<Sample>(
          expr
            .replaceAll('$__rate_interval', '10s')
            .replaceAll('$__range', '5m')
            .replaceAll('$instance', '.*'),
        );
        assert.ok(shown.length > 0, `${title} shows nothing: ${expr}`);
      }
    }
    assert.deepEqual(
      (await ask<Sample>('up')).map(({ value }) => value[1]),
      ['1', '1'],
    );
    assert.equal((await ask<Sample>('count({__name__=~"shoal_.*"}) > 500')).length, 1);
  });

  it('passes promtool check metrics under load, except lint of DADIP2P_ names', async function () {
    needs(this, 'promtool');
    for (const node of nodes) checkMetrics(await node.get('/metrics'));
  });
});
