import { LRUCache } from 'lru-cache';
import { BLOB_FACTS_BYTES_MAX, BLOB_FACTS_MAX } from '../limits.ts';
import type { OriginContext } from '../../workers/messages.ts';

interface Facts {
  totalBytes: number | null;
  /** Ways to the origin, the newest first. */
  origins: OriginContext[];
  /** See `pathname`. */
  url: string | null;
}

/**
 * Ways to the origin kept per blob: signed URLs expire, credentials differ; the newest ones serve.
 */
const ORIGINS_PER_BLOB_MAX = 4;

/** What an entry, and each way to the origin in it, takes beside its text. */
const FACTS_BYTES = 200;

/**
 * What this node knows of blobs apart from their bytes: size, and the ways to the origin its askers
 * brought. In memory only.
 */
export class BlobFacts {
  readonly #facts = new LRUCache<string, Facts>({
    max: BLOB_FACTS_MAX,
    maxSize: BLOB_FACTS_BYTES_MAX,
    sizeCalculation: sizeOf,
  });

  totalOf(key: string): number | null {
    return this.#facts.get(key)?.totalBytes ?? null;
  }

  setTotal(key: string, totalBytes: number): void {
    this.#of(key).totalBytes = totalBytes;
  }

  /**
   * By what name the audit log has a blob: `/` + the URL it was last proven to be at, else first
   * asked for at; its key when it has none.
   */
  pathname(key: string): string {
    return `/${this.#facts.get(key)?.url ?? key}`;
  }

  /** Somebody asks for a blob at `url`; a better name than none. */
  setUrl(key: string, url: string): void {
    const facts = this.#of(key);
    if (facts.url !== null) return;
    this.#keep(key, { ...facts, url: bareUrl(url) });
  }

  /** Takes note of a way to the origin; the same one is kept once. */
  addOrigin(key: string, origin: OriginContext): void {
    const facts = this.#of(key);
    const rest = facts.origins.filter((known) => !isSame(known, origin));
    this.#keep(key, {
      ...facts,
      url: bareUrl(origin.url),
      origins: [origin, ...rest].slice(0, ORIGINS_PER_BLOB_MAX),
    });
  }

  origins(key: string): readonly OriginContext[] {
    return this.#facts.get(key)?.origins ?? [];
  }

  /** Forgets a blob that turned out not to be what it was taken for. */
  forget(key: string): void {
    this.#facts.delete(key);
  }

  /** Forgets a way that the origin refuses. */
  dropOrigin(key: string, origin: OriginContext): void {
    const facts = this.#facts.get(key);
    if (facts !== undefined)
      facts.origins = facts.origins.filter((known) => !isSame(known, origin));
  }

  /** A new object each time: of the same one no new size is taken. */
  #keep(key: string, facts: Facts): void {
    this.#facts.set(key, facts);
  }

  #of(key: string): Facts {
    let facts = this.#facts.get(key);
    if (facts === undefined)
      this.#facts.set(key, (facts = { totalBytes: null, origins: [], url: null }));
    return facts;
  }
}

/** Bytes of memory, roughly: anybody may ask with a URL of REQUEST_HEAD_BYTES_MAX. */
function sizeOf({ origins, url }: Facts, key: string): number {
  return (
    FACTS_BYTES +
    key.length +
    (url?.length ?? 0) +
    origins.reduce(
      (bytes, origin) =>
        bytes + FACTS_BYTES + origin.url.length + (origin.authorization?.length ?? 0),
      0,
    )
  );
}

function isSame(one: OriginContext, other: OriginContext): boolean {
  return one.url === other.url && one.authorization === other.authorization;
}

/** Without the query: signatures are no part of a name. */
function bareUrl(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}
