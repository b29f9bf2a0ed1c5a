import { errorTable, type ErrorCode } from '../errors.ts';

/**
 * Every metric under `shoal_`, once: its name, help, labels, and the key by which the program
 * counts it. The shared counters, the Prometheus registration and docs/METRICS.md are all made from
 * these lists.
 */

/** The `type` labels of the DADIP2P_ families (docs/SPEC.md 5), in the sample's order. */
export const trafficTypes = ['pread', 'download', 'peer', 'disk', 'http'] as const;
export type TrafficType = (typeof trafficTypes)[number];

/** What each type counts. */
export const trafficMeaning: Record<TrafficType, string> = {
  pread: 'blob bytes sent to clients on the proxy port, one operation a request',
  download:
    'bytes fetched back-to-source, one operation an origin request; access checks are not in it',
  peer: 'bytes received from other nodes, one operation a transfer; what this node sends to others is `shoal_served_bytes_total{to="peer"}`',
  disk: 'bytes read from and written to the cache disk, one operation an I/O',
  http: 'everything answered on the proxy port: blobs (so `pread` is part of it), relayed manifests, refusals',
};

/** Where the bytes of a request were found: in memory, on disk, at another node, at the origin. */
export const tiers = ['arena', 'disk', 'peer', 'origin'] as const;
export type Tier = (typeof tiers)[number];

type Labels = Readonly<Record<string, string>>;

