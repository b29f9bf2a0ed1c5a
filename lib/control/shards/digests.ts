import { LRUCache } from 'lru-cache';
import type { Clock } from '../../clock.ts';
import {
  BLOB_DIGESTS_MAX,
  BLOB_FACTS_MAX,
  DIGEST_AHEAD_SHARDS,
  DIGEST_FIRST_SHARDS,
  DIGEST_JOB_SHARDS_MAX,
  DIGEST_PATIENCE_MS,
  DIGEST_STARTS_OVER_MAX,
} from '../limits.ts';
import { SHARD_BYTES } from '../../limits.ts';
import type { DigestJob, DigestResult } from '../../workers/blob-hashes.ts';
import type { Arena } from '../../io/arena.ts';
import type { ShardLoader } from './loader.ts';
import type { Interest, Resident, FetchOptions } from './resident.ts';

interface Followed {
  totalBytes: number;
  shards: number;
  /** The next shard to hash. */
  next: number;
  busy: boolean;
  /** When `next` last moved. */
  movedMs: number;
  /** Shards from `next` up to this one are known to be here. */
  seen: number;
  /** How often the hash was lost with its thread, or was to move to another one. */
  startsOver: number;
  /** The shard being read back from disk to be hashed. */
  back: { resident: Resident; interest: Interest } | null;
}

interface DigestParts {
  run(job: DigestJob): Promise<DigestResult>;
  loader: ShardLoader;
  arena: Pick<Arena, 'tryPin' | 'unpin'>;
  clock: Clock;
  /** The digest that a blob must have; null: none is known. */
  digestOf(key: string): string | null;
  /** The whole blob has its digest. */
  held(key: string, totalBytes: number): void;
  /** The whole blob has another digest: drop everything of it. */
  broken(key: string): void;
}

/** Shards are read back for hashing only from memory or disk, never fetched. */
const NO_WAY: FetchOptions = {
  origin: null,
  sliceBytes: 0,
  digest: null,
  requestId: '',
  onBehalf: null,
};

/**
 * Checks whole blobs against their digest (docs/SPEC.md 2.3), shard by shard in order, while they
 * are in memory anyway. A shard that arrived out of order is hashed in its turn. If it has left
 * memory by then, it is read back from disk, but only once the blob is complete: a blob read in
 * pieces costs nothing.
 */
export class Digests {
  readonly #parts: DigestParts;
  readonly #followed: LRUCache<string, Followed>;
  readonly #held = new LRUCache<string, true>({ max: BLOB_FACTS_MAX });
  #hasBegun = false;

