import type { CacheStore } from '../cache/store.ts';
import { SlotSource, type Arena } from '../io/arena.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { Readiness } from '../telemetry/health.ts';
import type { BlobInFlight, StatusInputs } from '../telemetry/status.ts';
import type { BlobFacts } from './blob-facts.ts';
import type { LayerGate } from './layer-gate.ts';
import type { ShardLoader } from './loader.ts';
import type { Pools } from './pools.ts';
import type { Residency } from './residency.ts';
import type { SwarmDriver } from './swarm-driver.ts';

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
  const { readiness, arena, residency, store, loader, facts, layers, pools, swarm } = parts;
  return () => {
    const { allocatedBytes, usedBytes, entries, suspended } = store.stats();
    return {
      readiness,
      cache: { allocatedBytes, usedBytes, entries, suspended },
      arena: { slots: arena.slotCount, used: residency.usedSlots },
      peers: swarm.peers(),
      inFlight: blobsInFlight(arena, loader, facts),
      queues: { layers: layers.waiting, arena: residency.waiting, pool: pools.queued() },
      trees: swarm.treeSummary(),
    };
  };
}

/** Blobs of which a shard is on its way, with what of them is here already. */
function blobsInFlight(arena: Arena, loader: ShardLoader, facts: BlobFacts): BlobInFlight[] {
  const blobs = new Map<string, BlobInFlight>();
  for (const resident of loader.loading) {
    if (resident.slot < 0) continue;
    let blob = blobs.get(resident.key);
    if (blob === undefined) {
      const totalBytes = facts.totalOf(resident.key);
      const source = arena.source(resident.slot);
      blob = { blob: resident.key, receivedBytes: completeBytes(resident.key, totalBytes, loader), totalBytes, source: source === SlotSource.disk ? 'disk' : source === SlotSource.peer ? 'peer' : 'origin' };
      blobs.set(resident.key, blob);
    }
    blob.receivedBytes += arena.received(resident.slot);
  }
  return [...blobs.values()];
}

function completeBytes(key: string, totalBytes: number | null, loader: ShardLoader): number {
  if (totalBytes === null) return 0;
  let bytes = 0;
  for (let shard = 0; shard * SHARD_BYTES < totalBytes; shard++) if (loader.has(key, shard)) bytes += Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
  return bytes;
}
