import { gaugeFamilies } from './gauge-list.ts';
import { createRequire } from 'node:module';
import type * as PromClient from 'prom-client';
import {
  counterFamilies,
  derivedFamilies,
  histogramFamilies,
  tiers,
  trafficTypes,
  type CounterFamily,
  type CounterName,
  type HistogramFamily,
  type HistogramName,
} from './metrics-list.ts';
import { notReadyReasons } from './health.ts';
import type { MeterBoard } from './meter-board.ts';
import { peerStates } from './peer-states.ts';
import { hitRatios, type StatusInputs } from './status.ts';
import type { Telemetry } from './telemetry.ts';

// Required, not imported: this module is loaded late, under load, and Node 22.23 (with module hooks
// and a linked node_modules) has returned a CommonJS package before it had run.
const { Counter, Gauge, Registry, collectDefaultMetrics } = createRequire(import.meta.url)(
  'prom-client',
) as typeof PromClient;

/**
 * Default metrics that end in `_total` but are gauges: promtool's lint rejects them, and
 * `shoal_nodejs_active_*` has the same values.
 */
const MISNAMED_DEFAULTS = [
  'shoal_nodejs_active_resources_total',
  'shoal_nodejs_active_handles_total',
  'shoal_nodejs_active_requests_total',
];

type LabelValues = Readonly<Record<string, string>>;

/**
 * A histogram whose buckets are in the shared counters. prom-client's own histograms cannot be set;
 * its registry needs only a name and `get` of a metric.
 */
function sharedHistogram(family: HistogramFamily, board: MeterBoard): PromClient.Metric<string> {
  const { name, help, unit, bounds, series } = family;
  const scale = unit === 'seconds' ? 1e-6 : 1;
  const get = (): object => {
    const values: { metricName: string; labels: Record<string, string>; value: number }[] = [];
    for (const [key, labels] of Object.entries(series)) {
      const { buckets, sum } = board.histogram(key as HistogramName);
      let cumulative = 0;
      for (let i = 0; i <= bounds.length; i++) {
        cumulative += buckets[i]!;
        const le =
          i === bounds.length ? '+Inf' : String(Number((bounds[i]! * scale).toPrecision(6)));
        values.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: cumulative });
      }
      values.push({ metricName: `${name}_sum`, labels: { ...labels }, value: sum * scale });
      values.push({ metricName: `${name}_count`, labels: { ...labels }, value: cumulative });
    }
    return { name, help, type: 'histogram', aggregator: 'sum', values };
  };
  return { name, help, type: 'histogram', get } as unknown as PromClient.Metric<string>;
}

interface Family {
  name: string;
  help: string;
  labels: readonly string[];
}

type ReadValues = () => Iterable<[LabelValues, number]>;

/** Adds a family whose values `read` returns at each scrape. */
type AddFamily = (family: Family, read: ReadValues) => void;

const one = (value: number): [LabelValues, number][] => [[{}, value]];

/**
 * A prom-client registry of all `shoal_` metrics, filled from the shared counters and the node's
 * state at each scrape. Every family of gauges calls `inputs`, which returns what was read once for
 * the scrape.
 */
export function createOwnRegistry(
  telemetry: Telemetry,
  inputs: () => StatusInputs,
): PromClient.Registry {
  const registry = new Registry();
  const described = ({ name, help, labels }: Family) => ({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
  });
  const counter: AddFamily = (family, read) => {
    new Counter({
      ...described(family),
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc({ ...labels }, value);
      },
    });
  };
  const gauge: AddFamily = (family, read) => {
    new Gauge({
      ...described(family),
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.set({ ...labels }, value);
      },
    });
  };
  addCounters(counter, telemetry, inputs);
  for (const family of histogramFamilies as readonly HistogramFamily[])
    registry.registerMetric(sharedHistogram(family, telemetry.board));
  addNodeGauges(gauge, telemetry, inputs);
  addStateGauges(gauge, inputs);
  addThreadGauges(gauge, telemetry.board);
  registerProcessMetrics(registry);
  return registry;
}

function addCounters(counter: AddFamily, telemetry: Telemetry, inputs: () => StatusInputs): void {
  const { board } = telemetry;
  for (const family of counterFamilies as readonly CounterFamily[]) {
    counter(family, () =>
      Object.entries(family.series).map(([key, labels]) => [
        labels,
        board.counter(key as CounterName),
      ]),
    );
  }
  counter(derivedFamilies.trafficBytes, () =>
    trafficTypes.map((type) => [{ type }, board.traffic(type).bytes]),
  );
  counter(derivedFamilies.trafficOperations, () =>
    trafficTypes.map((type) => [{ type }, board.traffic(type).operations]),
  );
  counter(derivedFamilies.trafficFailures, () =>
    trafficTypes.map((type) => [{ type }, board.traffic(type).failures]),
  );
  counter(derivedFamilies.savedBytes, () => {
    const client = telemetry.clientBytes();
    return one(client.arena + client.runtime + client.disk + client.peer);
  });
  counter(derivedFamilies.registrySavedBytes, () =>
    inputs().registries.map(({ registry: name, savedBytes }) => [{ registry: name }, savedBytes]),
  );
  counter(derivedFamilies.registryBytes, () =>
    inputs().registries.map(({ registry: name, bytes }) => [{ registry: name }, bytes]),
  );
}

