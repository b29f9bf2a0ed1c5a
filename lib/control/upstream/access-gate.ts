import { LRUCache } from 'lru-cache';
import { ShoalError } from '../../errors.ts';
import { BLOB_FACTS_MAX, GRANT_MS_MAX, MANIFEST_PLACES_MAX } from '../limits.ts';
import type { BlobSize } from '../../registry/blob-size.ts';
import type { AccessLedger, AccessRequest } from '../../registry/access.ts';
import type { TypeSource } from '../../registry/manifest.ts';
import type { Outages } from '../../origin/outages.ts';
import type { CounterName } from '../../telemetry/metrics-list.ts';
import type { BlobName } from '../../workers/messages.ts';
import type { ProbeJob, ProbeResult } from '../../workers/pool.ts';

/** Where a manifest of a repository is. */
export interface ManifestPlace {
  url: string;
  upstreamHost: string;
}

interface GateParts {
  ledger: AccessLedger;
  outages: Outages;
  probe(job: ProbeJob): Promise<ProbeResult>;
  /**
   * The upstream says a blob's size; returns the size to believe. Shards of another size are
   * dropped before it returns.
   */
  sized(blob: BlobName, totalBytes: number): BlobSize;
  /** Whether the blob's origin serves it only as a whole, as far as this node knows. */
  servesWhole(blob: BlobName): boolean;
  /** The status of a HEAD of a manifest; null: no answer. */
  headManifest(manifest: ManifestPlace, authorization: string | null): Promise<number | null>;
  count(name: CounterName): void;
}

/** How long a right counts, in ms; `stale`: an old right during an outage. */
export interface Grant {
  forMs: number;
  stale: boolean;
}

/** A stale right is checked at every request: the registry may be back. */
const STALE: Grant = { forMs: 0, stale: true };

/**
 * Whether a client may read a blob (docs/SPEC.md 2.7): what the ledger remembers, else what the
 * upstream says to one byte.
 */
export class Gate {
  readonly #parts: GateParts;
  /** The manifest that the registry sent last, by scope. */
  readonly #manifests = new LRUCache<string, ManifestPlace>({ max: MANIFEST_PLACES_MAX });
  /** Blobs whose size the upstream was asked for and did not tell, by scope and key. */
  readonly #untold = new LRUCache<string, true>({ max: BLOB_FACTS_MAX });
  /** Questions for a blob's size that are under way, by scope, key and credential. */
  readonly #sizing = new Map<string, Promise<number | null>>();

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** How long the remembered right still counts, in ms; null if it must be checked. */
  remembered(blob: BlobName, authorization: string | null): number | null {
    const remainingMs = this.#parts.ledger.remainingMs(request(blob, authorization));
    if (remainingMs <= 0) return null;
    this.#parts.count('access.remembered');
    return Math.min(remainingMs, GRANT_MS_MAX);
  }

  /**
   * Checks the right at the upstream; concurrent equal checks share one request. Rejects with the
   * upstream's error.
   */
  async check(blob: BlobName, authorization: string | null, traceparent?: string): Promise<Grant> {
    const { ledger, outages, count } = this.#parts;
    const asked = request(blob, authorization);
    const check = (): Promise<'granted' | 'stale'> =>
      ledger.check(
        asked,
        () => this.#ask(blob, authorization, traceparent),
        () => outages.confirm(blob.url),
      );
    if (
      outages.isDown(blob.url) &&
      ledger.decide(asked) === 'check' &&
      ledger.mayReadStale(asked)
    ) {
      count('access.stale');
      // The registry may be back: check in the background; the ledger records the result.
      if (outages.takeTurn(blob.url)) void check().catch(() => undefined);
      return STALE;
    }
    const place = this.#manifestFor(blob, asked);
    if (place !== null) await this.#renew(asked, place);
    if ((await check()) === 'granted')
      return { forMs: Math.min(ledger.remainingMs(asked), GRANT_MS_MAX), stale: false };
    count('access.stale');
    return STALE;
  }

  /**
   * The size of the object whose access was proven, if known. A blob of another size is not that
   * object.
   */
  sizeOf(blob: BlobName, authorization: string | null): number | null {
    return this.#parts.ledger.sizeOf(request(blob, authorization));
  }

