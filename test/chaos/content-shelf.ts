import type { ContentFile, ContentStore } from '../../lib/runtime-store/content-store.ts';
import type { Random } from '../../native-bench/sim/random.ts';
import type { Blob } from './library.ts';

interface Shelved {
  file: ContentFile;
  bytes: Uint8Array;
}

/** The content store of a machine's container runtime: what its clients pull and have pulled. */
export class ContentShelf implements ContentStore {
  readonly dir = '/runtime';
  /** The folder cannot be read. */
  isUnreadable = false;
  readonly #shelved = new Map<string, Shelved>();
  #made = 0;

  /** The runtime begins to write a blob that it pulls. */
  begin(blob: Blob): void {
    if (this.#shelved.has(blob.digest)) return;
    const identity = `${this.#made++}`;
    this.#shelved.set(blob.digest, {
      file: { kind: 'ingest', path: blob.digest, sizeBytes: 0, identity, isLayer: true },
      bytes: blob.bytes,
    });
  }

  grew(digest: string, sizeBytes: number): void {
    const shelved = this.#shelved.get(digest);
    if (shelved?.file.kind === 'ingest') shelved.file = { ...shelved.file, sizeBytes };
  }

  /** The pull has ended: what is whole is kept. */
  ended(digest: string, isWhole: boolean): void {
    const shelved = this.#shelved.get(digest);
    if (shelved?.file.kind !== 'ingest') return;
    if (!isWhole) this.#shelved.delete(digest);
    else
      shelved.file = {
        ...shelved.file,
        ...{ kind: 'blob', isLayer: null, identity: `${this.#made++}` },
      };
  }

  /** The runtime deletes its images. */
  clear(): void {
    for (const [digest, { file }] of this.#shelved)
      if (file.kind === 'blob') this.#shelved.delete(digest);
  }

  /** A bit of each file is another one from now on; nothing else shows it. */
  rot(random: Random): void {
    for (const shelved of this.#shelved.values()) {
      if (shelved.bytes.length === 0) continue;
      shelved.bytes = Uint8Array.from(shelved.bytes);
      shelved.bytes[random.below(shelved.bytes.length)]! ^= 1 << random.below(8);
    }
  }

  /** Fills `into` from a file; false: it is gone, or ends before. */
  fill(path: string, offsetBytes: number, into: Uint8Array): boolean {
    this.#assertReadable();
    const shelved = this.#shelved.get(path);
    const endBytes = offsetBytes + into.length;
    if (shelved === undefined || shelved.file.sizeBytes < endBytes) return false;
    into.set(shelved.bytes.subarray(offsetBytes, endBytes));
    return true;
  }

  async blobs(): Promise<Map<string, ContentFile>> {
    this.#assertReadable();
    const found = new Map<string, ContentFile>();
    for (const [digest, { file }] of this.#shelved)
      if (file.kind === 'blob') found.set(digest, file);
    return found;
  }

  async find(digest: string): Promise<ContentFile | null> {
    this.#assertReadable();
    return this.#shelved.get(digest)?.file ?? null;
  }

  again(digest: string): Promise<ContentFile | null> {
    return this.find(digest);
  }

  #assertReadable(): void {
    if (this.isUnreadable) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
  }
}
