import { LRUCache } from 'lru-cache';
import { WARM_BLOBS_MAX, WARM_REQUESTS_MAX } from '../limits.ts';
import type { BlobName } from '../workers/messages.ts';
import type { Place } from './body-sender.ts';

/** A blob as this front remembers it: its size, and where its shards were last seen. */
export interface WarmBlob {
  totalBytes: number;
  places: Map<number, Place>;
}

interface Grant {
  name: BlobName;
  blob: WarmBlob;
  untilMs: number;
}

/**
 * What lets a front answer a warm read without leaving its thread: requests control has granted, for
 * as long as it said, and the places of shards. A place may be stale: pinning it finds out.
 */
export class WarmMemory {
  readonly #grants = new LRUCache<string, Grant>({ max: WARM_REQUESTS_MAX });
  readonly #blobs = new LRUCache<string, WarmBlob>({ max: WARM_BLOBS_MAX });

  /** The grant for this very request (host, URL, credential), while it lasts. */
  find(requestKey: string, nowMs: number): { name: BlobName; blob: WarmBlob } | undefined {
    const grant = this.#grants.get(requestKey);
    if (grant === undefined || grant.untilMs > nowMs) return grant;
    this.#grants.delete(requestKey);
    return undefined;
  }

  grant(requestKey: string, name: BlobName, blob: WarmBlob, untilMs: number): void {
    this.#grants.set(requestKey, { name, blob, untilMs });
  }

  /** Forgets a grant: the upstream no longer accepts the request. */
  revoke(requestKey: string): void {
    this.#grants.delete(requestKey);
  }

  /** The blob of `key`, made when it is not remembered, or when it was of another size. */
  blob(key: string, totalBytes: number): WarmBlob {
    let blob = this.#blobs.get(key);
    if (blob === undefined || blob.totalBytes !== totalBytes) {
      blob = { totalBytes, places: new Map() };
      this.#blobs.set(key, blob);
    }
    return blob;
  }
}
