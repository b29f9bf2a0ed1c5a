import type { WireError } from '../errors.ts';

/** `address:port` of a node's p2p port: its name in the swarm. */
export type NodeId = string;

export interface Member {
  node: NodeId;
  /**
   * Roots alone go to the origin when there are any, and own shards only when there are no agents.
   */
  role: 'agent' | 'root';
  zone: string | null;
}

/** One shard of one blob. */
export interface ShardId {
  /** `sha256:<hex>` or `url:<hex>`. */
  key: string;
  index: number;
  /**
   * 0: the shard has the owner and root of the blob's first shard. The blob's origin serves it only
   * as a whole, so one node reads it there, and the others have every shard from that node.
   */
  rankedAs?: 0;
}

/**
 * The role in which a node is asked. `owner` and `root` find the shard themselves. A `parent` has
 * it or is receiving it. A `holder` offers the whole blob, which it has verified (offer-book.ts).
 */
export type AskRole = 'owner' | 'parent' | 'root' | 'holder';

/** The nodes that a fetch passes over from the start. */
export type Distrust = 'nobody' | 'owners' | 'everybody';

/** What a child says to a shard's owner about the node it read from. */
export type Report = 'none' | 'done' | 'failed' | 'slow' | 'lied';

/**
 * Stands for one client's URL of the blob at its origin, with the client's credential. `id` tells
 * two of them apart and holds no secret; the core reads nothing else.
 */
export interface OriginRef {
  id: string;
}

// --- a fetch and what carries it out -------------------------------------------------------------

/** What a node that asks for a shard says of itself and of its request, in every form of it. */
export interface Asker {
  /** The asker; in a PeerAsk the node that is asked. */
  node: NodeId;
  zone: string | null;
  role: AskRole;
  /** Nodes not to be sent to: they failed, stalled or lied. */
  exclude: NodeId[];
  hops: number;
  /** Children the asker is sending to now, of all shards: those with fewer get the next ones. */
  load: number;
  /** What the asker's line needs for a shard, in ms, as a test has shown; absent: not tested. */
  lineMs?: number;
  /** A parent is to send only what it has checked, and says that it does. */
  checked?: true;
  /** Its last parent is gone, and not only late; absent: it is not, or there was none. */
  parentFailed?: true;
}

/** How long a node that is asked is waited for, in ms. */
export interface AskWaits {
  /**
   * The node may hold the request while it has no byte to send. Then it answers "busy", so that a
   * longer silence means that it is dead or frozen.
   */
  holdMs: number;
  /** How much later its answer may come before the attempt fails: PEER_TIMEOUT. */
  silenceMs: number;
  /** The pause that it may make once bytes have come: it may have others to send first. */
  stallMs: number;
}

export interface PeerAsk extends Omit<Asker, 'zone'>, AskWaits {
  /** First byte wanted; equal to the shard's length when only the owner's checksum is. */
  fromBytes: number;
  /**
   * Whether all bytes, including those already here, must come from an owner, a root or a holder. A
   * node that asks this node as owner takes its bytes for vouched, so other bytes are sent to it
   * only after the shard's check.
   */
  trusted: boolean;
  /** What this node's line needs for a shard, in ms, by what came lately; null while unknown. */
  shardMs: number | null;
  /** How long bytes may be gathered before they are passed on; see gatherMs. */
  gatherMs: number;
  /** To be sealed for an owner or a root; null for a parent or holder. */
  origin: OriginRef | null;
}

export interface OriginAsk {
  fromBytes: number;
  /** No other node could ask for the shard meanwhile, so it may share a request with others. */
  alone: boolean;
  origin: OriginRef;
}

export interface StatAsk {
  node: NodeId;
  /** The sender of the bytes, and the outcome. */
  parent: NodeId | null;
  report: Report;
}

/**
 * How an attempt ended. Every attempt ends exactly once, abandoned ones too, and not before nothing
 * writes to the shard's memory any more. Checksums are hex.
 */
export type AttemptResult =
  /**
   * Every byte of the shard is here, and `checksum` is that of the received bytes.
   * `claimedChecksum`: the one that the sender gave, if it gave one.
   */
  | {
      kind: 'data';
      totalBytes: number;
      lengthBytes: number;
      claimedChecksum: string | null;
      checksum: string;
    }
  | { kind: 'redirect'; parents: NodeId[]; checksum: string | null; totalBytes: number | null }
  | { kind: 'busy'; retryMs: number }
  | { kind: 'miss' }
  /** The origin refused or failed; the node asked says so. */
  | { kind: 'refused'; error: WireError }
  /**
   * `receivedBytes`: how much of the shard, from byte 0, is here. `wholeOnly`: nothing failed, but
   * the origin sends the object only as a whole. From now on the fetch goes to the node that reads
   * it so.
   */
  | { kind: 'failed'; error: WireError; receivedBytes: number; wholeOnly?: true };

export type StatResult =
  | ({ kind: 'stat' } & ShardFacts)
  | { kind: 'busy'; retryMs: number }
  | { kind: 'miss' }
  | { kind: 'refused'; error: WireError }
  | { kind: 'failed'; error: WireError };

