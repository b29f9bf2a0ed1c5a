import { SHARD_BYTES } from '../limits.ts';
import { CHECKSUM_BYTES, shardLength } from '../shard.ts';
import type { ContentFile } from './content-store.ts';

interface Waiting {
  endBytes: number;
  settle(isKept: boolean): void;
}

/** A blob that the runtime has, or is writing: which of its shards can be read there. */
export class KeptBlob {
  readonly digest: string;
  readonly totalBytes: number;
  /** Where it is; null: the runtime has it no more. */
  file: ContentFile | null;
  /** When the file last grew. */
  grownMs: number;
  /** When it was seen to be committed; null: it was there before, or is not committed yet. */
  committedMs: number | null = null;
  /** Shards that were not written to the cache because the runtime has them. */
  spared = false;
  readonly #checksums: Buffer;
  readonly #known: Uint8Array;
  #knownCount = 0;
  #waiting: Waiting[] = [];

  constructor(digest: string, totalBytes: number, file: ContentFile, nowMs: number) {
    this.digest = digest;
    this.totalBytes = totalBytes;
    this.file = file;
    this.grownMs = nowMs;
    const shards = Math.ceil(totalBytes / SHARD_BYTES);
    this.#checksums = Buffer.alloc(shards * CHECKSUM_BYTES);
    this.#known = new Uint8Array(shards);
  }

  get shards(): number {
    return this.#known.length;
  }

  get memoryBytes(): number {
    return 512 + this.#checksums.length + this.#known.length;
  }

  /** Whether every shard's checksum is known: the blob needs no verification. */
  get isKnown(): boolean {
    return this.#knownCount === this.#known.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Shards that can be read: all known ones that the file covers. */
  get readable(): number {
    if (this.isKnown && this.file?.kind === 'blob') return this.shards;
    let count = 0;
    for (let shard = 0; shard < this.shards; shard++) if (this.covers(shard)) count += 1;
    return count;
  }

  learn(shard: number, checksum: Uint8Array): void {
    if (this.#known[shard] === 0) this.#knownCount += 1;
    this.#known[shard] = 1;
    this.#checksums.set(checksum, shard * CHECKSUM_BYTES);
  }

  checksumOf(shard: number): Uint8Array {
    return this.#checksums.subarray(shard * CHECKSUM_BYTES, (shard + 1) * CHECKSUM_BYTES);
  }

  /** Whether the shard's checksum is known and all its bytes are in the file. */
  covers(shard: number): boolean {
    return this.#known[shard] === 1 && this.#reaches(this.endOf(shard));
  }

  endOf(shard: number): number {
    return Math.min((shard + 1) * SHARD_BYTES, this.totalBytes);
  }

  lengthOf(shard: number): number {
    return shardLength(this.totalBytes, shard);
  }

  /** Resolves true when the file covers the shard, false when it is not expected to. */
  wait(shard: number): Promise<boolean> {
    return new Promise((settle) => {
      this.#waiting.push({ endBytes: this.endOf(shard), settle });
    });
  }

  /** The file has been looked at. */
  seen(file: ContentFile | null, nowMs: number): void {
    if (file !== null && file.kind === 'blob' && file.sizeBytes !== this.totalBytes) file = null;
    if ((file?.sizeBytes ?? 0) > (this.file?.sizeBytes ?? 0)) this.grownMs = nowMs;
    if (file?.kind === 'blob' && this.file?.kind === 'ingest') this.committedMs = nowMs;
    this.file = file;
    if (file === null) return this.giveUp();
    const kept = this.#waiting.filter(({ endBytes }) => this.#reaches(endBytes));
    if (kept.length === 0) return;
    this.#waiting = this.#waiting.filter(({ endBytes }) => !this.#reaches(endBytes));
    for (const { settle } of kept) settle(true);
  }

  /** Readers that wait for the file learn that it does not come. */
  giveUp(): void {
    for (const { settle } of this.#waiting.splice(0)) settle(false);
  }

  #reaches(endBytes: number): boolean {
    return this.file !== null && this.file.sizeBytes >= endBytes;
  }
}
