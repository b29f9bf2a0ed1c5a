import { STATUS_BLOBS_MAX, STATUS_PEERS_MAX } from '../limits.ts';
import { notReadyReasons, type Readiness } from './health.ts';
import type { HistoryPoint, SourceTotals } from './history.ts';
import { tiers, type Tier } from './metrics-list.ts';
import { peerStates, type PeerState } from './peer-states.ts';
import type { RecentError } from './recent-errors.ts';

/** Another node, as the cluster and its health list it. */
export interface PeerInput {
  /** address:port of its p2p port. */
  node: string;
  zone: string | null;
  role: 'agent' | 'root';
  state: PeerState;
}

/** A blob that is fetched, or that clients or other nodes read, now. */
export interface BlobInFlight {
  /** The blob's key, `sha256:<hex>` or `url:<hex>`; shown shortened. */
  blob: string;
  /** Bytes of it that this node has. */
  receivedBytes: number;
  /** Bytes sent to the client that is furthest; 0 without clients. */
  sentBytes: number;
  /** null while the size is not known. */
  totalBytes: number | null;
  /** Where it comes from now; `memory`: nothing of it is being fetched. */
  source: 'origin' | 'peer' | 'disk' | 'memory';
  /** Open reads of clients and of other nodes. */
  clients: number;
  nodes: number;
}

/** Bytes sent to clients, by the source from which the node first got them. */
export interface PullSources {
  memory: number;
  disk: number;
  runtime: number;
  peer: number;
  origin: number;
}

/** Milliseconds that readers were blocked, by cause; `peer`: waiting for bytes of another node. */
export interface PullWaits {
  access: number;
  turn: number;
  throttle: number;
  tracker: number;
  peer: number;
  origin: number;
}

export interface PeerPace {
  node: string;
  bytesPerSecond: number;
}

export interface PullError {
  code: string;
  message: string;
  count: number;
}

/** A pull: one client's reads in one repository; shape of `shoal pulls --json`. */
export interface PullStatus {
  /** `host/repository:tag`; the host alone for on-demand reads. */
  image: string;
  digest: string | null;
  requestId: string;
  /** Not ended yet. */
  running: boolean;
  /** Time of the last read, milliseconds since the Unix epoch. */
  endedAtMs: number;
  blobs: number;
  /** What its manifest names, config included; null: no manifest of one image was seen. */
  imageBytes: number | null;
  /** Sent to the client, with reads under way to the last whole shard. */
  sentBytes: number;
  /** Of the reads that ended. */
  bytes: number;
  seconds: number;
  bytesPerSecond: number;
  sources: PullSources;
  waitedMs: PullWaits;
  slowestPeer: PeerPace | null;
  errors: PullError[];
}

/** One edge of a shard's tree: `child` receives the shard from `parent`. */
export interface TreeEdge {
  parent: string;
  child: string;
  state: 'receiving' | 'complete' | 'failed';
}

export interface BlobTree {
  blob: string;
  shards: { index: number; edges: TreeEdge[] }[];
}

/** Bytes sent to clients, and those of them that the registry was not asked for. */
export interface RegistryBytes {
  registry: string;
  bytes: number;
  savedBytes: number;
}

interface RuntimeStoreInput {
  dir: string;
  state: 'starting' | 'reading' | 'unreadable';
  /** Blobs of which shards can be read there. */
  blobs: number;
  /** Blobs whose digest is still to be verified. */
  unverified: number;
  /** The runtime has been seen to drop its layers: they are written to the cache. */
  dropsLayers: boolean;
}

/** What the node hands in when it is asked: plain data, no secrets, read at that moment. */
export interface StatusInputs {
  readiness: Readiness;
  cache: { allocatedBytes: number; usedBytes: number; entries: number; suspended: boolean };
  /** The container runtime's content store; null: not used. */
  runtimeStore: RuntimeStoreInput | null;
  arena: { slots: number; used: number };
  peers: readonly PeerInput[];
  inFlight: readonly BlobInFlight[];
  /** What clients got of each registry, in reads that ended. */
  registries: readonly RegistryBytes[];
  /** Entries waiting, by the queue's name (`layers`, `throttle`, `origin`, `disk`, ...). */
  queues: Readonly<Record<string, number>>;
  /**
   * Shards this node tracks as their owner, the depth of the deepest of their trees, and the keys
   * of their blobs (the latest first).
   */
  trees: { tracked: number; depthMax: number; blobs: readonly string[] };
  /** What the node's line was found to bring; null: not tested. */
  lineBytesPerSecond: number | null;
}

