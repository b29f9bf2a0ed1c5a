import type { CacheStore } from '../cache/store.ts';
import { SlotSource, type Arena } from '../io/arena.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { Readiness } from '../telemetry/health.ts';
import type { BlobInFlight, StatusInputs } from '../telemetry/status.ts';
import type { BlobFacts } from './shards/blob-facts.ts';
import type { LayerGate } from './serve/layer-gate.ts';
import type { ShardLoader } from './shards/loader.ts';
import type { Pools } from './threads/pools.ts';
import type { Residency } from './shards/residency.ts';
import type { SwarmDriver } from './peers/swarm-driver.ts';

interface Parts {
  readiness: Readiness;
  arena: Arena;
  residency: Residency;
  store: CacheStore;
  loader: ShardLoader;
  facts: BlobFacts;
  layers: LayerGate;
  pools: Pools;
  swarm: SwarmDriver;
}

/** The node's state at the moment it is asked, as the telemetry wants it. */
export function statusInputs(parts: Parts): () => StatusInputs {
  const { readiness, arena, residency, store, layers, pools, swarm } = parts;
  return () => {
    const { allocatedBytes, usedBytes, entries, suspended } = store.stats();
    return {
      readiness,
      cache: { allocatedBytes, usedBytes, entries, suspended },
      arena: { slots: arena.slotCount, used: residency.usedSlots },
      peers: swarm.peers(),
      inFlight: blobsInFlight(parts),
      queues: { layers: layers.waiting, arena: residency.waiting, pool: pools.queued() },
      trees: swarm.treeSummary(),
    };
  };
}

/**
 * Blobs of which a shard is on its way, with what of them is here already. Passes over what is in
 * memory, so that its cost is bounded by the arena, whatever the sizes of the blobs.
 */
export function blobsInFlight(
  parts: Pick<Parts, 'arena' | 'loader' | 'facts' | 'store'>,
): BlobInFlight[] {
  const { arena, loader, facts, store } = parts;
  const blobs = new Map<
    string,
    { shown: BlobInFlight; stored: ReturnType<CacheStore['shardsOf']> }
  >();
  for (const { key, phase, slot } of loader.residents()) {
    if (phase === 'complete' || slot < 0 || blobs.has(key)) continue;
    const stored = store.shardsOf(key);
    const totalBytes = facts.totalOf(key);
    const source = arena.source(slot);
    const from =
      source === SlotSource.disk ? 'disk' : source === SlotSource.peer ? 'peer' : 'origin';
    blobs.set(key, {
      stored,
      shown: {
        blob: key,
        receivedBytes: storedBytes(stored, totalBytes),
        totalBytes,
        source: from,
      },
    });
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
function storedBytes(
  stored: ReturnType<CacheStore['shardsOf']>,
  totalBytes: number | null,
): number {
  if (totalBytes === null) return 0;
  const last = Math.ceil(totalBytes / SHARD_BYTES) - 1;
  return (
    stored.count * SHARD_BYTES - (stored.has(last) ? (last + 1) * SHARD_BYTES - totalBytes : 0)
  );
}
