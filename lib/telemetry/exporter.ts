import type { Clock } from '../clock.ts';
import { healthz, readyz, type Answer } from './health.ts';
import { trafficTypes, type TrafficType } from './metrics-list.ts';
import { nodePage, swarmPage } from './page.ts';
import { renderDadiMetrics, type DadiTraffic } from './dadi-metrics.ts';
import type { BlobTree, PullStatus, Status, StatusInputs, TreeEdge } from './status.ts';
import type { SwarmStatus } from './swarm-status.ts';
import type { Telemetry } from './telemetry.ts';

export interface ExporterDeps {
  telemetry: Telemetry;
  clock: Clock;
  /** The node's state at this moment; called once a scrape or poll. */
  inputs: () => StatusInputs;
  /**
   * The trees this node tracks of a blob (its key, or a unique beginning of it); undefined when it
   * knows none.
   */
  tree: (blob: string) => BlobTree | undefined;
  /** Pulls under way and ended, newest first. */
  pulls: () => PullStatus[];
  swarm: {
    status: () => Promise<SwarmStatus>;
    /** The tree of a shard over the whole swarm. */
    tree: (blob: string, shard: number) => Promise<TreeEdge[]>;
  };
}

/**
 * `mayReadAll`: see page-reader.ts. Others do not hear what is pulled: no digests, names of images
 * or error texts.
 */
export type ExporterRoute = (path: string, query: string, mayReadAll: boolean) => Promise<Answer>;

const WITHHELD = new Set(['/status/pulls', '/status/tree']);
const SWARM_PATHS = new Set(['/swarm', '/swarm/status', '/swarm/tree']);

const METRICS_TYPE = 'text/plain; version=0.0.4';
const JSON_HEADERS = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
};

const STRANGER =
  'what is pulled is told on this machine, or to who has the read-only token; ask 127.0.0.1, ' +
  'through `kubectl port-forward` or ssh -L, or take the token of `shoal token`';

function shownTo(mayReadAll: boolean, status: Status): Status {
  if (mayReadAll) return status;
  return {
    ...status,
    inFlight: status.inFlight.map((entry) => ({ ...entry, blob: 'hidden' })),
    trees: { ...status.trees, blobs: [] },
    recentErrors: status.recentErrors.map((error) => ({ ...error, message: '' })),
  };
}

function json(status: number, body: unknown): Answer {
  return { status, headers: JSON_HEADERS, body: JSON.stringify(body) };
}

/** A browser asks its user for the token, as the password. */
function askForToken(): Answer {
  const refused = json(401, { error: STRANGER });
  return {
    ...refused,
    headers: { ...refused.headers, 'www-authenticate': 'Basic realm="Shoal: read-only token"' },
  };
}

async function swarmTree({ swarm }: ExporterDeps, query: URLSearchParams): Promise<Answer> {
  const [blob, shard] = [query.get('blob') ?? '', query.get('shard') ?? ''];
  if (!/^(sha256|url):[0-9a-f]{64}$/.test(blob) || !/^\d{1,9}$/.test(shard))
    return json(400, { error: 'wanted: /swarm/tree?blob=<key of a blob>&shard=<number>' });
  return json(200, { blob, shard: Number(shard), edges: await swarm.tree(blob, Number(shard)) });
}

/** The whole of GET /metrics: the DADIP2P_ families, then the shoal_ ones. */
function metricsRenderer(deps: ExporterDeps): () => Promise<string> {
  let inputs: StatusInputs | undefined;
  // Loaded at the first scrape: prom-client takes 50 ms of a start and 15 MB, also of a node nobody
  // scrapes.
  const load = async () =>
    (await import('./own-metrics.ts')).createOwnRegistry(
      deps.telemetry,
      () => (inputs ??= deps.inputs()),
    );
  let loading: ReturnType<typeof load> | undefined;
  return async () => {
    loading ??= load();
    const registry = await loading.catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    const { telemetry } = deps;
    inputs = deps.inputs();
    const { readiness, cache } = inputs;
    const traffic = {} as Record<TrafficType, DadiTraffic>;
    for (const type of trafficTypes)
      traffic[type] = {
        ...telemetry.trafficRates(type),
        bytesTotal: telemetry.board.traffic(type).bytes,
      };
    const dadi = renderDadiMetrics({
      node: telemetry.identity.node,
      mode: telemetry.identity.mode,
      alive: readiness.phase === 'serving',
      wallMs: deps.clock.wallMs(),
      traffic,
      cache,
    });
    return dadi + (await registry.metrics());
  };
}

/**
 * Every GET of the exporter port. `path` is the raw path, `query` what follows `?` (or ''). Runs on
 * control; the front that took the request only relays the answer. Never rejects.
 */
export function exporterRoutes(deps: ExporterDeps): ExporterRoute {
  const renderMetrics = metricsRenderer(deps);
  return async (path, query, mayReadAll) => {
    try {
      if (!mayReadAll && WITHHELD.has(path)) return json(403, { error: STRANGER });
      if (!mayReadAll && SWARM_PATHS.has(path)) return askForToken();
      switch (path) {
        case '/metrics':
          return {
            status: 200,
            headers: { 'content-type': METRICS_TYPE },
            body: await renderMetrics(),
          };
        case '/status':
          return json(200, shownTo(mayReadAll, deps.telemetry.status(deps.inputs())));
        case '/status/pulls':
          return json(200, { pulls: deps.pulls() });
        case '/status/tree': {
          const blob = new URLSearchParams(query).get('blob') ?? '';
          if (blob === '') return json(400, { error: 'wanted: /status/tree?blob=<key of a blob>' });
          return json(200, deps.tree(blob) ?? { blob, shards: [] });
        }
        case '/healthz':
          return healthz();
        case '/readyz':
          return readyz(deps.inputs().readiness);
        case '/':
          return nodePage();
        case '/swarm':
          return swarmPage();
        case '/swarm/status':
          return json(200, await deps.swarm.status());
        case '/swarm/tree':
          return await swarmTree(deps, new URLSearchParams(query));
        default:
          return json(404, {
            error: 'not found',
            paths: [
              '/',
              '/metrics',
              '/status',
              '/status/pulls',
              '/status/tree?blob=',
              '/swarm',
              '/swarm/status',
              '/swarm/tree?blob=&shard=',
              '/healthz',
              '/readyz',
            ],
          });
      }
    } catch (error) {
      deps.telemetry.errors.add(
        deps.clock.wallMs(),
        'INTERNAL',
        `exporter ${path}: ${error instanceof Error ? error.message : String(error)}`,
      );
      return json(500, { error: 'internal error' });
    }
  };
}