/** What the telemetry itself knows. */
interface StatusMeasures {
  mode: 'agent' | 'root';
  node: string;
  version: string;
  uptimeSeconds: number;
  totals: SourceTotals;
  rates: SourceTotals;
  /** Bytes sent to clients by the tier they were found in. */
  clientBytes: Readonly<Record<Tier, number>>;
  /** Bytes sent to other nodes. */
  uploadedBytes: number;
  uploadRate: number;
  peerRates: (node: string) => { receivedBytesPerSecond: number; sentBytesPerSecond: number };
  errors: readonly RecentError[];
}

export interface PeerStatus extends PeerInput {
  receivedBytesPerSecond: number;
  sentBytesPerSecond: number;
}

export interface Status {
  mode: 'agent' | 'root';
  node: string;
  version: string;
  uptimeSeconds: number;
  ready: boolean;
  notReady: string[];
  /**
   * Payload bytes since the start: fetched back-to-source, received from peers, sent to clients
   * without a fetch.
   */
  bytes: { origin: number; peer: number; cache: number };
  /** Payload bytes sent since the start. */
  sent: { client: number; peer: number };
  /** The bytes sent to clients, by the tier where the node first got each of them. */
  clientBytes: Record<Tier, number>;
  /** Share of the bytes sent to clients, by tier; all 0 before the first. */
  hitRatio: Record<Tier, number>;
  /** Bytes per second over the last window. */
  rates: { origin: number; peer: number; cache: number; client: number; upload: number };
  cache: StatusInputs['cache'];
  runtimeStore: StatusInputs['runtimeStore'];
  arena: StatusInputs['arena'];
  peersByState: Record<PeerState, number>;
  peers: PeerStatus[];
  inFlight: BlobInFlight[];
  queues: Record<string, number>;
  trees: StatusInputs['trees'];
  recentErrors: RecentError[];
  history: HistoryPoint[];
}

/** Share of each tier in the bytes sent to clients. */
export function hitRatios(clientBytes: Readonly<Record<Tier, number>>): Record<Tier, number> {
  const all = tiers.reduce((sum, tier) => sum + clientBytes[tier], 0);
  return Object.fromEntries(
    tiers.map((tier) => [tier, all === 0 ? 0 : clientBytes[tier] / all]),
  ) as Record<Tier, number>;
}

/** Orders peers by the trouble they are in; idle ones come after those that answer. */
function troubleOf({ state }: PeerInput): number {
  return peerStates.indexOf(state === 'unknown' ? 'up' : state);
}

/**
 * The whole of GET /status. Peers in trouble are listed first, then the busiest; long lists are
 * cut, their counts are not.
 */
export function buildStatus(
  inputs: StatusInputs,
  measures: StatusMeasures,
): Omit<Status, 'history'> {
  const notReady = notReadyReasons(inputs.readiness);
  const peersByState = Object.fromEntries(peerStates.map((state) => [state, 0])) as Record<
    PeerState,
    number
  >;
  for (const peer of inputs.peers) peersByState[peer.state] += 1;
  const flow = (peer: PeerStatus): number => peer.receivedBytesPerSecond + peer.sentBytesPerSecond;
  const peers = inputs.peers
    .map((peer) => ({ ...peer, ...measures.peerRates(peer.node) }))
    .sort((a, b) => troubleOf(a) - troubleOf(b) || flow(b) - flow(a) || (a.node < b.node ? -1 : 1));
  return {
    mode: measures.mode,
    node: measures.node,
    version: measures.version,
    uptimeSeconds: Math.floor(measures.uptimeSeconds),
    ready: notReady.length === 0,
    notReady,
    bytes: {
      origin: measures.totals.origin,
      peer: measures.totals.peer,
      cache: measures.totals.cache,
    },
    sent: { client: measures.totals.client, peer: measures.uploadedBytes },
    clientBytes: { ...measures.clientBytes },
    hitRatio: hitRatios(measures.clientBytes),
    rates: { ...measures.rates, upload: measures.uploadRate },
    cache: inputs.cache,
    runtimeStore: inputs.runtimeStore,
    arena: inputs.arena,
    peersByState,
    peers: peers.slice(0, STATUS_PEERS_MAX),
    inFlight: inputs.inFlight.slice(0, STATUS_BLOBS_MAX),
    queues: { ...inputs.queues },
    trees: { ...inputs.trees, blobs: inputs.trees.blobs.slice(0, STATUS_BLOBS_MAX) },
    recentErrors: [...measures.errors],
  };
}
