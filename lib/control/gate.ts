import { ShoalError } from '../errors.ts';
import { GRANT_MS_MAX } from '../limits.ts';
import type { AccessLedger, AccessRequest } from '../registry/access.ts';
import type { CounterName } from '../telemetry/metrics-list.ts';
import type { BlobName } from '../workers/messages.ts';
import type { ProbeJob, ProbeResult } from '../workers/pool.ts';

export interface GateParts {
  ledger: AccessLedger;
  probe(job: ProbeJob): Promise<ProbeResult>;
  /** The blob's size, if it is known. */
  totalOf(key: string): number | null;
  /** A registry has told a blob's size while it was asked for one byte. */
  sized(key: string, totalBytes: number): void;
  count(name: CounterName): void;
}

/** Whether a client may read a blob (CONTRACT 2.7): what the ledger remembers, else what the upstream says to one byte. */
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

  /** Proves the right at the upstream, equal checks joined; how long it counts, in ms. Rejects with what the upstream says. */
  async check(blob: BlobName, authorization: string | null): Promise<number> {
    const { ledger, count } = this.#parts;
    const asked = request(blob, authorization);
    const how = await ledger.check(asked, () => this.#ask(blob, authorization));
    if (how === 'stale') count('access.stale');
    // A stale right is looked at again with every request: the registry may be back.
    return how === 'stale' ? 0 : Math.min(ledger.remainingMs(asked), GRANT_MS_MAX);
  }

  /** The upstream has refused, with 401 or 403, to send the blob to a client whose right was remembered: it is checked again the next time. */
  revoke(blob: BlobName, authorization: string | null, status: number): void {
    this.#parts.ledger.refused(request(blob, authorization), status);
  }

  /** The upstream has answered a relayed request of this credential for a repository; a manifest says which blobs it holds. */
  relayed(scope: string, authorization: string | null, manifest: Uint8Array): void {
    this.#parts.ledger.granted({ authorization, scope, key: null });
    this.#parts.ledger.noteManifest(scope, manifest);
  }

  async #ask(blob: BlobName, authorization: string | null): Promise<void> {
    const { probe, count, sized, totalOf } = this.#parts;
    const result = await probe({ kind: 'probe', url: blob.url, upstreamHost: blob.upstreamHost, authorization });
    if (result.kind === 'granted') {
      const knownBytes = totalOf(blob.key);
      if (knownBytes !== null && knownBytes !== result.totalBytes) {
        count('access.refused');
        throw new ShoalError('DIGEST_MISMATCH', `what the upstream has under this digest is ${result.totalBytes} bytes long, the blob ${knownBytes}`);
      }
      count('access.granted');
      // A registry vouches for what lies under a digest; the owner of any bucket may put anything there.
      if (blob.scope.startsWith('repo ')) sized(blob.key, result.totalBytes);
      return;
    }
    const error = ShoalError.fromWire(result.error);
    count(error.code === 'ORIGIN_REFUSED' && error.status < 500 ? 'access.refused' : 'access.failed');
    throw error;
  }
}

function request(blob: BlobName, authorization: string | null): AccessRequest {
  return { authorization, scope: blob.scope, key: blob.key };
}
