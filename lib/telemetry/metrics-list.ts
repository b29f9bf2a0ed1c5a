import { errorTable, type ErrorCode } from '../errors.ts';
import { messageFamilies } from './message-families.ts';

/**
 * All `shoal_` metrics: name, help, labels, and the key that the program counts them by. The shared
 * counters, the Prometheus registration and docs/METRICS.md are derived from these lists.
 */

/** The `type` labels of the DADIP2P_ families (docs/SPEC.md 5), in the sample's order. */
export const trafficTypes = ['pread', 'download', 'peer', 'disk', 'http'] as const;
export type TrafficType = (typeof trafficTypes)[number];

/** What each type counts. */
export const trafficMeaning: Record<TrafficType, string> = {
  pread: 'blob bytes sent to clients on the proxy port; one operation per request',
  download:
    'bytes fetched back-to-source; one operation per origin request; access checks excluded',
  peer:
    'bytes received from other nodes; one operation per transfer; bytes sent to them are ' +
    'in `shoal_served_bytes_total{to="peer"}`',
  disk: 'bytes read from and written to the cache disk; one operation per I/O',
  http: 'all answers on the proxy port: blobs (`pread` is included), relayed manifests, errors',
};

/**
 * Where the bytes of a request were found: memory, the runtime's content store, the cache disk, a
 * peer, the origin.
 */
export const tiers = ['arena', 'runtime', 'disk', 'peer', 'origin'] as const;
export type Tier = (typeof tiers)[number];

type Labels = Readonly<Record<string, string>>;

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

export interface CounterFamily extends Family {
  /** The key given to `Meter.count`, and the labels of the series it adds to. */
  readonly series: Readonly<Record<string, Labels>>;
}

export interface HistogramFamily extends CounterFamily {
  /**
   * `seconds`: observed in microseconds and exported in seconds. Anything else is exported as
   * observed.
   */
  readonly unit: 'seconds' | 'hops';
  /** Upper bounds of the buckets, in the unit observed. */
  readonly bounds: readonly number[];
}

const refusals = Object.fromEntries(
  Object.keys(errorTable).map((code) => [`refusal.${code}`, { reason: code }]),
) as Record<`refusal.${ErrorCode}`, { reason: string }>;