/** What the node is, and what it delivers. */
function addNodeGauges(gauge: AddFamily, telemetry: Telemetry, inputs: () => StatusInputs): void {
  gauge(gaugeFamilies.buildInfo, () => [[{ ...telemetry.identity }, 1]]);
  gauge(gaugeFamilies.ready, () => one(notReadyReasons(inputs().readiness).length === 0 ? 1 : 0));
  gauge(gaugeFamilies.uptime, () => one(telemetry.uptimeSeconds()));
  gauge(gaugeFamilies.hitRatio, () => {
    const ratios = hitRatios(telemetry.clientBytes());
    return tiers.map((tier) => [{ tier }, ratios[tier]]);
  });
  gauge(gaugeFamilies.throughput, () =>
    trafficTypes.map((type) => [{ type }, telemetry.trafficRates(type).bytesPerSecond]),
  );
}

/** What the node holds: cache, memory, peers, queues. */
function addStateGauges(gauge: AddFamily, inputs: () => StatusInputs): void {
  gauge(gaugeFamilies.cacheBytes, () => {
    const { allocatedBytes, usedBytes } = inputs().cache;
    return [
      [{ kind: 'allocated' }, allocatedBytes],
      [{ kind: 'used' }, usedBytes],
    ];
  });
  gauge(gaugeFamilies.cacheEntries, () => one(inputs().cache.entries));
  gauge(gaugeFamilies.cacheSuspended, () => one(inputs().cache.suspended ? 1 : 0));
  gauge(gaugeFamilies.arenaSlots, () => {
    const { slots, used } = inputs().arena;
    return [
      [{ state: 'used' }, used],
      [{ state: 'free' }, slots - used],
    ];
  });
  gauge(gaugeFamilies.blobsInFlight, () => one(inputs().inFlight.length));
  gauge(gaugeFamilies.peers, () => countPeers(inputs()));
  gauge(gaugeFamilies.trees, () => one(inputs().trees.tracked));
  gauge(gaugeFamilies.treeDepthMax, () => one(inputs().trees.depthMax));
  gauge(gaugeFamilies.line, () => one(inputs().lineBytesPerSecond ?? 0));
  gauge(gaugeFamilies.queueLength, () =>
    Object.entries(inputs().queues).map(([queue, length]) => [{ queue }, length]),
  );
}

function addThreadGauges(gauge: AddFamily, board: MeterBoard): void {
  gauge(gaugeFamilies.loopDelay, () =>
    board
      .threads()
      .flatMap(({ thread, loopDelayP99Us, loopDelayMaxUs }): [LabelValues, number][] => [
        [{ thread, stat: 'p99' }, loopDelayP99Us / 1e6],
        [{ thread, stat: 'max' }, loopDelayMaxUs / 1e6],
      ]),
  );
  gauge(gaugeFamilies.threads, () => {
    const kinds = new Map<string, number>();
    for (const { kind } of board.threads()) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    return [...kinds].map(([kind, count]) => [{ kind }, count]);
  });
  gauge(gaugeFamilies.threadsUncounted, () => one(board.uncountedThreads()));
}

/**
 * prom-client's metrics of the process and of the main thread's event loop, as `shoal_process_*`
 * and `shoal_nodejs_*`.
 */
export function registerProcessMetrics(registry: PromClient.Registry): void {
  collectDefaultMetrics({ register: registry, prefix: 'shoal_' });
  for (const name of MISNAMED_DEFAULTS) registry.removeSingleMetric(name);
}

/**
 * Counts for every role and state, including zeros, so that alerts never miss a series.
 */
function countPeers(inputs: StatusInputs): [LabelValues, number][] {
  const counts = new Map<string, number>();
  for (const { role, state } of inputs.peers)
    counts.set(`${role} ${state}`, (counts.get(`${role} ${state}`) ?? 0) + 1);
  return (['agent', 'root'] as const).flatMap((role) =>
    peerStates.map((state): [LabelValues, number] => [
      { role, state },
      counts.get(`${role} ${state}`) ?? 0,
    ]),
  );
}
