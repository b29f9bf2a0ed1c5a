import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock } from '../../lib/clock.ts';
import type { FileReadOutcome } from '../../lib/io/file-part.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import type { ContentFile, ContentStore } from '../../lib/runtime-store/content-store.ts';
import { RuntimeStore } from '../../lib/runtime-store/runtime-store.ts';

export const LAYER = `sha256:${'a'.repeat(64)}`;
export const OTHER = `sha256:${'b'.repeat(64)}`;

/** A content store in memory; each file has a content that is only a name. */
export class FakeContent implements ContentStore {
  readonly dir = '/content';
  readonly files = new Map<string, ContentFile & { content: string }>();
  /** Every access rejects with it. */
  broken: Error | null = null;
  finds = 0;

  ingest(digest: string, sizeBytes: number, content = digest): void {
    const identity = this.files.get(digest)?.identity ?? `ingest ${digest}`;
    const path = `/content/ingest/${digest}`;
    this.files.set(digest, { kind: 'ingest', path, sizeBytes, identity, isLayer: true, content });
  }

  commit(digest: string, sizeBytes: number, content = digest, version = 1): void {
    const identity = `blob ${digest} ${version}`;
    const path = `/content/blobs/${digest}`;
    this.files.set(digest, { kind: 'blob', path, sizeBytes, identity, isLayer: null, content });
  }

  blobs(): Promise<Map<string, ContentFile>> {
    if (this.broken !== null) return Promise.reject(this.broken);
    return Promise.resolve(new Map([...this.files].filter(([, { kind }]) => kind === 'blob')));
  }

  find(digest: string): Promise<ContentFile | null> {
    this.finds += 1;
    if (this.broken !== null) return Promise.reject(this.broken);
    return Promise.resolve(this.files.get(digest) ?? null);
  }

  again(digest: string, file: ContentFile): Promise<ContentFile | null> {
    if (this.broken !== null) return Promise.reject(this.broken);
    const now = this.files.get(digest);
    return Promise.resolve(now === undefined ? null : { ...now, isLayer: file.isLayer });
  }

  at(path: string): (ContentFile & { content: string }) | undefined {
    return [...this.files.values()].find((file) => file.path === path);
  }
}

export interface Bench {
  content: FakeContent;
  clock: ManualClock;
  store: RuntimeStore;
  /** Whether shards wait for memory. */
  crowded: boolean;
  lines: string[];
  /** Files that were read for verification, in order. */
  verified: string[];
  /** Lets `ms` pass in steps, with everything that follows from each. */
  pass(ms: number): Promise<void>;
}

export function bench(slotCount = 16): Bench {
  const at = { crowded: false };
  const content = new FakeContent();
  const clock = new ManualClock();
  const lines: string[] = [];
  const say = (_: unknown, message: string): void => void lines.push(message);
  const verified: string[] = [];
  const hashed = new Map<string, string>();
  const store = new RuntimeStore({
    content,
    read({ path, offsetBytes, lengthBytes, checksum }): Promise<FileReadOutcome> {
      if (content.broken !== null) return Promise.reject(content.broken);
      const file = content.at(path);
      if (file === undefined || file.sizeBytes < offsetBytes + lengthBytes)
        return Promise.resolve('gone');
      const sum = checksumOf(file.content, offsetBytes / SHARD_BYTES);
      return Promise.resolve(Buffer.compare(sum, checksum) === 0 ? 'ok' : 'changed');
    },
    hasher: {
      update(key, path, offsetBytes, lengthBytes) {
        const file = content.at(path);
        if (file === undefined) return Promise.resolve(null);
        if (offsetBytes === 0) verified.push(path);
        // A read takes 10 ms, as the verification sees it.
        clock.advance(10);
        if (file.sizeBytes < offsetBytes + lengthBytes) return Promise.resolve(null);
        hashed.set(key, file.content);
        return Promise.resolve(checksumOf(file.content, offsetBytes / SHARD_BYTES));
      },
      finish: (key) => Promise.resolve(hashed.get(key) ?? ''),
      forget: (key) => void hashed.delete(key),
    },
    clock,
    log: { info: say, warn: say },
    slotCount,
    isCrowded: () => at.crowded,
  });
  const pass = async (ms: number): Promise<void> => {
    for (let leftMs = ms; leftMs >= 0; leftMs -= 25) {
      await turn();
      clock.advance(Math.min(leftMs, 25));
      await turn();
    }
  };
  return Object.assign(at, { content, clock, store, lines, verified, pass });
}

export function checksumOf(content: string, shard: number): Buffer {
  return createHash('sha256').update(`${content}/${shard}`).digest();
}

/** What is known of a shard of `LAYER` that came through the swarm. */
export function shardOf(
  totalBytes: number,
  shard: number,
  content = LAYER,
): { lengthBytes: number; totalBytes: number; checksum: Buffer } {
  return {
    lengthBytes: Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES),
    totalBytes,
    checksum: checksumOf(content, shard),
  };
}
