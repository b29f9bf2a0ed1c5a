import type { Clock } from '../clock.ts';
import {
  CACHE_DIRECT_QUEUE_MAX,
  CACHE_IO_DEPTH,
  CACHE_READ_FAILURES_MAX,
  CACHE_STALL_MS,
} from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import { shardLength } from '../shard.ts';
import { EMPTY_HEADER, encodeHeader } from './header.ts';
import { HeaderWriter } from './header-writer.ts';
import { DiskStalled, IoQueue } from './io-queue.ts';
import { blobIdOf } from './key.ts';
import { CachePlan } from './plan.ts';
import type { Entry } from './plan.ts';
import { recover } from './recovery.ts';
import type { CacheLog, ReadOutcome, SlabIo, WriteOutcome } from './slab-io.ts';
import { Suspension } from './suspension.ts';

/** What the store knows of one shard. */
export interface StoredShard {
  lengthBytes: number;
  /** The blob's size. */
  totalBytes: number;
  /** BLAKE3 of the shard, 32 bytes. */
  checksum: Uint8Array;
}

interface CacheStoreOptions {
  /**
   * 2 MiB slots in the slab, entries in the table, and the table's entries as they were found: from
   * openSlabFiles.
   */
  slotCount: number;
  entryCount: number;
  table: Buffer;
  io: SlabIo;
  clock: Clock;
  log: CacheLog;
  /**
   * `first`: a shard is checked at its first read after a restart; `always`: at every read from
   * disk. Default `first`.
   */
  checkReads?: 'first' | 'always';
  /** Jobs at the disk at once. */
  ioDepth?: number;
}

interface CacheStats {
  /** The slab's size: what the cache may hold. */
  allocatedBytes: number;
  /** Bytes of the slab in use, whole extents. */
  usedBytes: number;
  entries: number;
  blobs: number;
  evictions: number;
  /** Shards read from disk that did not fit their checksum. */
  corrupt: number;
  /** Failed reads and writes. */
  errors: number;
  suspended: boolean;
}

/**
 * The disk cache as control sees it: which shards are on disk, and their transfer to and from arena
 * slots. It decides (CachePlan) and performs I/O through the given SlabIo. One thread owns it. No
 * method rejects: a failing disk causes a `miss` or `skipped`, one log line and a count, and is
 * tried again after CACHE_RETRY_MS.
 */
export class CacheStore {
  readonly #plan: CachePlan;
  readonly #io: SlabIo;
  readonly #clock: Clock;
  readonly #log: CacheLog;
  readonly #checkAlways: boolean;
  readonly #queue: IoQueue;
  readonly #headers: HeaderWriter;
  readonly #reads: Suspension;
  readonly #writes: Suspension;
  readonly #inFlight = new Set<Promise<unknown>>();
  #generation = 0;
  #corrupt = 0;
  #errors = 0;
  #closed = false;
  /** Number of the entry scrubbed last. */
  #scrubbed = -1;

  private constructor(options: CacheStoreOptions, plan: CachePlan) {
    this.#plan = plan;
    this.#io = options.io;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#checkAlways = options.checkReads === 'always';
    this.#queue = new IoQueue(options.ioDepth ?? CACHE_IO_DEPTH, options.clock);
    this.#headers = new HeaderWriter((job) => this.#io.writeHeader(job));
    this.#reads = new Suspension(options.clock, CACHE_READ_FAILURES_MAX);
    this.#writes = new Suspension(options.clock, 1);
  }

  /**
   * A store over the shards that the table lists. Synchronous: a 200 GB table takes 0.5 s of CPU.
   */
  static open(options: CacheStoreOptions): CacheStore {
    const plan = new CachePlan(options.slotCount, options.entryCount);
    const { restored, rejected, generation, headers } = recover(options.table, plan);
    const store = new CacheStore(options, plan);
    store.#generation = generation;
    for (const { entry, bytes } of headers) store.#writeHeader(entry, bytes);
    if (restored + rejected > 0) {
      options.log.info(
        { shards: restored, rejected, usedBytes: plan.allocator.usedBytes },
        'cache recovered',
      );
    }
    return store;
  }

  /**
   * A stored shard's sizes and checksum; undefined if it is not stored or the disk does not answer.
   */
  has(key: string, shard: number): StoredShard | undefined {
    const entry = this.#stored(key, shard);
    if (entry === undefined) return undefined;
    return {
      lengthBytes: entry.lengthBytes,
      totalBytes: entry.totalBytes,
      checksum: this.#plan.checksumOf(entry),
    };
  }

  /**
   * The shards of a blob that are stored or being stored: their count, and a membership test.
   * Constant time.
   */
  shardsOf(key: string): { count: number; has(shard: number): boolean } {
    const id = blobIdOf(key);
    return {
      count: this.#plan.countOf(id),
      has: (shard) => this.#plan.find(id, shard) !== undefined,
    };
  }

