import { LRUCache } from 'lru-cache';
import { WARM_BLOBS_MAX, WARM_RECENT_MAX, WARM_REQUESTS_MAX } from './limits.ts';
import { namespaceOf } from '../registry/route.ts';
import type { BlobName } from '../workers/messages.ts';
import { blobHeadOf } from './blob-head.ts';
import type { Place } from './body-sender.ts';

/** What this front remembers of a blob: its size, and the last known places of its shards. */
export interface WarmBlob {
  totalBytes: number;
  places: Map<number, Place>;
}

/** The parts of a request that a grant depends on, verbatim. */
export interface WarmRequest {
  host: string;
  rawPath: string;
  query: string;
  /** Empty if there is none. */
  authorization: string;
}

export interface Grant extends WarmRequest {
  name: BlobName;
  blob: WarmBlob;
  /** The headers of every response for the blob (`blobHeadOf`). */
  head: string;
  untilMs: number;
}

/**
 * Lets a front answer a warm read on its own thread: requests that control granted, for the time
 * that it allowed, and the places of shards. A place may be stale, which shows when it is pinned.
 *
 * The few grants used last are found by comparing strings: hashing a URL costs more than the rest
 * of the lookup.
 */
export class WarmMemory {
  readonly #grants = new LRUCache<string, Grant>({ max: WARM_REQUESTS_MAX });
  readonly #blobs = new LRUCache<string, WarmBlob>({ max: WARM_BLOBS_MAX });
  readonly #recent: Grant[] = [];

  /** The grant for the same request (host, URL, credential), while it is valid. */
  find(
    host: string,
    rawPath: string,
    query: string,
    authorization: string,
    nowMs: number,
  ): Grant | undefined {
    for (const grant of this.#recent) {
      if (
        grant.rawPath === rawPath &&
        grant.query === query &&
        grant.authorization === authorization &&
        grant.host === host &&
        grant.untilMs > nowMs
      )
        return grant;
    }
    const key = keyOf({ host, rawPath, query, authorization });
    const grant = this.#grants.get(key);
    if (grant === undefined) return undefined;
    if (grant.untilMs > nowMs) {
      this.#remember(grant);
      return grant;
    }
    this.#grants.delete(key);
    return undefined;
  }

  grant(request: WarmRequest, name: BlobName, blob: WarmBlob, untilMs: number): void {
    this.revoke(request);
    const { host, rawPath, query, authorization } = request;
    this.#grants.set(keyOf(request), {
      host,
      rawPath,
      query,
      authorization,
      name,
      blob,
      head: blobHeadOf(name.digest, namespaceOf(query)),
      untilMs,
    });
  }

  /** Forgets a grant: the upstream no longer accepts the request. */
  revoke(request: WarmRequest): void {
    const key = keyOf(request);
    this.#grants.delete(key);
    // It may be in this map and no longer in the other.
    const recent = this.#recent.findIndex((grant) => keyOf(grant) === key);
    if (recent >= 0) this.#recent.splice(recent, 1);
  }

  /** Forgets all grants: requests may mean something else now. */
  clear(): void {
    this.#grants.clear();
    this.#recent.length = 0;
  }

  /** The blob of `key`, created if it is not known or had another size. */
  blob(key: string, totalBytes: number): WarmBlob {
    let blob = this.#blobs.get(key);
    if (blob === undefined || blob.totalBytes !== totalBytes) {
      blob = { totalBytes, places: new Map() };
      this.#blobs.set(key, blob);
    }
    return blob;
  }

  #remember(grant: Grant): void {
    if (this.#recent.length === WARM_RECENT_MAX) this.#recent.shift();
    this.#recent.push(grant);
  }
}

/** Only the last part can contain a space. */
function keyOf({ host, rawPath, query, authorization }: WarmRequest): string {
  return `${host} ${rawPath}?${query} ${authorization}`;
}