export const counterFamilies = [
  {
    name: 'shoal_served_bytes_total',
    help:
      'Payload bytes sent, by receiver and by the tier that held the bytes when they were ' +
      'requested.',
    labels: ['to', 'tier'],
    series: {
      'served.client.arena': { to: 'client', tier: 'arena' },
      'served.client.runtime': { to: 'client', tier: 'runtime' },
      'served.client.disk': { to: 'client', tier: 'disk' },
      'served.client.peer': { to: 'client', tier: 'peer' },
      'served.client.origin': { to: 'client', tier: 'origin' },
      'served.peer.arena': { to: 'peer', tier: 'arena' },
      'served.peer.runtime': { to: 'peer', tier: 'runtime' },
      'served.peer.disk': { to: 'peer', tier: 'disk' },
      'served.peer.peer': { to: 'peer', tier: 'peer' },
      'served.peer.origin': { to: 'peer', tier: 'origin' },
    },
  },
  {
    name: 'shoal_shard_lookups_total',
    help:
      'Shard lookups, by the tier that held the shard; joined: already being fetched for ' +
      'another request.',
    labels: ['tier'],
    series: {
      'lookup.arena': { tier: 'arena' },
      'lookup.runtime': { tier: 'runtime' },
      'lookup.disk': { tier: 'disk' },
      'lookup.joined': { tier: 'joined' },
      'lookup.peer': { tier: 'peer' },
      'lookup.origin': { tier: 'origin' },
    },
  },
  {
    name: 'shoal_transfers_total',
    help: 'Finished shard transfers into this node, by source and outcome.',
    labels: ['source', 'outcome'],
    series: {
      'transfer.origin.done': { source: 'origin', outcome: 'done' },
      'transfer.origin.failed': { source: 'origin', outcome: 'failed' },
      'transfer.origin.resumed': { source: 'origin', outcome: 'resumed' },
      'transfer.peer.done': { source: 'peer', outcome: 'done' },
      'transfer.peer.failed': { source: 'peer', outcome: 'failed' },
      'transfer.peer.resumed': { source: 'peer', outcome: 'resumed' },
      'transfer.peer.stalled': { source: 'peer', outcome: 'stalled' },
    },
  },
  {
    name: 'shoal_peer_messages_total',
    help: 'Requests from other nodes, by kind of answer.',
    labels: ['answer'],
    series: {
      'answer.data': { answer: 'data' },
      'answer.redirect': { answer: 'redirect' },
      'answer.busy': { answer: 'busy' },
      'answer.miss': { answer: 'miss' },
      'answer.stat': { answer: 'stat' },
      'answer.fetch': { answer: 'fetch' },
      'answer.recall': { answer: 'recall' },
      'answer.alive': { answer: 'alive' },
      'answer.words': { answer: 'words' },
      'answer.offers': { answer: 'offers' },
      'answer.holders': { answer: 'holders' },
      'answer.summary': { answer: 'summary' },
      'answer.swarm': { answer: 'swarm' },
      'answer.members': { answer: 'members' },
      'answer.unauthorized': { answer: 'unauthorized' },
    },
  },
  {
    name: 'shoal_thread_restarts_total',
    help: 'Threads of this node that ended unasked, or could not be started, and were replaced.',
    labels: ['thread'],
    series: {
      'thread.front': { thread: 'front' },
      'thread.transfer': { thread: 'transfer' },
      'thread.digest': { thread: 'digest' },
    },
  },
  {
    name: 'shoal_scrubbed_shards_total',
    help: 'Shards on disk that were checked in the background; corrupt: dropped, or unreadable.',
    labels: ['result'],
    series: { 'scrub.ok': { result: 'ok' }, 'scrub.corrupt': { result: 'corrupt' } },
  },
  {
    name: 'shoal_unvouched_origins_total',
    help:
      'Origins that other nodes named for a blob and this node did not use, because no ' +
      'configured registry vouches for them.',
    labels: [],
    series: { 'origin.unvouched': {} },
  },
  {
    name: 'shoal_refusals_total',
    help: 'Requests answered with an error, by error code (lib/errors.ts).',
    labels: ['reason'],
    series: refusals,
  },
  {
    name: 'shoal_client_aborts_total',
    help: 'Clients that closed the connection before their answer was complete.',
    labels: [],
    series: { 'client.abort': {} },
  },
  {
    name: 'shoal_evictions_total',
    help:
      'Evicted shards, by tier; unstored: evicted from memory before a slow disk had ' +
      'stored them.',
    labels: ['tier'],
    series: {
      'eviction.arena': { tier: 'arena' },
      'eviction.disk': { tier: 'disk' },
      'eviction.unstored': { tier: 'unstored' },
    },
  },
  {
    name: 'shoal_runtime_store_spared_bytes_total',
    help: "Bytes not written to the cache because the container runtime's content store has them.",
    labels: [],
    series: { 'runtime.spared': {} },
  },
  {
    name: 'shoal_cache_errors_total',
    help:
      'Cache disk errors the node recovered from, by kind; space: disk full, checksum: ' +
      'damaged shard.',
    labels: ['kind'],
    series: {
      'cacheError.read': { kind: 'read' },
      'cacheError.write': { kind: 'write' },
      'cacheError.space': { kind: 'space' },
      'cacheError.checksum': { kind: 'checksum' },
    },
  },
  {
    name: 'shoal_integrity_failures_total',
    help: 'Detected wrong bytes: shards that fail their checksum, blobs that fail their digest.',
    labels: ['of'],
    series: { 'integrity.shard': { of: 'shard' }, 'integrity.blob': { of: 'blob' } },
  },
  {
    name: 'shoal_blobs_verified_total',
    help: 'Blobs whose digest was verified over the whole blob.',
    labels: [],
    series: { 'blob.verified': {} },
  },
  {
    name: 'shoal_peer_penalties_total',
    help: 'Times a peer was excluded: cooldown after failures, quarantine after wrong bytes.',
    labels: ['kind'],
    series: {
      'penalty.cooldown': { kind: 'cooldown' },
      'penalty.quarantine': { kind: 'quarantine' },
    },
  },
  {
    name: 'shoal_access_checks_total',
    help:
      'Access decisions; remembered and stale need no request; granted, refused and failed ' +
      'are registry answers.',
    labels: ['result'],
    series: {
      'access.remembered': { result: 'remembered' },
      'access.stale': { result: 'stale' },
      'access.granted': { result: 'granted' },
      'access.refused': { result: 'refused' },
      'access.failed': { result: 'failed' },
    },
  },
  {
    name: 'shoal_relays_total',
    help: 'Relayed registry requests (manifests, tags, tokens), by outcome.',
    labels: ['outcome'],
    series: { 'relay.done': { outcome: 'done' }, 'relay.failed': { outcome: 'failed' } },
  },
  {
    name: 'shoal_manifests_total',
    help:
      'Manifests sent to clients, by source; swarm: by digest from memory, disk or peers, ' +
      'without the registry.',
    labels: ['source'],
    series: { 'manifest.registry': { source: 'registry' }, 'manifest.swarm': { source: 'swarm' } },
  },
  {
    name: 'shoal_stale_answers_total',
    help:
      'Remembered answers sent with a Warning while a registry was down; greeting: `/v2/` ' +
      'or a token challenge.',
    labels: ['of'],
    series: {
      'stale.tag': { of: 'tag' },
      'stale.digest': { of: 'digest' },
      'stale.greeting': { of: 'greeting' },
    },
  },
  ...messageFamilies,
  {
    name: 'shoal_throttle_waits_total',
    help: 'Times a response waited for the downstream throughput limit (throttleLimitMB).',
    labels: [],
    series: { 'throttle.wait': {} },
  },
  {
    name: 'shoal_layer_waits_total',
    help: 'Layers that waited in order because of proxyConcurrencyLimit.',
    labels: [],
    series: { 'layer.wait': {} },
  },
  {
    name: 'shoal_audit_lines_total',
    help: 'Audit lines, by outcome; dropped: the log could not keep up.',
    labels: ['outcome'],
    series: { 'audit.written': { outcome: 'written' }, 'audit.dropped': { outcome: 'dropped' } },
  },
] as const satisfies readonly CounterFamily[];