  /** The size of a blob of which at least one shard is stored or being stored. */
  totalOf(key: string): number | undefined {
    return this.#plan.totalOf(blobIdOf(key));
  }

  /** Counts a use of a shard that was served from memory, so that eviction knows it is wanted. */
  touch(key: string, shard: number): void {
    const entry = this.#plan.find(blobIdOf(key), shard);
    if (entry !== undefined) this.#plan.touch(entry);
  }

  /**
   * Reads a shard into `slot`, which the caller has begun (`Arena.begin`). `miss`: not stored,
   * corrupt, or the disk failed.
   */
  load(key: string, shard: number, slot: number): Promise<'ok' | 'miss'> {
    const entry = this.#stored(key, shard);
    const ticket = entry === undefined ? undefined : this.#reads.enter();
    if (entry === undefined || ticket === undefined) return Promise.resolve('miss');
    this.#plan.touch(entry);
    this.#plan.pin(entry);
    const isChecked = !entry.verified || this.#checkAlways;
    return this.#track(this.#load(key, entry, slot, ticket, isChecked));
  }

  /**
   * Reads the next shard in the order of the table into `slot` and checks it, to find bit rot
   * before a client needs the shard. `idle`: nothing was read, because nothing is stored, the last
   * shard was the end of a round, or the disk has other work.
   */
  scrub(slot: number): Promise<'ok' | 'miss' | 'idle'> {
    if (this.#closed || !this.#reads.open || this.#queue.isBusy) return Promise.resolve('idle');
    const entry = this.#plan.storedAfter(this.#scrubbed);
    this.#scrubbed = entry?.number ?? -1;
    const ticket = entry === undefined ? undefined : this.#reads.enter();
    if (entry === undefined || ticket === undefined) return Promise.resolve('idle');
    this.#plan.pin(entry);
    return this.#track(this.#load(entry.id, entry, slot, ticket, true));
  }

  /**
   * Writes a complete shard from `slot` as long as that holds `generation`. `skipped`: no room, the
   * slot has moved on, the same shard is just being written, or the disk fails. A shard known with
   * other content takes its whole blob's place.
   */
  save(
    key: string,
    shard: number,
    slot: number,
    generation: number,
    stored: StoredShard,
  ): Promise<'stored' | 'skipped'> {
    const { lengthBytes, totalBytes, checksum } = stored;
    if (this.#closed || lengthBytes <= 0 || lengthBytes !== shardLength(totalBytes, shard))
      return Promise.resolve('skipped');
    const id = blobIdOf(key);
    const present = this.#plan.find(id, shard);
    const knownBytes = this.#plan.totalOf(id);
    if (present?.state === 'writing') return Promise.resolve('skipped');
    if (
      present?.totalBytes === totalBytes &&
      Buffer.compare(this.#plan.checksumOf(present), checksum) === 0
    ) {
      return Promise.resolve('stored');
    }
    if (present !== undefined || (knownBytes !== undefined && knownBytes !== totalBytes))
      this.#dropId(id);
    const ticket = this.#writes.enter();
    if (ticket === undefined) return Promise.resolve('skipped');
    const { entry, evicted } = this.#plan.reserve(id, shard, totalBytes, lengthBytes);
    for (const number of evicted) this.#writeHeader(number, EMPTY_HEADER);
    if (entry === null) {
      this.#writes.ended(ticket, 'void');
      return Promise.resolve('skipped');
    }
    return this.#track(this.#save(entry, slot, generation, checksum, ticket));
  }

  /** Forgets a blob, for good: its shards do not come back after a restart. */
  drop(key: string): void {
    this.#dropId(blobIdOf(key));
  }

  stats(): CacheStats {
    return {
      allocatedBytes: this.#plan.allocator.slotCount * SHARD_BYTES,
      usedBytes: this.#plan.allocator.usedBytes,
      entries: this.#plan.used,
      blobs: this.#plan.blobCount,
      evictions: this.#plan.evictions,
      corrupt: this.#corrupt,
      errors: this.#errors,
      suspended: this.#writes.active || this.#reads.active,
    };
  }

  /**
   * Resolves when nothing is in flight any more, or a hanging disk has had its time
   * (CACHE_STALL_MS); from the call on, every load misses and every save is skipped.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const { promise: late, resolve } = Promise.withResolvers<'late'>();
    const timer = this.#clock.after(CACHE_STALL_MS, () => resolve('late'));
    await Promise.race([this.idle(), late]);
    timer.cancel();
  }

  /** Resolves when nothing is in flight any more, headers included. */
  async idle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.allSettled(this.#inFlight);
  }

  #stored(key: string, shard: number): Entry | undefined {
    if (this.#closed || !this.#reads.open) return undefined;
    const entry = this.#plan.find(blobIdOf(key), shard);
    return entry?.state === 'stored' ? entry : undefined;
  }

  async #load(
    key: string,
    entry: Entry,
    slot: number,
    ticket: 'plain' | 'probe',
    isChecked: boolean,
  ): Promise<'ok' | 'miss'> {
    const checksum = isChecked ? this.#plan.checksumOf(entry) : null;
    const job = {
      fileOffsetBytes: entry.extent.offsetBytes,
      lengthBytes: entry.lengthBytes,
      slot,
      checksum,
    };
    let outcome: ReadOutcome | 'failed' | 'stalled';
    try {
      outcome = await this.#queue.run('read', () => this.#io.read(job));
      this.#say(this.#reads.ended(ticket, 'ok'), 'read');
    } catch (error) {
      outcome = error instanceof DiskStalled ? 'stalled' : 'failed';
      this.#errors++;
      this.#say(
        this.#reads.ended(ticket, outcome === 'stalled' ? 'hopeless' : 'failed'),
        'read',
        error,
      );
    }
    if (outcome === 'corrupt') {
      this.#corrupt++;
      this.#log.warn(
        { blob: key, shard: entry.shard },
        'cached shard does not fit its checksum: dropped',
      );
    }
    if (outcome === 'ok') entry.verified = true;
    // A stalled disk says nothing about this shard: it may be readable later.
    else if (outcome !== 'stalled') this.#forget(entry);
    // The blob was dropped during the read: its bytes must not be used.
    const answer = outcome === 'ok' && entry.state === 'stored' ? 'ok' : 'miss';
    this.#plan.unpin(entry);
    return answer;
  }

