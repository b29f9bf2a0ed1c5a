import { strongerSize, type BlobSize, type SizeProvenance } from '../../registry/blob-size.ts';
import type { OriginTarget } from '../../origin-target.ts';
import { RepeatCache } from '../../repeat-cache.ts';
import { BLOB_FACTS_BYTES_MAX, BLOB_FACTS_MAX } from '../limits.ts';

interface Facts {
  size: BlobSize | null;
  /** See `saidBy`; the newest first. */
  said: readonly SaidSize[];
  /** Origins that have the blob, the newest first. */
  origins: OriginTarget[];
  /** See `pathname`. */
  url: string | null;
  /** See `digestOf`. */
  digest: string | null;
}

/** The size that an upstream said; `isDisproved`: what it sent of this size is not the blob. */
interface SaidSize {
  readonly host: string;
  readonly bytes: number;
  readonly isDisproved: boolean;
}

/** Origins kept per blob: signed URLs expire and credentials differ, so the newest are kept. */
const ORIGINS_PER_BLOB_MAX = 4;

/** Memory of an entry, and of each origin in it, in addition to the text. */
const FACTS_BYTES = 200;

/** What this node knows of blobs in addition to their bytes. Kept in memory only, bounded. */
export class BlobFacts {
  readonly #facts = new RepeatCache<Facts>({
    max: BLOB_FACTS_MAX,
    maxSize: BLOB_FACTS_BYTES_MAX,
    sizeCalculation: sizeOf,
  });

  sizeOf(key: string): BlobSize | null {
    return this.#facts.get(key)?.size ?? null;
  }

  totalOf(key: string): number | null {
    return this.sizeOf(key)?.bytes ?? null;
  }

  /**
   * A source names a blob's size; the stronger provenance wins (lib/registry/blob-size.ts). Returns
   * the size to believe from now on.
   */
  sized(key: string, bytes: number, provenance: SizeProvenance): BlobSize {
    const facts = this.#of(key);
    facts.size = strongerSize(facts.size, { bytes, provenance });
    return facts.size;
  }

  /**
   * An upstream says a blob's size; `host`: its OriginTarget.upstreamHost. `isProof`: it has sent
   * the blob. Returns false if the size does not count, because it is disproved.
   */
  said(key: string, host: string, bytes: number, isProof = false): boolean {
    const facts = this.#of(key);
    const [last] = facts.said;
    // Each shard of a blob says the same.
    if (last?.host === host && last.bytes === bytes && !(isProof && last.isDisproved))
      return !last.isDisproved;
    const known = facts.said.find((one) => one.host === host);
    const isDisproved = !isProof && known?.bytes === bytes && known.isDisproved;
    const others = facts.said.filter((one) => one !== known);
    facts.said = [{ host, bytes, isDisproved }, ...others].slice(0, ORIGINS_PER_BLOB_MAX);
    return !isDisproved;
  }

  /**
   * The size that the blob must have at this upstream, in bytes: that of a verified digest, or what
   * the upstream itself has said last. What another one said must not make its right answer fail.
   */
  saidBy(key: string, host: string): number | null {
    const facts = this.#facts.get(key);
    if (facts?.size?.provenance === 'digest') return facts.size.bytes;
    return facts?.said.find((one) => one.host === host && !one.isDisproved)?.bytes ?? null;
  }

  /** Whether this upstream said this size, and sent something else than the blob. */
  isDisproved(key: string, host: string, bytes: number): boolean {
    const said = this.#facts.get(key)?.said;
    return (
      said?.some((one) => one.host === host && one.bytes === bytes && one.isDisproved) === true
    );
  }

  /** The sha256 digest that the whole blob must have; null if no URL of it names one. */
  digestOf(key: string): string | null {
    return key.startsWith('sha256:') ? key : (this.#facts.get(key)?.digest ?? null);
  }

  /**
   * A blob's name in the audit log: `/` + the URL at which access was last granted, else the URL
   * first asked for, else its key.
   */
  pathname(key: string): string {
    return `/${this.#facts.get(key)?.url ?? key}`;
  }

  /** Notes the URL at which a blob is asked for, and the digest that this URL names. */
  setUrl(key: string, url: string, digest: string | null): void {
    const facts = this.#of(key);
    if (facts.url !== null && facts.digest !== null) return;
    this.#facts.set(key, {
      ...facts,
      url: facts.url ?? bareUrl(url),
      digest: facts.digest ?? digest,
    });
  }

  /** Notes an origin of the blob; each is kept once. */
  addOrigin(key: string, origin: OriginTarget): void {
    const facts = this.#of(key);
    const rest = facts.origins.filter((known) => !isSame(known, origin));
    this.#facts.set(key, {
      ...facts,
      url: bareUrl(origin.url),
      origins: [origin, ...rest].slice(0, ORIGINS_PER_BLOB_MAX),
    });
  }

  origins(key: string): readonly OriginTarget[] {
    return this.#facts.get(key)?.origins ?? [];
  }

  /** Forgets a blob whose content was wrong. */
  forget(key: string): void {
    this.#facts.delete(key);
  }

  /** Forgets an origin that refuses the request. */
  dropOrigin(key: string, origin: OriginTarget): void {
    const facts = this.#facts.get(key);
    if (facts !== undefined)
      facts.origins = facts.origins.filter((known) => !isSame(known, origin));
  }

  /** What this origin sent is not the blob: neither it nor the size it said counts any more. */
  disproved(key: string, origin: OriginTarget): void {
    this.dropOrigin(key, origin);
    const facts = this.#facts.get(key);
    if (facts === undefined) return;
    facts.said = facts.said.map((one) =>
      one.host === origin.upstreamHost ? { ...one, isDisproved: true } : one,
    );
    if (facts.size?.provenance !== 'upstream') return;
    const { bytes } = facts.size;
    const left = facts.said.filter(({ isDisproved }) => !isDisproved);
    if (left.some((one) => one.bytes === bytes)) return;
    facts.size = left.length === 0 ? null : { bytes: left[0]!.bytes, provenance: 'upstream' };
  }

  #of(key: string): Facts {
    let facts = this.#facts.get(key);
    if (facts === undefined)
      this.#facts.set(
        key,
        (facts = { size: null, said: [], origins: [], url: null, digest: null }),
      );
    return facts;
  }
}

/** Approximate bytes of memory: a client may send a URL of up to REQUEST_HEAD_BYTES_MAX. */
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

function isSame(one: OriginTarget, other: OriginTarget): boolean {
  return one.url === other.url && one.authorization === other.authorization;
}

/** Without the query: a signature is not part of a name, and must not be logged. */
function bareUrl(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}