/**
 * From a memory hit (tens of microseconds) to the answer deadline, about two buckets per decade.
 */
const durationBoundsUs = [
  50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
  1_000_000, 2_500_000, 10_000_000, 30_000_000,
];
const depthBounds = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32];

export const histogramFamilies = [
  {
    name: 'shoal_operation_duration_seconds',
    help:
      'Time from request to last byte, by operation (as in the audit log) and source of ' +
      'the bytes.',
    labels: ['operation', 'source'],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: {
      'pread.arena': { operation: 'http:pread', source: 'arena' },
      'pread.runtime': { operation: 'http:pread', source: 'runtime' },
      'pread.disk': { operation: 'http:pread', source: 'disk' },
      'pread.peer': { operation: 'http:pread', source: 'peer' },
      'pread.origin': { operation: 'http:pread', source: 'origin' },
      relay: { operation: 'http:relay', source: 'origin' },
      download: { operation: 'download', source: 'origin' },
      peerRead: { operation: 'peer:pread', source: 'peer' },
      rpcPread: { operation: 'rpc:pread', source: 'arena' },
      rpcStat: { operation: 'rpc:stat', source: 'arena' },
      fileread: { operation: 'fileread', source: 'disk' },
      filewrite: { operation: 'filewrite', source: 'disk' },
      accessCheck: { operation: 'access:check', source: 'origin' },
    },
  },
  {
    name: 'shoal_first_byte_seconds',
    help: "Time from a client's blob request to its first byte, by the tier of the first shard.",
    labels: ['source'],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: {
      'firstByte.arena': { source: 'arena' },
      'firstByte.runtime': { source: 'runtime' },
      'firstByte.disk': { source: 'disk' },
      'firstByte.peer': { source: 'peer' },
      'firstByte.origin': { source: 'origin' },
    },
  },
  {
    name: 'shoal_throttle_wait_seconds',
    help: 'Time responses waited for the downstream throughput limit.',
    labels: [],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: { throttleWait: {} },
  },
  {
    name: 'shoal_layer_wait_seconds',
    help: 'Time layers waited because of proxyConcurrencyLimit.',
    labels: [],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: { layerWait: {} },
  },
  {
    name: 'shoal_tree_depth',
    help: 'Hops from each node in a tree tracked here to a node with the complete shard.',
    labels: [],
    unit: 'hops',
    bounds: depthBounds,
    series: { treeDepth: {} },
  },
] as const satisfies readonly HistogramFamily[];

type KeysOf<F> = F extends { readonly series: infer S } ? keyof S & string : never;
/** What `Meter.count` takes. */
export type CounterName = KeysOf<(typeof counterFamilies)[number]>;
/** What `Meter.observe` takes. */
export type HistogramName = KeysOf<(typeof histogramFamilies)[number]>;

/** Counters derived from the traffic and the counters above. */
export const derivedFamilies = {
  trafficBytes: {
    name: 'shoal_traffic_bytes_total',
    help: 'Bytes by type of traffic: DADIP2P_Count as a counter.',
    labels: ['type'],
  },
  trafficOperations: {
    name: 'shoal_traffic_operations_total',
    help: 'Operations by type of traffic, including failed ones.',
    labels: ['type'],
  },
  trafficFailures: {
    name: 'shoal_traffic_failures_total',
    help: 'Failed operations by type of traffic.',
    labels: ['type'],
  },
  savedBytes: {
    name: 'shoal_saved_bytes_total',
    help:
      'Bytes sent to clients that this node did not fetch from the origin; of a swarm, subtract ' +
      'what nodes fetched for others.',
    labels: [],
  },
  registrySavedBytes: {
    name: 'shoal_registry_saved_bytes_total',
    help: 'The same of reads that ended, by registry; other: registries past the first 64.',
    labels: ['registry'],
  },
  registryBytes: {
    name: 'shoal_registry_client_bytes_total',
    help: 'Bytes of reads that ended, sent to clients, by registry.',
    labels: ['registry'],
  },
} as const satisfies Record<string, Family>;