  /**
   * The blob's size that the upstream names. It is asked unless it has named it, or was asked
   * without result (null). Concurrent equal questions share one request.
   * @throws the upstream's error
   */
  askSize(blob: BlobName, authorization: string | null): Promise<number | null> {
    const asked = request(blob, authorization);
    const name = `${asked.scope} ${asked.key}`;
    const known = this.#parts.ledger.sizeOf(asked);
    if (known !== null || this.#untold.has(name)) return Promise.resolve(known);
    const id = `${name} ${authorization}`;
    let sizing = this.#sizing.get(id);
    if (sizing === undefined) {
      sizing = this.#parts.ledger
        .ask(asked, () => this.#ask(blob, authorization, undefined))
        .finally(() => this.#sizing.delete(id));
      this.#sizing.set(id, sizing);
    }
    return sizing;
  }

  /** The size of the blob by a manifest of its repository, if known. */
  saidBytes(blob: BlobName, authorization: string | null): number | null {
    return this.#parts.ledger.saidBytes(request(blob, authorization));
  }

  /**
   * The upstream refused (401, 403) to send the blob to a client with a remembered right: check
   * again next time.
   */
  revoke(blob: BlobName, authorization: string | null, status: number): void {
    this.#parts.ledger.refused(request(blob, authorization), status);
  }

  /**
   * Whether this credential may read `key` in a repository, without asking the registry.
   */
  mayHave(scope: string, authorization: string | null, key: string): boolean {
    return this.#parts.ledger.decide({ authorization, scope, key }) === 'granted';
  }

  /**
   * The same during an outage: whether a right to the repository from within accessStaleTtl is
   * known.
   */
  mayHaveStale(scope: string, authorization: string | null): boolean {
    return this.#parts.ledger.mayReadStale({ authorization, scope, key: null });
  }

  /**
   * The upstream answered a relayed request with this credential: with the manifest `digest`, or
   * something else (null).
   */
  relayed(
    scope: string,
    authorization: string | null,
    digest: string | null,
    place: ManifestPlace | null = null,
  ): void {
    this.#parts.ledger.granted({ authorization, scope, key: digest });
    if (digest !== null && place !== null) this.#manifests.set(scope, place);
  }

  /**
   * The upstream refused such a request. Returns whether the credential had been accepted before.
   */
  refusedRelay(scope: string, authorization: string | null, status: number): boolean {
    const request = { authorization, scope, key: null };
    const isKnown = this.#parts.ledger.grantAgeMs(request) !== null;
    if (status !== 404) this.#parts.ledger.refused(request, status);
    return isKnown;
  }

  /** Another node reports how the upstream answered this credential, and when. */
  heard(
    scope: string,
    authorization: string | null,
    right: { isGranted: boolean; ageMs: number },
  ): void {
    const { ledger } = this.#parts;
    const request = { authorization, scope, key: null };
    if (right.isGranted) ledger.heardGranted(request, right.ageMs);
    else if ((ledger.grantAgeMs(request) ?? 0) > right.ageMs)
      ledger.refused(request, 403, right.ageMs);
  }

  /** A manifest of the repository says which blobs it holds. */
  noteManifest(scope: string, manifest: Uint8Array, contentType: string, source: TypeSource): void {
    this.#parts.ledger.noteManifest(scope, manifest, contentType, source);
  }

  /**
   * The manifest by which to renew a right that has ended, where the blob's origin serves no parts
   * of it: such an origin may answer a HEAD of a blob only when it has fetched all of it
   * (docker-registry as a pull-through cache).
   */
  #manifestFor(blob: BlobName, asked: AccessRequest): ManifestPlace | null {
    const { ledger, outages, servesWhole } = this.#parts;
    const place = this.#manifests.get(blob.scope);
    if (place === undefined || ledger.decide(asked) === 'granted') return null;
    return servesWhole(blob) && !outages.isDown(blob.url) ? place : null;
  }

  /** Renews the right to a repository; if that fails, the check of the blob says why. */
  async #renew({ authorization, scope }: AccessRequest, place: ManifestPlace): Promise<void> {
    const { ledger, headManifest, count } = this.#parts;
    const ask = async (): Promise<null> => {
      const status = await headManifest(place, authorization);
      if (status === 200) return null;
      throw new ShoalError('ORIGIN_BROKEN', `${place.upstreamHost} answered ${status} to a HEAD`);
    };
    await ledger
      .check({ authorization, scope, key: null }, ask, async () => false)
      .then(
        () => count('access.granted'),
        () => undefined,
      );
  }

  async #ask(
    blob: BlobName,
    authorization: string | null,
    traceparent: string | undefined,
  ): Promise<number | null> {
    const { probe, count, sized, outages } = this.#parts;
    const result = await probe({
      kind: 'probe',
      url: blob.url,
      upstreamHost: blob.upstreamHost,
      authorization,
      ...(traceparent === undefined ? {} : { traceparent }),
    });
    outages.note(blob.url, result.kind === 'granted' ? null : ShoalError.fromWire(result.error));
    if (result.kind === 'granted') {
      const { totalBytes } = result;
      const { scope, key } = request(blob, authorization);
      if (totalBytes === null) this.#untold.set(`${scope} ${key}`, true);
      if (totalBytes !== null && sized(blob, totalBytes).bytes !== totalBytes) {
        count('access.refused');
        // No size in the message: this client may not learn the size that is believed here.
        throw new ShoalError(
          'DIGEST_MISMATCH',
          `${blob.upstreamHost} has an object of another size under this digest; it does ` +
            'not match the digest',
        );
      }
      count('access.granted');
      return result.totalBytes;
    }
    const error = ShoalError.fromWire(result.error);
    count(
      error.code === 'ORIGIN_REFUSED' && error.status < 500 ? 'access.refused' : 'access.failed',
    );
    throw error;
  }
}

function request(blob: BlobName, authorization: string | null): AccessRequest {
  // A manifest of the repository names blobs by digest, whatever key their bytes are stored under.
  return { authorization, scope: blob.scope, key: blob.digest ?? blob.key };
}
