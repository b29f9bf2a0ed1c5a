import type { FileHandle } from 'node:fs/promises';
import { CacheStore } from '../../lib/cache/store.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Arena } from '../../lib/io/arena.ts';
import { readAt, writeAt } from '../../lib/io/aligned.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import type { SlabFiles } from '../../lib/io/slab-files.ts';
import { localSlabIo } from '../../lib/io/slab-local.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

/** Gigabytes (10^9) per second, and CPU-seconds of this process per gigabyte. */
export interface Rate {
  gigabytesPerSecond: number;
  cpuSecondsPerGB: number;
}

/** Runs `work` over the numbers below `count`, `depth` at a time, and rates it as `bytes` moved. */
export async function rate(
  bytes: number,
  count: number,
  depth: number,
  work: (number: number, lane: number) => Promise<void>,
): Promise<Rate> {
  let next = 0;
  const lane = async (slot: number): Promise<void> => {
    while (next < count) await work(next++, slot);
  };
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  await Promise.all(Array.from({ length: depth }, (_, slot) => lane(slot)));
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    gigabytesPerSecond: bytes / 1e9 / seconds,
    cpuSecondsPerGB: (user + system) / 1e6 / (bytes / 1e9),
  };
}

/**
 * The disk's own rate: blocks of one size, in order, between a file and slots of the arena, nothing
 * else done.
 */
export function rawRate(
  op: 'read' | 'write',
  file: FileHandle,
  arena: Arena,
  fileBytes: number,
  blockBytes: number,
  depth: number,
): Promise<Rate> {
  return rate(fileBytes, fileBytes / blockBytes, depth, async (block, slot) => {
    const bytes = arena.bytes(slot, 0, blockBytes);
    const call =
      op === 'read'
        ? readAt(file.fd, bytes, 0, blockBytes, block * blockBytes)
        : writeAt(file.fd, bytes, 0, blockBytes, block * blockBytes);
    const moved = await call.then((result) =>
      'bytesRead' in result ? result.bytesRead : result.bytesWritten,
    );
    if (moved !== blockBytes) throw new Error(`a ${op} of ${blockBytes} bytes moved ${moved}`);
  });
}

const BLOB = 'benchmark';
const quiet = { info: () => undefined, warn: () => undefined };

/**
 * The store's rates over the same disk: `saveAll` writes shards with their headers, `loadAll` reads
 * them in order.
 */
export class StoreRates {
  readonly #files: SlabFiles;
  readonly #arena: Arena;
  readonly #shards: number;
  readonly #depth: number;
  /**
   * Shards under way: more than the disk takes at once, as in a node, so that writing a header
   * leaves no gap.
   */
  readonly #lanes: number;
  #store: CacheStore;

  constructor(files: SlabFiles, arena: Arena, shards: number, depth: number) {
    this.#files = files;
    this.#arena = arena;
    this.#shards = shards;
    this.#depth = depth;
    this.#lanes = 2 * depth;
    this.#store = this.#open(files.table);
  }

  #open(table: Buffer): CacheStore {
    const { slotCount, entryCount } = this.#files;
    const io = localSlabIo(this.#files, this.#arena);
    return CacheStore.open({
      slotCount,
      entryCount,
      table,
      io,
      clock: systemClock,
      log: quiet,
      ioDepth: this.#depth,
    });
  }

  async saveAll(): Promise<Rate> {
    this.#store.drop(BLOB);
    // The headers of what was there are emptied before the clock starts.
    await this.#store.idle();
    const generations: number[] = [];
    const checksums: Uint8Array[] = [];
    for (let slot = 0; slot < this.#lanes; slot++) {
      generations.push(this.#arena.generation(slot));
      checksums.push(checksumOf(this.#arena.bytes(slot)));
    }
    const totalBytes = this.#shards * SHARD_BYTES;
    return rate(totalBytes, this.#shards, this.#lanes, async (shard, slot) => {
      const stored = { lengthBytes: SHARD_BYTES, totalBytes, checksum: checksums[slot]! };
      if ((await this.#store.save(BLOB, shard, slot, generations[slot]!, stored)) !== 'stored')
        throw new Error(`shard ${shard} was not stored`);
    });
  }

  async loadAll(): Promise<Rate> {
    return rate(this.#shards * SHARD_BYTES, this.#shards, this.#lanes, async (shard, slot) => {
      if ((await this.#store.load(BLOB, shard, slot)) !== 'ok')
        throw new Error(`shard ${shard} could not be read back`);
    });
  }

  /** As after a restart: the index rebuilt from the table on disk, every first read checked. */
  async restart(readTable: () => Promise<Buffer>): Promise<void> {
    await this.close();
    this.#store = this.#open(await readTable());
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
