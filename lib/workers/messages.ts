import type { ErrorCode, WireError } from '../errors.ts';
import type { ArenaShared } from '../io/arena.ts';
import type { Tier } from '../telemetry/metrics-list.ts';
import type { RelayKind } from '../registry/route.ts';

/** A blob as a request names it; see lib/registry/identity.ts, which makes it. */
export interface BlobName {
  key: string;
  url: string;
  upstreamHost: string;
  scope: string;
  pathname: string;
  repository?: string;
  digest?: string;
}

// --- front -> control -------------------------------------------------------------------------

/** A client wants to read a blob; answered by `opened` or `refused`. */
export interface OpenRequest {
  kind: 'open';
  id: number;
  blob: BlobName;
  authorization: string | null;
  /** The shard wanted first. */
  shard: number;
  /** Where in that shard it begins to read. */
  sliceBytes: number;
  /** The last shard this request will read; null: to the blob's end. Read-ahead goes no further. */
  untilShard: number | null;
  /**
   * Whether it says that it will read all of that: a client that asks from somewhere on may just
   * want a piece.
   */
  sequential: boolean;
  /** Whether it is one of many small reads, which together may have a pattern. */
  small: boolean;
  requestId: string;
}

/**
 * The stream `id` has come to `shard`; answered by `granted` or `refused`, unless the front says it
 * is `placed`.
 */
export interface WantRequest {
  kind: 'want';
  id: number;
  shard: number;
  placed: boolean;
}

/** The stream or ask `id` is over; `whole`: to the end of what it was to send. */
export interface CloseRequest {
  kind: 'close';
  id: number;
  whole: boolean;
  sentBytes: number;
  /** Of a client's stream: where its bytes came from and what it waited for. */
  read?: ReadSummary;
}

/** One client's read of a blob, or several added up. */
export interface ReadSummary {
  /** Bytes sent, by tier (lib/front/first-reads.ts). */
  sources: Record<Tier, number>;
  /** Milliseconds it could not go on sending, by cause. */
  waitedMs: Record<'access' | 'turn' | 'throttle' | 'disk' | 'peer' | 'origin', number>;
}

/**
 * Something to pass through unchanged (manifest, tags, token challenge); answered by `answer` or
 * `refused`.
 */
export interface RelayRequest {
  kind: 'relay';
  id: number;
  method: string;
  url: string;
  upstreamHost: string;
  headers: Record<string, string>;
  what: RelayKind;
  /** The access scope of the repository it is about, if it is about one. */
  scope: string | null;
  repository: string | null;
  /** The tag or digest it names. */
  reference: string | null;
  requestId: string;
}

/**
 * Another node asks what registries said lately (`rpc:recall`), by opaque ids; answered by
 * `answer`.
 */
export interface RecallRequest {
  kind: 'recall';
  id: number;
  ids: string[];
}

/** Another node asks for a shard (`rpc:pread`); answered by `granted`, `peer` or `refused`. */
export interface AskRequest {
  kind: 'ask';
  id: number;
  key: string;
  shard: number;
  node: string;
  zone: string | null;
  role: 'owner' | 'parent' | 'root';
  exclude: string[];
  hops: number;
  load: number;
  /**
   * The requester's way to the origin, already opened from its seal; only owners and roots get it.
   */
  origin: OriginContext | null;
  requestId: string;
}

/**
 * Another node asks for a shard's checksum and reports on its parent (`rpc:stat`); answered by
 * `stat` or `refused`.
 */
export interface StatRequest {
  kind: 'stat';
  id: number;
  key: string;
  shard: number;
  node: string;
  zone: string | null;
  parent: string | null;
  report: 'none' | 'done' | 'failed' | 'slow' | 'lied';
}

/** Another node has this one bring a blob to itself (`rpc:fetch`); answered by `answer`. */
export interface FetchRequest {
  kind: 'fetch';
  id: number;
  key: string;
  totalBytes: number;
  /** The way to the origin, already opened from its seal, when the swarm alone could not help. */
  origin: OriginContext | null;
  requestId: string;
}

/** A client has `node` bring a blob to itself; answered by `answer` or `refused`. */
export interface PreheatRequest {
  kind: 'preheat';
  id: number;
  node: string;
  blob: BlobName;
  authorization: string | null;
  requestId: string;
}

/** A client asks who is in the swarm; answered by `answer`. */
export interface NodesRequest {
  kind: 'nodes';
  id: number;
}