  async #save(
    entry: Entry,
    slot: number,
    generation: number,
    checksum: Uint8Array,
    ticket: 'plain' | 'probe',
  ): Promise<'stored' | 'skipped'> {
    const job = {
      fileOffsetBytes: entry.extent.offsetBytes,
      lengthBytes: entry.lengthBytes,
      slot,
      generation,
    };
    let outcome: WriteOutcome | 'failed';
    try {
      outcome = await this.#queue.run('write', () =>
        this.#io.write({
          ...job,
          isBuffered: this.#queue.waiting('write') >= CACHE_DIRECT_QUEUE_MAX,
        }),
      );
      this.#say(this.#writes.ended(ticket, outcome === 'written' ? 'ok' : 'void'), 'write');
    } catch (error) {
      outcome = 'failed';
      this.#errors++;
      this.#say(this.#writes.ended(ticket, 'failed'), 'write', error);
    }
    if (outcome !== 'written') {
      this.#plan.abandon(entry);
      // The number may belong to an evicted entry whose header is still on disk.
      this.#writeHeader(entry.number, EMPTY_HEADER);
      return 'skipped';
    }
    if (!this.#plan.commit(entry, checksum)) {
      this.#writeHeader(entry.number, EMPTY_HEADER);
      return 'skipped';
    }
    const { id, shard, totalBytes, lengthBytes, extent } = entry;
    const header = {
      id,
      shard,
      totalBytes,
      lengthBytes,
      offsetBytes: extent.offsetBytes,
      extentBytes: extent.lengthBytes,
      generation: ++this.#generation,
      checksum,
    };
    await this.#writeHeader(entry.number, encodeHeader(header));
    return 'stored';
  }

  #forget(entry: Entry): void {
    if (entry.state === 'doomed') return;
    this.#plan.forget(entry);
    this.#writeHeader(entry.number, EMPTY_HEADER);
  }

  #dropId(id: string): void {
    for (const number of this.#plan.drop(id)) this.#writeHeader(number, EMPTY_HEADER);
  }

  /** Never rejects: without its header the shard is lost at the next restart, not now. */
  #writeHeader(entry: number, bytes: Uint8Array): Promise<void> {
    const written = this.#headers.write(entry, bytes).catch((error: unknown) => {
      this.#errors++;
      this.#say(this.#writes.ended('plain', 'failed'), 'write', error);
    });
    return this.#track(written);
  }

  #say(change: 'suspended' | 'resumed' | null, what: 'read' | 'write', error?: unknown): void {
    if (change === 'suspended')
      this.#log.warn(
        { reason: String(error) },
        `cache disk fails on ${what}: going on from memory`,
      );
    if (change === 'resumed') this.#log.info({}, `cache disk works again on ${what}`);
  }

  #track<T>(operation: Promise<T>): Promise<T> {
    this.#inFlight.add(operation);
    void operation.finally(() => this.#inFlight.delete(operation));
    return operation;
  }
}
