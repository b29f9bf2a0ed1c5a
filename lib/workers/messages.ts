import type { ErrorCode, WireError } from '../errors.ts';
import type { ArenaShared } from '../io/arena.ts';
import type { Tier } from '../telemetry/metrics-list.ts';
import type { AllowConfig } from '../registry/allow.ts';
import type { RelayKind } from '../registry/route.ts';
import type { OriginTarget } from '../origin-target.ts';
import type { PreadQuery, PreadVerdict } from '../wire/pread.ts';

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
  /** Header `traceparent`, if tracing is on and it came with one. */
  traceparent?: string;
}

/**
 * The stream `id` has come to `shard`; answered by `granted` or `refused`, unless the front says it
 * is `placed`.
 */
interface WantRequest {
  kind: 'want';
  id: number;
  shard: number;
  placed: boolean;
}

/**
 * What is here of a stream's blob has another size than `opened` said: which is right? Answered by
 * `sized` or `refused`.
 */
interface SizeRequest {
  kind: 'size';
  id: number;
}

/** The stream or ask `id` is over; `whole`: to the end of what it was to send. */
interface CloseRequest {
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
  /** Header `traceparent`, if tracing is on and it came with one. */
  traceparent?: string;
}

/** Another node asks for a shard (`rpc:pread`); answered by `granted`, `peer` or `refused`. */
export interface ShardRequest {
  kind: 'ask';
  id: number;
  query: PreadQuery;
  /** The origin that the request names; only owners and roots get one. */
  origin: OriginTarget | null;
  requestId: string;
  /** Header `traceparent`, if tracing is on and it came with one. */
  traceparent?: string;
}

/** Any other request of another node (lib/wire); answered by `answer` or `refused`. */
export interface RpcRequest {
  kind: 'rpc';
  id: number;
  path: string;
  query: string;
  origin: OriginTarget | null;
  /** JSON text of recent registry responses. */
  words: string | null;
  requestId: string;
  /** Header `traceparent`, if tracing is on and it came with one. */
  traceparent?: string;
}

/** A client has `node` bring a blob to itself; answered by `answer` or `refused`. */
export interface PreheatRequest {
  kind: 'preheat';
  id: number;
  node: string;
  blob: BlobName;
  authorization: string | null;
  requestId: string;
  /** Header `traceparent`, if tracing is on and it came with one. */
  traceparent?: string;
}

/** A client asks for the members of the swarm; answered by `answer`. */
interface NodesRequest {
  kind: 'nodes';
  id: number;
}

/** A client asks for the on-demand reads of the last `seconds`; answered by `answer`. */
interface TraceRequest {
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
  /** The reader is on this machine. */
  isLocal: boolean;
  /** Its `Authorization` header; '' without one. */
  authorization: string;
}

export type FrontMessage =
  | OpenRequest
  | WantRequest
  | SizeRequest
  | CloseRequest
  | RelayRequest
  | ShardRequest
  | RpcRequest
  | PageRequest
  | PreheatRequest
  | NodesRequest
  | TraceRequest
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
   * an old right counts; `provenBytes`: the blob's size by a registry, or by a verified digest. No
   * client is told another one: where what is here has another, the front asks (`size`). null: the
   * registry was asked, and tells none.
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
      /** For another node: see lib/front/uploads.ts. */
      uploadsAtOnce?: number;
      pathname?: string;
    }
  /** The answer to `size`; the place of the shard that the stream began with is void. */
  | { kind: 'sized'; id: number; totalBytes: number | null }
  | { kind: 'refused'; id: number; error: WireError }
  | {
      kind: 'answer';
      id: number;
      status: number;
      headers: Record<string, string>;
      body: Uint8Array;
    }
  | { kind: 'peer'; id: number; answer: PreadVerdict }
  | { kind: 'drain'; deadlineMs: number }
  /** The files of the proxy port's certificate have changed. */
  | { kind: 'certificate' }
  /** More connections than this are closed as they come; see lib/node/descriptors.ts. */
  | { kind: 'connections'; max: number }
  /** From here on requests are routed by this. */
  | ({ kind: 'routes' } & Pick<FrontConfig, 'registries' | 'allow' | 'mirrorStates'>);

// --- what a front thread starts with ----------------------------------------------------------

export interface FrontStart {
  arena: ArenaShared;
  doorbells: SharedArrayBuffer;
  bell: number;
  throttle: SharedArrayBuffer;
  meters: SharedArrayBuffer;
  meterRow: number;
  /** Whether other fronts listen on the same ports; else the front listens exclusively. */
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
  registries: AllowConfig['registries'];
  allow: AllowConfig['allow'];
  /** See lib/registry/mirror-view.ts. */
  mirrorStates: SharedArrayBuffer;
  audit: boolean;
  /** The cluster secret, and those that are accepted, too: hex, separated by commas. */
  secret: string;
  throttleLimitMB: number;
  /** Whether requests are traced: else no front reads `traceparent`. */
  tracing: boolean;
}
