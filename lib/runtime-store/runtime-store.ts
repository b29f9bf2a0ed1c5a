import { LRUCache } from 'lru-cache';
import { IoQueue } from '../cache/io-queue.ts';
import type { StoredShard } from '../cache/store.ts';
import type { Clock, Timer } from '../clock.ts';
import type { FileReadJob, FileReadOutcome } from '../io/file-part.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { ContentFile, ContentStore } from './content-store.ts';
import { IngestWatch } from './ingest-watch.ts';
import { KeptBlob } from './kept-blob.ts';
import {
  RUNTIME_BLOBS_MAX,
  RUNTIME_CHECKSUMS_BYTES_MAX,
  RUNTIME_DISCARD_MS,
  RUNTIME_IO_DEPTH,
  RUNTIME_MISS_MS,
  RUNTIME_SCAN_MS,
  RUNTIME_WATCH_MS,
} from './limits.ts';
import { Report, type RuntimeLog } from './report.ts';
import { Retention } from './retention.ts';
import { Verification, type FileHasher, type Verified } from './verification.ts';

interface RuntimeStoreParts {
  content: ContentStore;
  /** Rejects when the file cannot be read. */
  read(job: FileReadJob): Promise<FileReadOutcome>;
  hasher: FileHasher;
  clock: Clock;
  log: RuntimeLog;
  /** Slots of memory, of which shards that wait for the runtime may use a share. */
  slotCount: number;
  /** Whether shards wait for a slot of memory now. */
  isCrowded(): boolean;
}

