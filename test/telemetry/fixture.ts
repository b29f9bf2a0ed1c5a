import { ManualClock } from '../../lib/clock.ts';
import { Meter } from '../../lib/telemetry/counters.ts';
import { exporterRoutes, type ExporterRoute } from '../../lib/telemetry/exporter.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import type { BlobTree, PullStatus, StatusInputs, TreeEdge } from '../../lib/telemetry/status.ts';
import { buildSwarmStatus, type SwarmStatus } from '../../lib/telemetry/swarm-status.ts';
import { Telemetry } from '../../lib/telemetry/telemetry.ts';

/** An idle agent as the node would hand it in. */
export function idleInputs(): StatusInputs {
  return {
    readiness: { phase: 'serving', problems: [] },
    cache: {
      allocatedBytes: 4_294_967_296,
      usedBytes: 4_294_971_392,
      entries: 0,
      suspended: false,
    },
    runtimeStore: null,
    arena: { slots: 128, used: 0 },
    peers: [],
    inFlight: [],
    registries: [{ registry: 'registry.example', bytes: 10, savedBytes: 7 }],
    queues: { layers: 0, throttle: 0 },
    trees: { tracked: 0, depthMax: 0, blobs: [] },
    lineBytesPerSecond: null,
  };
}

/** A node's telemetry with a clock that stands still and inputs a test may change. */
export interface TelemetryFixture {
  clock: ManualClock;
  board: MeterBoard;
  meter: Meter;
  telemetry: Telemetry;
  inputs: StatusInputs;
  trees: Map<string, BlobTree>;
  pulls: PullStatus[];
  /** What /swarm/status and /swarm/tree tell. */
  swarm: { status: SwarmStatus; edges: TreeEdge[] };
  route: ExporterRoute;
}

export function telemetryFixture(
  node = '192.168.69.172:65005',
  wallMs = 1_692_156_721_833,
): TelemetryFixture {
  const clock = new ManualClock(wallMs);
  const board = new MeterBoard();
  const meter = new Meter(board.shared, 0, 'control');
  const telemetry = new Telemetry({ mode: 'agent', node, version: '0.1.0' }, board, clock);
  const inputs = idleInputs();
  const trees = new Map<string, BlobTree>();
  const pulls: PullStatus[] = [];
  const nobody = { self: node, atMs: wallMs, members: [], rows: [], history: [], head: null };
  const swarm: TelemetryFixture['swarm'] = { status: buildSwarmStatus(nobody), edges: [] };
  const route = exporterRoutes({
    telemetry,
    clock,
    inputs: () => inputs,
    tree: (blob) => trees.get(blob),
    pulls: () => pulls,
    swarm: {
      status: () => Promise.resolve(swarm.status),
      tree: () => Promise.resolve(swarm.edges),
    },
  });
  return { clock, board, meter, telemetry, inputs, trees, pulls, swarm, route };
}
