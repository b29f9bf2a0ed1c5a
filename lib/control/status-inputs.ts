import type { CacheStore } from '../cache/store.ts';
import type { RuntimeStore } from '../runtime-store/runtime-store.ts';
import { SlotSource, type Arena } from '../io/arena.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { Readiness } from '../telemetry/health.ts';
import type { BlobInFlight, RegistryBytes, StatusInputs } from '../telemetry/status.ts';
import type { BlobFacts } from './shards/blob-facts.ts';
import type { LayerGate } from './serve/layer-gate.ts';
import type { ShardLoader } from './shards/loader.ts';
import { STALLED_MS } from './limits.ts';
import type { Pools } from './threads/pools.ts';
import type { Residency } from './shards/residency.ts';
import type { SwarmView } from './peers/swarm-view.ts';
import type { ReadNow } from './watch/pull-log.ts';

interface Parts {
  readiness: Readiness;
  arena: Arena;
  residency: Residency;
  store: CacheStore;
  runtime: RuntimeStore | null;
  loader: ShardLoader;
  facts: BlobFacts;
  layers: LayerGate;
  pools: Pools;
  /** See OriginQueue. */
  originStalledMs: () => number;
  swarm: SwarmView;
  /** Blobs that clients and nodes read now. */
  reads: () => ReadNow[];
  registries: () => RegistryBytes[];
}

/** The node's state at the moment it is asked, as the telemetry wants it. */
export function statusInputs(parts: Parts): () => StatusInputs {
  const { readiness, arena, residency, store, runtime, layers, pools, swarm } = parts;
  return () => {
    const { allocatedBytes, usedBytes, entries, suspended } = store.stats();
    return {
      readiness: {
        ...readiness,
        problems: [...readiness.problems, ...stallsOf(parts)],
        warnings: warningsOf(parts),
      },
      cache: { allocatedBytes, usedBytes, entries, suspended },
      runtimeStore: runtime?.stats() ?? null,
      arena: { slots: arena.slotCount, used: residency.usedSlots },
      peers: swarm.peers(),
      inFlight: blobsInFlight(parts),
      registries: parts.registries(),
      queues: { layers: layers.waiting, arena: residency.waiting, pool: pools.queued() },
      trees: swarm.treeSummary(),
      lineBytesPerSecond: swarm.lineBytesPerSecond,
    };
  };
}

const inSeconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;

/**
 * Why the node is not ready although it runs: its transfer threads or its memory are stuck.
 * Requests that only their share holds back, as those to a silent registry, are no reason.
 */
export function stallsOf({
  pools,
  residency,
}: {
  pools: Pick<Pools, 'stalledMs'>;
  residency: Pick<Residency, 'stalledMs'>;
}): string[] {
  const threadMs = pools.stalledMs();
  const memoryMs = residency.stalledMs;
  return [
    ...(threadMs < STALLED_MS
      ? []
      : [
          `reads of disk, peers and registries have waited ${inSeconds(threadMs)} ` +
            'for a transfer thread; look for a disk that hangs',
        ]),
    ...(memoryMs < STALLED_MS
      ? []
      : [
          `shards have waited ${inSeconds(memoryMs)} for memory; raise CacheConfig.memory, or ` +
            'look for a slow disk or peers that send nothing',
        ]),
  ];
}

/**
 * What holds up reads at registries. The node stays ready: what is cached, here or at other nodes,
 * can be read, and a node that is not ready is no member of the swarm. DNS fails for all nodes
 * together: the swarm would end when it is needed most.
 */
export function warningsOf({
  pools,
  originStalledMs,
}: {
  pools: Pick<Pools, 'dnsSilentMs'>;
  originStalledMs: () => number;
}): string[] {
  const dnsMs = pools.dnsSilentMs();
  const originMs = originStalledMs();
  return [
    ...(dnsMs < STALLED_MS
      ? []
      : [
          `no DNS server has answered for a registry for ${inSeconds(dnsMs)}; look at ` +
            '/etc/resolv.conf and at the name servers it lists',
        ]),
    ...(originMs < STALLED_MS
      ? []
      : [
          `reads of registries that answer have waited ${inSeconds(originMs)} for a turn, as ` +
            'silent ones have all; look for registries that time out in the log',
        ]),
  ];
}

/**
 * Blobs that are being fetched or read. The cost of a call is bounded by the size of the arena and
 * the number of open reads, whatever the sizes of the blobs.
 */
export function blobsInFlight(
  parts: Pick<Parts, 'arena' | 'loader' | 'facts' | 'reads'>,
): BlobInFlight[] {
  const { arena, loader, facts, reads } = parts;
  const blobs = new Map<
    string,
    { shown: BlobInFlight; stored: ReturnType<ShardLoader['onDisk']> }
  >();
  for (const { key, phase, slot } of loader.residents()) {
    if (phase === 'complete' || slot < 0 || blobs.has(key)) continue;
    const stored = loader.onDisk(key);
    const totalBytes = facts.totalOf(key);
    const source = arena.source(slot);
    const from =
      source === SlotSource.peer ? 'peer' : source === SlotSource.origin ? 'origin' : 'disk';
    blobs.set(key, {
      stored,
      shown: {
        blob: key,
        receivedBytes: storedBytes(stored, totalBytes),
        sentBytes: 0,
        totalBytes,
        source: from,
        clients: 0,
        nodes: 0,
      },
    });
  }
  for (const { blob, clients, nodes, sentBytes, totalBytes } of reads()) {
    const known = blobs.get(blob)?.shown;
    if (known !== undefined) Object.assign(known, { clients, nodes, sentBytes });
    else {
      const stored = loader.onDisk(blob);
      const size = facts.totalOf(blob) ?? totalBytes;
      const receivedBytes = storedBytes(stored, size);
      const shown = { blob, receivedBytes, sentBytes, totalBytes: size, clients, nodes };
      blobs.set(blob, { stored, shown: { ...shown, source: 'memory' } });
    }
  }
  if (blobs.size === 0) return [];
  for (const { key, shard, phase, slot, lengthBytes } of loader.residents()) {
    const blob = blobs.get(key);
    if (blob === undefined || slot < 0 || blob.stored.has(shard)) continue;
    blob.shown.receivedBytes += phase === 'complete' ? lengthBytes : arena.received(slot);
  }
  return [...blobs.values()].map(({ shown }) => shown);
}

/** All shards are of one size but the last. */
function storedBytes(stored: ReturnType<ShardLoader['onDisk']>, totalBytes: number | null): number {
  if (totalBytes === null) return 0;
  const last = Math.ceil(totalBytes / SHARD_BYTES) - 1;
  return (
    stored.count * SHARD_BYTES - (stored.has(last) ? (last + 1) * SHARD_BYTES - totalBytes : 0)
  );
}
