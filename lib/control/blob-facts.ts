import { LRUCache } from 'lru-cache';
import { BLOB_FACTS_MAX } from '../limits.ts';
import type { OriginContext } from '../workers/messages.ts';

interface Facts {
  totalBytes: number | null;
  /** Ways to the origin, the newest first. */
  origins: OriginContext[];
  /** See `pathname`. */
  url: string | null;
}

/** Ways to the origin kept per blob: signed URLs expire, credentials differ; the newest ones serve. */
const ORIGINS_PER_BLOB_MAX = 4;

/** What this node knows of blobs apart from their bytes: size, and the ways to the origin its askers brought. In memory only. */
export class BlobFacts {
  readonly #facts = new LRUCache<string, Facts>({ max: BLOB_FACTS_MAX });

  totalOf(key: string): number | null {
    return this.#facts.get(key)?.totalBytes ?? null;
  }

  setTotal(key: string, totalBytes: number): void {
    this.#of(key).totalBytes = totalBytes;
  }

  /** By what name the audit log has a blob: `/` + the URL it was last proven to be at, else first asked for at; its key when it has none. */
  pathname(key: string): string {
    return `/${this.#facts.get(key)?.url ?? key}`;
  }

  /** Somebody asks for a blob at `url`; a better name than none. */
  setUrl(key: string, url: string): void {
    this.#of(key).url ??= bareUrl(url);
  }

  /** Takes note of a way to the origin; the same one is kept once. */
  addOrigin(key: string, origin: OriginContext): void {
    const facts = this.#of(key);
    const rest = facts.origins.filter((known) => known.url !== origin.url || known.authorization !== origin.authorization);
    facts.url = bareUrl(origin.url);
    facts.origins = [origin, ...rest].slice(0, ORIGINS_PER_BLOB_MAX);
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
    if (facts !== undefined) facts.origins = facts.origins.filter((known) => known !== origin);
  }

  #of(key: string): Facts {
    let facts = this.#facts.get(key);
    if (facts === undefined) this.#facts.set(key, (facts = { totalBytes: null, origins: [], url: null }));
    return facts;
  }
}

/** Without the query: signatures are no part of a name. */
function bareUrl(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}