interface Family {
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
    help: 'Payload bytes sent, by who asked (client, peer) and by the tier the bytes were found in when they were asked for.',
    labels: ['to', 'tier'],
    series: {
      'served.client.arena': { to: 'client', tier: 'arena' },
      'served.client.disk': { to: 'client', tier: 'disk' },
      'served.client.peer': { to: 'client', tier: 'peer' },
      'served.client.origin': { to: 'client', tier: 'origin' },
      'served.peer.arena': { to: 'peer', tier: 'arena' },
      'served.peer.disk': { to: 'peer', tier: 'disk' },
      'served.peer.peer': { to: 'peer', tier: 'peer' },
      'served.peer.origin': { to: 'peer', tier: 'origin' },
    },
  },
  {
    name: 'shoal_shard_lookups_total',
    help: 'Shards asked of control, by the tier that had them; joined: already being fetched for someone else.',
    labels: ['tier'],
    series: {
      'lookup.arena': { tier: 'arena' },
      'lookup.disk': { tier: 'disk' },
      'lookup.joined': { tier: 'joined' },
      'lookup.peer': { tier: 'peer' },
      'lookup.origin': { tier: 'origin' },
    },
  },
  {
    name: 'shoal_transfers_total',
    help: 'Shard transfers into this node that ended, by source and outcome.',
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
    help: 'Requests of other nodes answered here, by the kind of answer.',
    labels: ['answer'],
    series: {
      'answer.data': { answer: 'data' },
      'answer.redirect': { answer: 'redirect' },
      'answer.busy': { answer: 'busy' },
      'answer.miss': { answer: 'miss' },
      'answer.stat': { answer: 'stat' },
      'answer.fetch': { answer: 'fetch' },
      'answer.recall': { answer: 'recall' },
      'answer.words': { answer: 'words' },
      'answer.unauthorized': { answer: 'unauthorized' },
    },
  },
  {
    name: 'shoal_unvouched_origins_total',
    help: 'Origins that other nodes named for a blob and this node did not use, because no configured registry vouches for them.',
    labels: [],
    series: { 'origin.unvouched': {} },
  },
  {
    name: 'shoal_refusals_total',
    help: 'Requests answered with an error, by the stable code of the reason (lib/errors.ts).',
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
    help: 'Shards evicted to make room, by tier; unstored: from memory while they waited for a slow disk.',
    labels: ['tier'],
    series: {
      'eviction.arena': { tier: 'arena' },
      'eviction.disk': { tier: 'disk' },
      'eviction.unstored': { tier: 'unstored' },
    },
  },
  {
    name: 'shoal_cache_errors_total',
    help: 'Failures of the cache disk the node went on from, by kind; space: the disk is full, checksum: a damaged shard.',
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
    help: 'Wrong bytes caught before they were cached: a shard against its checksum, a blob against its digest.',
    labels: ['of'],
    series: { 'integrity.shard': { of: 'shard' }, 'integrity.blob': { of: 'blob' } },
  },
  {
    name: 'shoal_blobs_verified_total',
    help: 'Blobs whose digest was checked as a whole and held.',
    labels: [],
    series: { 'blob.verified': {} },
  },
  {
    name: 'shoal_peer_penalties_total',
    help: 'Times another node was set aside: cooldown after failures, quarantine after wrong bytes.',
    labels: ['kind'],
    series: {
      'penalty.cooldown': { kind: 'cooldown' },
      'penalty.quarantine': { kind: 'quarantine' },
    },
  },
  {
    name: 'shoal_access_checks_total',
    help: 'Access decisions: remembered and stale need no request; granted, refused and failed are what the registry said.',
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
    help: 'Manifests, tags and other registry requests passed through, by outcome.',
    labels: ['outcome'],
    series: { 'relay.done': { outcome: 'done' }, 'relay.failed': { outcome: 'failed' } },
  },
  {
    name: 'shoal_manifests_total',
    help: 'Manifests sent to clients, by where they came from; swarm: by digest from memory, disk or other nodes, without the registry.',
    labels: ['source'],
    series: { 'manifest.registry': { source: 'registry' }, 'manifest.swarm': { source: 'swarm' } },
  },
  {
    name: 'shoal_stale_answers_total',
    help: 'Answers with a Warning while the registry was down, by what was asked for; greeting: `/v2/`, or the challenge to who came without a credential.',
    labels: ['of'],
    series: {
      'stale.tag': { of: 'tag' },
      'stale.digest': { of: 'digest' },
      'stale.greeting': { of: 'greeting' },
    },
  },
  {
    name: 'shoal_memory_messages_total',
    help: 'What registries said, told to other nodes (told, untold: they did not take it) and asked of them while a registry was down (found, nothing); crowded: too many unknown passwords at once.',
    labels: ['result'],
    series: {
      'memory.told': { result: 'told' },
      'memory.untold': { result: 'untold' },
      'memory.found': { result: 'found' },
      'memory.nothing': { result: 'nothing' },
      'memory.crowded': { result: 'crowded' },
    },
  },
  {
    name: 'shoal_throttle_waits_total',
    help: 'Times a sender waited for the downstream throughput limit (throttleLimitMB).',
    labels: [],
    series: { 'throttle.wait': {} },
  },
  {
    name: 'shoal_layer_waits_total',
    help: 'Layers that waited in order for a place under proxyConcurrencyLimit.',
    labels: [],
    series: { 'layer.wait': {} },
  },
  {
    name: 'shoal_audit_lines_total',
    help: 'Audit lines, by outcome; dropped: the log could not keep up and the data path did not wait.',
    labels: ['outcome'],
    series: { 'audit.written': { outcome: 'written' }, 'audit.dropped': { outcome: 'dropped' } },
  },
] as const satisfies readonly CounterFamily[];

/**
 * From a hit in memory (tens of microseconds) to the answer deadline, about two buckets a decade.
 */
const durationBoundsUs = [
  50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
  1_000_000, 2_500_000, 10_000_000, 30_000_000,
];
const depthBounds = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32];