interface RuntimeStoreStats {
  dir: string;
  state: 'starting' | 'reading' | 'unreadable';
  /** Blobs of which shards can be read. */
  blobs: number;
  /** Blobs that wait to be verified. */
  unverified: number;
  /** The runtime has been seen to drop layers: they are written to the cache. */
  dropsLayers: boolean;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * The container runtime's content store as a tier: what the runtime has on disk, or is writing, is
 * read there and not written to the cache. The store belongs to the runtime. A shard from it counts
 * only if it has the checksum that is known for it, from the swarm or from a verification of the
 * whole blob. No method rejects: whatever is wrong with the store is a miss.
 */
export class RuntimeStore {
  readonly #parts: RuntimeStoreParts;
  readonly #blobs = new LRUCache<string, KeptBlob>({
    max: RUNTIME_BLOBS_MAX,
    maxSize: RUNTIME_CHECKSUMS_BYTES_MAX,
    sizeCalculation: (blob) => blob.memoryBytes,
    dispose: (blob) => blob.giveUp(),
  });
  /** Look-ups under way and, for RUNTIME_MISS_MS, those that found nothing. */
  readonly #finding = new LRUCache<string, Promise<KeptBlob | null>>({ max: RUNTIME_BLOBS_MAX });
  /** Files whose content is not what their digest says. */
  readonly #distrusted = new LRUCache<string, string>({ max: RUNTIME_BLOBS_MAX });
  readonly #retention = new Retention();
  readonly #report: Report;
  readonly #ingests: IngestWatch;
  readonly #verification: Verification;
  readonly #queue: IoQueue;
  readonly #timers = new Set<Timer>();
  #offersChanged: () => void = () => undefined;
  #state: RuntimeStoreStats['state'] = 'starting';
  #closed = false;

  constructor(parts: RuntimeStoreParts) {
    this.#parts = parts;
    this.#report = new Report(parts.log, parts.content.dir);
    this.#ingests = new IngestWatch(parts, (blob) => this.#look(blob));
    this.#verification = new Verification(parts.hasher, parts.clock, (digest, file, result) =>
      this.#verified(digest, file, result),
    );
    this.#queue = new IoQueue(RUNTIME_IO_DEPTH, parts.clock);
  }

  /** The directory of the content store. */
  get dir(): string {
    return this.#parts.content.dir;
  }

  /** Reads the list of blobs, then again and again. */
  start(): void {
    void this.#repeat(RUNTIME_SCAN_MS, () => this.#scan());
    this.#after(RUNTIME_WATCH_MS, () => this.#repeat(RUNTIME_WATCH_MS, () => this.#watch()));
  }

  has(key: string, shard: number): StoredShard | undefined {
    const blob = this.#blobs.get(key);
    if (blob === undefined || !blob.covers(shard)) return undefined;
    return {
      lengthBytes: blob.lengthOf(shard),
      totalBytes: blob.totalBytes,
      checksum: blob.checksumOf(shard),
    };
  }

  shardsOf(key: string): { count: number; has(shard: number): boolean } {
    const blob = this.#blobs.peek(key);
    return { count: blob?.readable ?? 0, has: (shard) => blob?.covers(shard) === true };
  }

  /** The size of a blob of which the runtime has something. */
  totalOf(key: string): number | undefined {
    const blob = this.#blobs.peek(key);
    return blob?.file === null ? undefined : blob?.totalBytes;
  }

  /** Whole blobs whose checksums are all known, with sizes; none if the runtime drops layers. */
  *offers(): Generator<[key: string, totalBytes: number]> {
    if (this.#retention.drops) return;
    for (const blob of this.#blobs.values())
      if (blob.file?.kind === 'blob' && blob.isKnown) yield [blob.digest, blob.totalBytes];
  }

  /** Calls `changed` when there is something new to offer. */
  watchOffers(changed: () => void): void {
    this.#offersChanged = changed;
  }

  /** A blob that cannot be read here yet was requested: it is verified before others. */
  wanted(key: string): void {
    this.#verification.hurry(key);
  }

  /** Reads a shard into `slot`, which the caller has begun (`Arena.begin`). */
  async load(key: string, shard: number, slot: number): Promise<'ok' | 'miss'> {
    const blob = this.#blobs.get(key);
    const file = blob?.file ?? null;
    if (blob === undefined || file === null || !blob.covers(shard) || this.#closed) return 'miss';
    const job = {
      offsetBytes: shard * SHARD_BYTES,
      lengthBytes: blob.lengthOf(shard),
      slot,
      checksum: blob.checksumOf(shard),
    };
    const readFrom = ({ path }: ContentFile): Promise<FileReadOutcome> =>
      this.#queue.run('read', () => this.#parts.read({ ...job, path }));
    try {
      let outcome = await readFrom(file);
      if (outcome === 'ok') return 'ok';
      const now = await this.#parts.content.again(key, file);
      if (outcome === 'changed') {
        this.#changed(blob, file, now);
        return 'miss';
      }
      this.#seen(blob, now);
      const again = blob.file;
      if (again === null || !blob.covers(shard)) return 'miss';
      outcome = await readFrom(again);
      if (outcome === 'ok') return 'ok';
      this.#changed(blob, again, await this.#parts.content.again(key, again));
    } catch (error) {
      this.#unreadable(error);
    }
    return 'miss';
  }

  /**
   * A shard has become complete. Resolves true once it is in a file of the runtime, and false if
   * the runtime does not write it, or not soon, or does not keep its layers.
   */
  async keeps(key: string, shard: number, stored: StoredShard): Promise<boolean> {
    if (this.#closed || !DIGEST.test(key)) return false;
    const blob = await this.#locate(key, stored.totalBytes);
    if (blob === null) return false;
    blob.learn(shard, stored.checksum);
    const isKept = blob.covers(shard) || (await this.#ingests.written(blob, shard));
    if (!isKept || this.#retention.drops) return false;
    blob.spared = true;
    return true;
  }

  /**
   * The checksums that are known of the blob are wrong, or its size is. They are forgotten; the
   * next scan has the file verified if the runtime has committed it.
   */
  drop(key: string): void {
    this.#blobs.delete(key);
    this.#verification.remove(key);
  }

  stats(): RuntimeStoreStats {
    let blobs = 0;
    for (const blob of this.#blobs.values()) if (blob.file !== null) blobs += 1;
    return {
      dir: this.dir,
      state: this.#state,
      blobs,
      unverified: this.#verification.waiting,
      dropsLayers: this.#retention.drops,
    };
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#ingests.close();
    this.#verification.close();
    this.#blobs.clear();
  }

  /** The blob, if the runtime has it or is writing it now. */
  async #locate(digest: string, totalBytes: number): Promise<KeptBlob | null> {
    const known = this.#blobs.get(digest);
    if (known?.totalBytes === totalBytes && known.file !== null) return known;
    let finding = this.#finding.get(digest);
    if (finding === undefined) {
      finding = this.#find(digest, totalBytes);
      this.#finding.set(digest, finding);
    }
    const found = await finding;
    return found?.totalBytes === totalBytes && found.file !== null ? found : null;
  }

  async #find(digest: string, totalBytes: number): Promise<KeptBlob | null> {
    try {
      const file = await this.#parts.content.find(digest);
      if (
        file !== null &&
        this.#distrusted.get(digest) !== file.identity &&
        (file.kind === 'ingest' || file.sizeBytes === totalBytes)
      ) {
        const known = this.#blobs.peek(digest);
        const blob =
          known?.totalBytes === totalBytes
            ? known
            : new KeptBlob(digest, totalBytes, file, this.#parts.clock.nowMs());
        blob.seen(file, this.#parts.clock.nowMs());
        if (blob !== known) this.#blobs.set(digest, blob);
        this.#finding.delete(digest);
        return blob;
      }
    } catch (error) {
      this.#unreadable(error);
    }
    this.#after(RUNTIME_MISS_MS, () => this.#finding.delete(digest));
    return null;
  }

  async #look(blob: KeptBlob): Promise<void> {
    if (blob.file === null) return;
    try {
      this.#seen(blob, await this.#parts.content.again(blob.digest, blob.file));
    } catch (error) {
      blob.seen(null, this.#parts.clock.nowMs());
      this.#unreadable(error);
    }
  }

  /** Looks at ingests until they are committed or gone, and at commits until they prove to last. */
  async #watch(): Promise<void> {
    for (const blob of this.#blobs.values()) {
      if (blob.file?.kind === 'ingest' || blob.committedMs !== null) await this.#look(blob);
      if (blob.committedMs === null || blob.file === null) continue;
      const afterMs = this.#parts.clock.nowMs() - blob.committedMs;
      if (blob.file.isLayer === true && afterMs <= RUNTIME_DISCARD_MS) continue;
      blob.committedMs = null;
      if (blob.file.isLayer === true && this.#retention.stayed(afterMs)) this.#report.keepsLayers();
    }
  }

  #seen(blob: KeptBlob, now: ContentFile | null): void {
    const { file } = blob;
    blob.seen(now, this.#parts.clock.nowMs());
    if (file === null) return;
    if (blob.file === null) this.#lost(blob, file, now);
    else if (blob.file.kind === 'blob' && file.kind === 'ingest') this.#committed(blob);
  }

  /** A read of `file` gave other bytes than those that are known; `now`: what is there today. */
  #changed(blob: KeptBlob, file: ContentFile, now: ContentFile | null): void {
    // Another read of the same file may have found it, or a look another file in its place.
    if (blob.file?.identity !== file.identity) return;
    blob.seen(null, this.#parts.clock.nowMs());
    this.#lost(blob, file, now);
  }

  /**
   * `file` is gone, or `now` holds other bytes: it is not read until a scan finds it again. Each
   * file is reported once, by the look or read that finds it first.
   */
  #lost(blob: KeptBlob, file: ContentFile, now: ContentFile | null): void {
    if (now !== null) {
      if (this.#distrusted.get(blob.digest) === now.identity) return;
      this.#distrusted.set(blob.digest, now.identity);
      this.#report.changed(blob.digest, file);
      return;
    }
    // A complete ingest that is gone was committed and discarded between two looks.
    const isFresh =
      file.kind === 'blob' ? blob.committedMs !== null : file.sizeBytes === blob.totalBytes;
    const nowMs = this.#parts.clock.nowMs();
    const afterMs = nowMs - (blob.committedMs ?? nowMs);
    const isDropped = blob.spared && file.isLayer === true && isFresh;
    if (isDropped && this.#retention.disappeared(afterMs)) this.#report.dropsLayers();
    else if (!this.#retention.drops) this.#report.left(blob.digest, file);
  }

  /** What did not come through this node, as after an aborted pull, is verified. */
  #committed(blob: KeptBlob): void {
    if (blob.isKnown) this.#offersChanged();
    else if (blob.file !== null) this.#verification.add(blob.digest, blob.file);
  }

  async #scan(): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    try {
      const files = await this.#parts.content.blobs();
      if (this.#closed) return;
      if (this.#state !== 'reading') {
        this.#state = 'reading';
        this.#report.reading(files.size);
      }
      for (const blob of this.#blobs.values())
        // It may have been committed after the list was read.
        if (blob.file?.kind === 'blob' && !files.has(blob.digest)) await this.#look(blob);
      for (const [digest, file] of files) {
        const blob = this.#blobs.peek(digest);
        if (file.sizeBytes === 0 || this.#distrusted.get(digest) === file.identity) continue;
        if (blob?.totalBytes === file.sizeBytes) {
          const isLayer = blob.file?.isLayer ?? null;
          if (blob.file?.kind === 'ingest') this.#seen(blob, { ...file, isLayer });
          else blob.seen({ ...file, isLayer }, nowMs);
        }
        if (blob?.isKnown !== true) this.#verification.add(digest, file);
      }
    } catch (error) {
      if (!this.#closed) this.#unreadable(error);
    }
  }

  #verified(digest: string, file: ContentFile, result: Verified): void {
    if (this.#closed) return;
    if (result.kind === 'wrong') {
      this.#distrusted.set(digest, file.identity);
      this.#report.wrong(digest, file);
      return;
    }
    // It may have been removed. If it is still there, the next scan adds it again.
    if (result.kind === 'unreadable') return;
    const nowMs = this.#parts.clock.nowMs();
    let blob = this.#blobs.peek(digest);
    if (blob?.totalBytes !== file.sizeBytes)
      this.#blobs.set(digest, (blob = new KeptBlob(digest, file.sizeBytes, file, nowMs)));
    else if (blob.file?.kind !== 'blob') blob.seen(file, nowMs);
    for (const [shard, checksum] of result.checksums.entries()) blob.learn(shard, checksum);
    this.#offersChanged();
  }

  /** The store cannot be read: said once, and once more when it can be read again. */
  #unreadable(error: unknown): void {
    for (const blob of this.#blobs.values()) blob.seen(null, this.#parts.clock.nowMs());
    if (this.#state === 'unreadable') return;
    this.#state = 'unreadable';
    this.#report.unreadable(error);
  }

  async #repeat(everyMs: number, act: () => Promise<void>): Promise<void> {
    await act();
    this.#after(everyMs, () => this.#repeat(everyMs, act));
  }

  #after(delayMs: number, fire: () => unknown): void {
    if (this.#closed) return;
    const timer = this.#parts.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      void fire();
    });
    this.#timers.add(timer);
  }
}
