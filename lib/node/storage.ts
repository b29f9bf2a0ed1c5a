import { CacheStore } from '../cache/store.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { Residency } from '../control/shards/residency.ts';
import { Scrubber } from '../control/shards/scrubber.ts';
import { FrontReads } from '../control/threads/front-reads.ts';
import { startPools, type Pools } from '../control/threads/pools.ts';
import type { Observation } from '../control/watch/observation.ts';
import { ShoalError, type WireError } from '../errors.ts';
import { Arena } from '../io/arena.ts';
import { Doorbells } from '../io/doorbell.ts';
import { writePinned } from '../io/slab.ts';
import { openSlabFiles, type SlabFiles } from '../io/slab-files.ts';
import type { OriginOptions } from '../origin/connections.ts';
import type { Vouching } from '../registry/vouching.ts';
import type { RuntimeStore } from '../runtime-store/runtime-store.ts';
import { descriptorLimit } from './descriptors.ts';
import { DESCRIPTORS_AMPLE } from './limits.ts';
import { openRuntimeStore } from './runtime-store.ts';

/** Disk evictions are counted this often. */
const EVICTIONS_COUNTED_MS = 1_000;

/** Memory, disk, and the threads that fill and read them. */
export interface Storage {
  arena: Arena;
  doorbells: Doorbells;
  residency: Residency;
  pools: Pools;
  frontReads: FrontReads;
  store: CacheStore;
  /** null: the container runtime's content store is not used. */
  runtime: RuntimeStore | null;
  /** Before a node drains: no background work from here on. */
  settle(): void;
  close(): Promise<void>;
}

/** Opens memory and disk and starts the threads. Throws CACHE_DIR_UNUSABLE. */
export async function openStorage(
  { CacheConfig }: Config,
  origin: OriginOptions,
  frontCount: number,
  vouching: Vouching,
  observation: Observation,
  clock: Clock,
): Promise<Storage> {
  const { log, meter } = observation;
  const arena = Arena.create(CacheConfig.memory);
  const doorbells = Doorbells.create(frontCount);
  const residency = new Residency(arena, doorbells, clock, (kind) =>
    meter.count(`eviction.${kind}`),
  );
  const files = await openSlabFiles({
    dir: CacheConfig.dir,
    capacityBytes: CacheConfig.capacity,
    direct: CacheConfig.aioEnable === 1,
    log,
  });
  const frontReads = new FrontReads();
  const pools = startPools(
    {
      arena: arena.shared,
      doorbells: doorbells.shared,
      meters: observation.meters,
      origin,
      slabFd: files.slabFd,
      directFd: files.directFd,
    },
    { arena: arena.shared, meters: observation.meters },
    vouching,
    {
      startAll: descriptorLimit() < DESCRIPTORS_AMPLE,
      frontReads,
      clock,
      lost(thread, error) {
        meter.count(`thread.${thread}`);
        log.error({ err: error, thread }, `a ${thread} thread ended; starting another one`);
      },
    },
  );
  const store = openStore(files, CacheConfig.checkReads, { arena, pools }, observation, clock);
  const runtime = await openRuntimeStore(CacheConfig.runtimeStore, {
    slotCount: arena.slotCount,
    isCrowded: () => residency.waiting > 0,
    pools,
    log,
    clock,
  });
  runtime?.start();
  const scrubber = new Scrubber({
    clock,
    arena,
    residency,
    store,
    scrubbed: (outcome) => meter.count(outcome === 'ok' ? 'scrub.ok' : 'scrub.corrupt'),
  });
  let counted = 0;
  const evictions = setInterval(() => {
    const { evictions: all } = store.stats();
    meter.count('eviction.disk', all - counted);
    counted = all;
  }, EVICTIONS_COUNTED_MS);
  return {
    arena,
    doorbells,
    residency,
    pools,
    frontReads,
    store,
    runtime,
    settle() {
      clearInterval(evictions);
      scrubber.close();
    },
    async close() {
      runtime?.close();
      await store.close();
      await pools.close();
      await files.close();
    },
  };
}

/** The cache of a node. Each failure of the disk is counted. */
export function openStore(
  files: Pick<SlabFiles, 'slotCount' | 'entryCount' | 'table' | 'writeHeader'>,
  checkReads: Config['CacheConfig']['checkReads'],
  { arena, pools }: Pick<Storage, 'arena' | 'pools'>,
  { meter, log }: Pick<Observation, 'meter' | 'log'>,
  clock: Clock,
): CacheStore {
  const failed = (error: WireError, what: 'read' | 'write'): ShoalError => {
    const isFull = error.system === 'ENOSPC' || error.system === 'EDQUOT';
    meter.count(isFull ? 'cacheError.space' : `cacheError.${what}`);
    return ShoalError.fromWire(error);
  };
  return CacheStore.open({
    slotCount: files.slotCount,
    entryCount: files.entryCount,
    table: files.table,
    checkReads,
    clock,
    log,
    io: {
      async read(job) {
        const result = await pools.run({ kind: 'diskRead', ...job });
        if (result.kind === 'failed') throw failed(result.error, 'read');
        if (result.outcome === 'corrupt') meter.count('cacheError.checksum');
        return result.outcome;
      },
      write: (job) =>
        writePinned(arena, job, async () => {
          const result = await pools.run({ kind: 'diskWrite', ...job });
          if (result.kind === 'failed') throw failed(result.error, 'write');
          return result.outcome;
        }),
      writeHeader: (job) => files.writeHeader(job),
    },
  });
}