export type FetchResult =
  /** `checksum` is the owner's, and the bytes match it. */
  | ({ kind: 'done'; from: 'origin' | 'peer' } & ShardFacts)
  /**
   * The origin said no (401, 403, 404, ...): for the client, as it stands. `of`: the origin that
   * this node read when it got the error; none: another node told it, or it is the core's own.
   */
  | { kind: 'refused'; error: WireError; of?: OriginRef }
  | { kind: 'failed'; error: WireError; of?: OriginRef }
  | { kind: 'cancelled' };

/** What a driver needs to know of a fetch; `ShardFetch` in fetch.ts. */
export interface Fetch {
  readonly shard: ShardId;
  /** The driver's own (a slot, a simulated transfer); the core never looks at it. */
  place: unknown;
}

/**
 * What the node (or the simulator) does for the core. One object per node. A fetch has one attempt
 * under way at most; attempt numbers count from 1 and never repeat within a fetch. Every `ask` and
 * `origin` is answered by `fetch.settle(attempt, result)`, every `stat` by
 * `fetch.settleStat(attempt, result)`; answering from inside the call is allowed.
 */
export interface FetchEffects {
  ask(fetch: Fetch, attempt: number, ask: PeerAsk): void;
  origin(fetch: Fetch, attempt: number, ask: OriginAsk): void;
  /** Asks for the shard's checksum and reports, `rpc:stat`. */
  stat(fetch: Fetch, attempt: number, ask: StatAsk): void;
  /** Asks whether a node is there; `told` is called once. */
  sound(node: NodeId, waitMs: number, told: (isThere: boolean) => void): void;
  /**
   * Lets `nodes` send bytes of no meaning, all at the same time, until a LineMeter says that it is
   * over; `told` is called once.
   */
  testLine(nodes: readonly NodeId[], told: (test: LineTest) => void): void;
  /** Tells the attempt to stop; it still settles, with whatever came of it. */
  abandon(fetch: Fetch, attempt: number): void;
  /** Bytes of the shard, from byte 0, that have arrived. */
  receivedBytes(fetch: Fetch): number;
  /** The last thing heard of a fetch; it is no longer in the swarm's hands when this is called. */
  finished(fetch: Fetch, result: FetchResult): void;
}

/** What came in a test of the line after the first bytes, and how long that took. */
export interface LineTest {
  receivedBytes: number;
  tookMs: number;
}

// --- a node as a server --------------------------------------------------------------------------

/** Another node's `rpc:pread`, before it is decided. */
export interface AskRequest extends Asker {
  shard: ShardId;
  /** Whether the whole shard is here, in memory or on disk. */
  held: boolean;
}

export type Verdict =
  /**
   * Sends it from memory or disk, or follows the fetch, which `want` begins if there is none. A
   * node that asks an owner or root gets only bytes that clients may get (`released`); one that
   * asks a parent gets all that are `received`. `Swarm.sent` is called at the end.
   */
  | { kind: 'serve' }
  | { kind: 'redirect'; parents: NodeId[]; checksum: string | null; totalBytes: number | null }
  | { kind: 'busy'; retryMs: number }
  | { kind: 'miss' };

/** What a complete shard is. A tracker keeps it longer than the shard itself. */
export interface ShardFacts {
  /** The size of the blob. */
  totalBytes: number;
  lengthBytes: number;
  /** BLAKE3 of the shard, hex. */
  checksum: string;
}

// --- for status and metrics ----------------------------------------------------------------------

export type PeerCondition = 'good' | 'slow' | 'cooling' | 'quarantined';

export interface PeerStatus {
  node: NodeId;
  role: 'agent' | 'root';
  zone: string | null;
  condition: PeerCondition;
  /** Failures in a row. */
  failures: number;
  /** Milliseconds until it is asked again; 0 when good. */
  forMs: number;
}

export interface TreeEdge {
  shard: number;
  node: NodeId;
  /** null: a child of the owner itself. */
  parent: NodeId | null;
  complete: boolean;
}

export interface SwarmSnapshot {
  peers: PeerStatus[];
  fetches: number;
  trees: number;
  /** Children being sent to now. */
  uploads: number;
  /** Edges from the owner to the deepest node of the deepest tree. */
  depthMax: number;
  quarantines: number;
  /** What the node's line needs for a shard, in ms; null: not tested. */
  lineMs: number | null;
}

/** What happened in the core, for metrics and the log; names only, no bytes, no secrets. */
export type SwarmEvent =
  | 'redirected'
  | 'stalled'
  | 'slow'
  | 'lied'
  | 'released'
  | 'corrupt'
  | 'resumed'
  | 'owner-changed'
  | 'origin-retry'
  | 'gave-up';

export interface SwarmOptions {
  self: Member;
  effects: FetchEffects;
  /** Monotonic milliseconds. */
  nowMs: () => number;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Told of events worth counting; `node` is the culprit where there is one. */
  observe?: (event: SwarmEvent, node: NodeId | null) => void;
}