/** A client asks what was read on demand in the last `seconds`; answered by `answer`. */
export interface TraceRequest {
  kind: 'trace';
  id: number;
  seconds: number;
}

/** A page of the exporter (`/metrics`, `/status`, ...); answered by `answer`. */
export interface PageRequest {
  kind: 'page';
  id: number;
  path: string;
  query: string;
}

export type FrontMessage =
  | OpenRequest
  | WantRequest
  | CloseRequest
  | RelayRequest
  | AskRequest
  | StatRequest
  | PageRequest
  | FetchRequest
  | PreheatRequest
  | NodesRequest
  | TraceRequest
  | RecallRequest
  /** Another node tells what registries said to it, by opaque ids. */
  | { kind: 'words'; words: Record<string, unknown> }
  /** Reads that a front answered from memory without asking control, added up by blob. */
  | {
      kind: 'reads';
      reads: { blob: BlobName; authorization: string | null; read: ReadSummary }[];
    }
  | { kind: 'listening' }
  | { kind: 'failed'; error: WireError }
  | { kind: 'drained' }
  /** Something an operator should read in the log. */
  | { kind: 'notice'; code: ErrorCode; message: string; requestId: string }
  | { kind: 'audit'; batch: Uint8Array<ArrayBuffer>; lines: number };

// --- control -> front -------------------------------------------------------------------------

export type ControlMessage =
  /**
   * The client may read; `cold`: the shard was not in memory when it was asked for; `grantMs` is
   * how long the same request may be answered without asking again; `stale`: the registry is down,
   * an old right counts; `provenBytes`: the size of what the right was proven for, which must be
   * the blob's: it need not be known yet here, and no byte is sent before it is.
   */
  | {
      kind: 'opened';
      id: number;
      shard: number;
      slot: number;
      generation: number;
      totalBytes: number | null;
      provenBytes: number | null;
      cold: boolean;
      grantMs: number;
      stale: boolean;
      /** How long the layer waited for its turn (proxyConcurrencyLimit). */
      turnMs: number;
    }
  /** `pathname`: to another node, by what name the audit log has the blob. */
  | {
      kind: 'granted';
      id: number;
      shard: number;
      slot: number;
      generation: number;
      checksum: string | null;
      totalBytes: number | null;
      cold: boolean;
      pathname?: string;
    }
  | { kind: 'refused'; id: number; error: WireError }
  | {
      kind: 'answer';
      id: number;
      status: number;
      headers: Record<string, string>;
      body: Uint8Array;
    }
  | { kind: 'peer'; id: number; answer: PeerVerdict }
  | {
      kind: 'stat';
      id: number;
      totalBytes: number;
      lengthBytes: number;
      checksum: string;
      pathname: string;
    }
  | { kind: 'drain'; deadlineMs: number }
  /** The files of the proxy port's certificate have changed. */
  | { kind: 'certificate' };

/** What an asked node says when it does not send the shard itself. */
export type PeerVerdict =
  | { kind: 'redirect'; parents: string[]; checksum: string | null; totalBytes: number | null }
  | { kind: 'busy'; retryMs: number }
  | { kind: 'miss' };

/** How the origin is reached for a blob, with the credential of the client that asked. */
export interface OriginContext {
  url: string;
  upstreamHost: string;
  authorization: string | null;
  /** What a registry must be asked to send, for a manifest. */
  accept?: string;
}

// --- what a front thread starts with ----------------------------------------------------------

export interface FrontStart {
  arena: ArenaShared;
  doorbells: SharedArrayBuffer;
  bell: number;
  throttle: SharedArrayBuffer;
  meters: SharedArrayBuffer;
  meterRow: number;
  /** Whether other fronts listen on the same ports; else nobody else may. */
  sharesPorts: boolean;
  config: FrontConfig;
}

export interface FrontConfig {
  node: string;
  mode: 'agent' | 'root';
  proxy: { host: string; port: number; tls: { certFile: string; keyFile: string } | null };
  p2p: { host: string; port: number };
  /** null: no exporter; `port` null: on the proxy port. */
  exporter: { host: string; port: number | null } | null;
  prefix: string;
  registries: { p2pHost?: string; upstream: string; storage?: readonly string[] }[];
  allow: string[];
  audit: boolean;
  /** The cluster secret, and those that are accepted, too: hex, separated by commas. */
  secret: string;
  throttleLimitMB: number;
}