export const histogramFamilies = [
  {
    name: 'shoal_operation_duration_seconds',
    help: "Time of one operation from request to last byte, by operation (the audit log's names) and where the bytes came from.",
    labels: ['operation', 'source'],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: {
      'pread.arena': { operation: 'http:pread', source: 'arena' },
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
    help: "Time from a client's blob request to the first byte it is sent, by the tier of its first shard.",
    labels: ['source'],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: {
      'firstByte.arena': { source: 'arena' },
      'firstByte.disk': { source: 'disk' },
      'firstByte.peer': { source: 'peer' },
      'firstByte.origin': { source: 'origin' },
    },
  },
  {
    name: 'shoal_throttle_wait_seconds',
    help: 'Time senders waited for the downstream throughput limit.',
    labels: [],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: { throttleWait: {} },
  },
  {
    name: 'shoal_layer_wait_seconds',
    help: 'Time layers waited for a place under proxyConcurrencyLimit.',
    labels: [],
    unit: 'seconds',
    bounds: durationBoundsUs,
    series: { layerWait: {} },
  },
  {
    name: 'shoal_tree_depth',
    help: 'Hops between each node sent into a tree this node tracks and one that has the shard whole; 1: straight from the owner or such a node.',
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

/** Counters no one counts by hand: they follow from the traffic and the counters above. */
export const derivedFamilies = {
  trafficBytes: {
    name: 'shoal_traffic_bytes_total',
    help: 'Bytes by kind of traffic: DADIP2P_Count as a true counter.',
    labels: ['type'],
  },
  trafficOperations: {
    name: 'shoal_traffic_operations_total',
    help: 'Operations by kind of traffic, failed ones included.',
    labels: ['type'],
  },
  trafficFailures: {
    name: 'shoal_traffic_failures_total',
    help: 'Operations that failed, by kind of traffic.',
    labels: ['type'],
  },
  savedBytes: {
    name: 'shoal_saved_bytes_total',
    help: 'Bytes sent to clients that this node did not fetch from the origin for them.',
    labels: [],
  },
} as const satisfies Record<string, Family>;

/** Read at the scrape from control's state. */
export const gaugeFamilies = {
  buildInfo: {
    name: 'shoal_build_info',
    help: 'Always 1; what runs here.',
    labels: ['version', 'mode', 'node'],
  },
  ready: {
    name: 'shoal_ready',
    help: '1 when the node serves, 0 while it starts, drains or has failed (/readyz says why).',
    labels: [],
  },
  uptime: { name: 'shoal_uptime_seconds', help: 'Time since the node started.', labels: [] },
  hitRatio: {
    name: 'shoal_hit_ratio',
    help: 'Share of the bytes sent to clients since the start, by the tier they were found in.',
    labels: ['tier'],
  },
  throughput: {
    name: 'shoal_throughput_bytes_per_second',
    help: 'Bytes per second over the last window, by kind of traffic.',
    labels: ['type'],
  },
  cacheBytes: {
    name: 'shoal_cache_bytes',
    help: 'Disk cache: bytes allocated to it, bytes in use.',
    labels: ['kind'],
  },
  cacheEntries: {
    name: 'shoal_cache_entries',
    help: 'Shards and small objects on disk.',
    labels: [],
  },
  cacheSuspended: {
    name: 'shoal_cache_suspended',
    help: '1 while the disk cannot be used and the node serves from memory.',
    labels: [],
  },
  arenaSlots: {
    name: 'shoal_arena_slots',
    help: 'Slots of 2 MiB in shared memory, by state.',
    labels: ['state'],
  },
  blobsInFlight: { name: 'shoal_blobs_in_flight', help: 'Blobs being fetched now.', labels: [] },
  peers: {
    name: 'shoal_peers',
    help: 'Other nodes, by role and state.',
    labels: ['role', 'state'],
  },
  trees: { name: 'shoal_trees', help: 'Shards this node tracks as their owner.', labels: [] },
  treeDepthMax: {
    name: 'shoal_tree_depth_max',
    help: 'Depth of the deepest tree this node tracks, in hops.',
    labels: [],
  },
  queueLength: {
    name: 'shoal_queue_length',
    help: 'Entries waiting, by queue.',
    labels: ['queue'],
  },
  loopDelay: {
    name: 'shoal_event_loop_delay_seconds',
    help: 'Event-loop delay of each thread over the last second: its 99th percentile and maximum.',
    labels: ['thread', 'stat'],
  },
  threads: { name: 'shoal_threads', help: 'Threads counting, by kind.', labels: ['kind'] },
  threadsUncounted: {
    name: 'shoal_threads_uncounted',
    help: 'Threads that found no free row of counters: their traffic is missing here.',
    labels: [],
  },
} as const satisfies Record<string, Family>;