  constructor(parts: DigestParts) {
    this.#parts = parts;
    this.#followed = new LRUCache<string, Followed>({
      max: BLOB_DIGESTS_MAX,
      dispose: (_followed, key, reason) => {
        if (reason === 'evict') void parts.run({ kind: 'forget', key });
      },
    });
  }

  /**
   * A shard of a blob of `totalBytes` has become complete here; `fromDisk`: it was already stored.
   */
  completed(resident: Resident, totalBytes: number, fromDisk = false): void {
    const { key } = resident;
    // A blob of one shard has been checked where it was received.
    if (this.#parts.digestOf(key) === null || totalBytes <= SHARD_BYTES || this.#held.has(key))
      return;
    let followed = this.#followed.get(key);
    // A blob that was on disk is not read back whole because one shard is read: its shards are
    // checked one by one.
    if (followed === undefined && fromDisk) return;
    if (followed === undefined)
      this.#followed.set(
        key,
        (followed = {
          totalBytes,
          shards: Math.ceil(totalBytes / SHARD_BYTES),
          next: 0,
          busy: false,
          movedMs: this.#parts.clock.nowMs(),
          seen: 0,
          startsOver: 0,
          back: null,
        }),
      );
    void this.#advance(key, followed);
  }

  /**
   * Whether the shard is about to be hashed. If it is evicted first, it must be read back from
   * disk.
   */
  isAwaited({ key, shard }: Resident): boolean {
    const followed = this.#followed.peek(key);
    if (
      followed === undefined ||
      shard < followed.next ||
      shard >= followed.next + DIGEST_AHEAD_SHARDS
    )
      return false;
    return this.#parts.clock.nowMs() - followed.movedMs < DIGEST_PATIENCE_MS;
  }

  async #advance(key: string, followed: Followed): Promise<void> {
    if (followed.busy) return;
    followed.busy = true;
    while (followed.next < followed.shards && this.#followed.peek(key) === followed) {
      const first = this.#next(key, followed);
      if (first === null) break;
      const here = [first, ...this.#behind(key, followed)];
      // The first job may start a thread, which is not to hold up the first shards of a pull.
      const mayWait = !this.#hasBegun && here.length < DIGEST_FIRST_SHARDS;
      if (mayWait && !this.#isHere(key, followed)) break;
      this.#hasBegun = true;
      const shards = here.map(({ slot, generation, lengthBytes }) => ({
        slot,
        generation,
        lengthBytes,
      }));
      const offsetBytes = followed.next * SHARD_BYTES;
      const result = await this.#pinned({ kind: 'update', key, offsetBytes, shards });
      this.#letGo(followed);
      if (result.kind === 'gone') this.#startOver(key, followed);
      if (result.kind !== 'hashed' || result.count === 0) continue;
      followed.next += result.count;
      followed.movedMs = this.#parts.clock.nowMs();
    }
    followed.busy = false;
    if (followed.next < followed.shards || this.#followed.peek(key) !== followed) return;
    this.#followed.delete(key);
    const { totalBytes } = followed;
    const result = await this.#parts.run({ kind: 'finish', key, totalBytes });
    if (result.kind === 'gone') {
      this.#followed.set(key, followed);
      this.#startOver(key, followed);
      return this.#advance(key, followed);
    }
    if (result.kind !== 'done') return;
    if (`sha256:${result.digest}` === this.#parts.digestOf(key)) {
      this.#held.set(key, true);
      this.#parts.held(key, followed.totalBytes);
    } else this.#parts.broken(key);
  }

  /** Hashes shards whose slots are pinned meanwhile, up to the first that cannot be. */
  async #pinned(job: Extract<DigestJob, { kind: 'update' }>): Promise<DigestResult> {
    const { arena, run } = this.#parts;
    const free = job.shards.findIndex(({ slot, generation }) => !arena.tryPin(slot, generation));
    const shards = free < 0 ? job.shards : job.shards.slice(0, free);
    try {
      return await run({ ...job, shards });
    } finally {
      for (const { slot } of shards) arena.unpin(slot);
    }
  }

  /**
   * The hash is lost with its thread, or is to move: the blob is hashed anew, from memory and disk.
   */
  #startOver(key: string, followed: Followed): void {
    followed.next = 0;
    followed.seen = 0;
    followed.startsOver += 1;
    // A blob that ends the thread each time stays unverified.
    if (followed.startsOver > DIGEST_STARTS_OVER_MAX) this.#followed.delete(key);
  }

  /**
   * The next shard if it is complete in memory. If the whole blob is here, but this shard is not in
   * memory, it is read back from disk.
   */
  #next(key: string, followed: Followed): Resident | null {
    const { loader } = this.#parts;
    const resident = loader.find(key, followed.next);
    if (resident?.phase === 'complete') return resident;
    if (!this.#isHere(key, followed)) return null;
    // `completed` is called when it has been read.
    this.#letGo(followed);
    const interest: Interest = { placed: () => undefined, failed: () => undefined };
    followed.back = { interest, resident: loader.want(key, followed.next, NO_WAY, interest) };
    return null;
  }

  /** Whether all shards that are not hashed yet are here, in memory or on disk. */
  #isHere(key: string, followed: Followed): boolean {
    followed.seen = Math.max(followed.seen, followed.next);
    while (followed.seen < followed.shards && this.#parts.loader.has(key, followed.seen))
      followed.seen++;
    return followed.seen === followed.shards;
  }

  /**
   * The shards after the next one that are also complete in memory. A job for each would cost two
   * wake-ups.
   */
  #behind(key: string, { next }: Followed): Resident[] {
    const behind: Resident[] = [];
    while (behind.length + 1 < DIGEST_JOB_SHARDS_MAX) {
      const resident = this.#parts.loader.find(key, next + 1 + behind.length);
      if (resident?.phase !== 'complete') break;
      behind.push(resident);
    }
    return behind;
  }

  #letGo(followed: Followed): void {
    if (followed.back !== null)
      this.#parts.loader.drop(followed.back.resident, followed.back.interest);
    followed.back = null;
  }
}
