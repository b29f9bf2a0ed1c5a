import { ShoalError } from '../../errors.ts';
import { GRANT_MS_MAX } from '../limits.ts';
import type { BlobSize } from '../../registry/blob-size.ts';
import type { AccessLedger, AccessRequest } from '../../registry/access.ts';
import type { TypeSource } from '../../registry/manifest.ts';
import type { Outages } from '../../origin/outages.ts';
import type { CounterName } from '../../telemetry/metrics-list.ts';
import type { BlobName } from '../../workers/messages.ts';
import type { ProbeJob, ProbeResult } from '../../workers/pool.ts';

export interface GateParts {
  ledger: AccessLedger;
  outages: Outages;
  probe(job: ProbeJob): Promise<ProbeResult>;
  /**
   * The upstream says a blob's size; returns the size to believe. Shards of another size are
   * dropped before it returns.
   */
  sized(key: string, totalBytes: number): BlobSize;
  count(name: CounterName): void;
}

/** For how long, in ms, a right counts; `stale`: it is old, and the registry is down. */
export interface Grant {
  forMs: number;
  stale: boolean;
}

/** A stale right is looked at again with every request: the registry may be back. */
const STALE: Grant = { forMs: 0, stale: true };

/**
 * Whether a client may read a blob (docs/SPEC.md 2.7): what the ledger remembers, else what the
 * upstream says to one byte.
 */
export class Gate {
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** For how long, in ms, the right is proven already; null when it has to be checked. */
  remembered(blob: BlobName, authorization: string | null): number | null {
    const remainingMs = this.#parts.ledger.remainingMs(request(blob, authorization));
    if (remainingMs <= 0) return null;
    this.#parts.count('access.remembered');
    return Math.min(remainingMs, GRANT_MS_MAX);
  }

  /** Proves the right at the upstream, equal checks joined. Rejects with what the upstream says. */
  async check(blob: BlobName, authorization: string | null): Promise<Grant> {
    const { ledger, outages, count } = this.#parts;
    const asked = request(blob, authorization);
    const check = (): Promise<'granted' | 'stale'> =>
      ledger.check(
        asked,
        () => this.#ask(blob, authorization),
        () => outages.confirm(blob.url),
      );
    if (
      outages.isDown(blob.url) &&
      ledger.decide(asked) === 'check' &&
      ledger.mayReadStale(asked)
    ) {
      count('access.stale');
      // The registry may be back: it is asked beside, and the ledger takes note of what it says.
      if (outages.takeTurn(blob.url)) void check().catch(() => undefined);
      return STALE;
    }
    if ((await check()) === 'granted')
      return { forMs: Math.min(ledger.remainingMs(asked), GRANT_MS_MAX), stale: false };
    count('access.stale');
    return STALE;
  }

  /**
   * The size that what the client may read has at the upstream, as far as it was checked: a blob of
   * another size is not what was proven.
   */
  sizeOf(blob: BlobName, authorization: string | null): number | null {
    return this.#parts.ledger.sizeOf(request(blob, authorization));
  }

  /**
   * The upstream has refused, with 401 or 403, to send the blob to a client whose right was
   * remembered: it is checked again the next time.
   */
  revoke(blob: BlobName, authorization: string | null, status: number): void {
    this.#parts.ledger.refused(request(blob, authorization), status);
  }

  /**
   * Whether this credential may have what `key` names in a repository, without the registry being
   * asked.
   */
  mayHave(scope: string, authorization: string | null, key: string): boolean {
    return this.#parts.ledger.decide({ authorization, scope, key }) === 'granted';
  }

  /**
   * The same while the registry is down: the right to the repository at least, from within
   * accessStaleTtl.
   */
  mayHaveStale(scope: string, authorization: string | null): boolean {
    return this.#parts.ledger.mayReadStale({ authorization, scope, key: null });
  }

  /**
   * The upstream has answered a relayed request of this credential for a repository with the
   * manifest `digest`, or with something else (null).
   */
  relayed(scope: string, authorization: string | null, digest: string | null): void {
    this.#parts.ledger.granted({ authorization, scope, key: digest });
  }

  /** The upstream has refused such a request. Whether it had been granted before. */
  refusedRelay(scope: string, authorization: string | null, status: number): boolean {
    const request = { authorization, scope, key: null };
    const isKnown = this.#parts.ledger.grantAgeMs(request) !== null;
    if (status !== 404) this.#parts.ledger.refused(request, status);
    return isKnown;
  }

  /** Another node says what the upstream said of this credential there, and when. */
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

  async #ask(blob: BlobName, authorization: string | null): Promise<number | null> {
    const { probe, count, sized, outages } = this.#parts;
    const result = await probe({
      kind: 'probe',
      url: blob.url,
      upstreamHost: blob.upstreamHost,
      authorization,
    });
    outages.note(blob.url, result.kind === 'granted' ? null : ShoalError.fromWire(result.error));
    if (result.kind === 'granted') {
      const { totalBytes } = result;
      if (totalBytes !== null && sized(blob.key, totalBytes).bytes !== totalBytes) {
        count('access.refused');
        // No size in the message: what is known of the blob here is not for this client to hear.
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
