import type { Family } from './metrics-list.ts';

/** Read at the scrape from control's state. */
export const gaugeFamilies = {
  buildInfo: {
    name: 'shoal_build_info',
    help: 'Always 1; the labels identify the build and the node.',
    labels: ['version', 'mode', 'node'],
  },
  ready: {
    name: 'shoal_ready',
    help: '1 while the node serves, 0 while it starts, drains or has failed (see /readyz).',
    labels: [],
  },
  uptime: { name: 'shoal_uptime_seconds', help: 'Time since the node started.', labels: [] },
  hitRatio: {
    name: 'shoal_hit_ratio',
    help: 'Share of the bytes sent to clients since the start, by tier.',
    labels: ['tier'],
  },
  throughput: {
    name: 'shoal_throughput_bytes_per_second',
    help: 'Bytes per second over the last window, by type of traffic.',
    labels: ['type'],
  },
  cacheBytes: {
    name: 'shoal_cache_bytes',
    help: 'Disk cache: allocated bytes and used bytes.',
    labels: ['kind'],
  },
  cacheEntries: {
    name: 'shoal_cache_entries',
    help: 'Shards and small objects on disk.',
    labels: [],
  },
  cacheSuspended: {
    name: 'shoal_cache_suspended',
    help: '1 while the cache disk is unusable and the node serves from memory.',
    labels: [],
  },
  arenaSlots: {
    name: 'shoal_arena_slots',
    help: 'Slots of 2 MiB in shared memory, by state.',
    labels: ['state'],
  },
  blobsInFlight: {
    name: 'shoal_blobs_in_flight',
    help: 'Blobs that are fetched, or read by clients or nodes, now.',
    labels: [],
  },
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
  line: {
    name: 'shoal_line_bytes_per_second',
    help:
      "What this node's line brings at least, as its last test or a pull has shown; 0: not " +
      'tested. Lines of 1.3 Gbit/s and more look alike.',
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
  threads: {
    name: 'shoal_threads',
    help: 'Threads that count metrics, by kind.',
    labels: ['kind'],
  },
  threadsUncounted: {
    name: 'shoal_threads_uncounted',
    help: 'Threads that found no free row of counters: their traffic is missing here.',
    labels: [],
  },
} as const satisfies Record<string, Family>;
