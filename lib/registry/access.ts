import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { ACCESS_GRANTS_MAX, BLOB_PROOF_TTL_MS, BLOB_PROOFS_MAX } from './limits.ts';
import { sha256Hex } from './identity.ts';
import { manifestMembers, type TypeSource } from './manifest.ts';

/** A request to read a blob or a manifest. */
export interface AccessRequest {
  /** The client's Authorization header, null for none. Only its hash is kept. */
  authorization: string | null;
  /** BlobTarget.scope. */
  scope: string;
  /** The blob's digest, else its key; null to ask about the scope alone (a manifest). */
  key: string | null;
}

export interface AccessOptions {
  clock: Clock;
  /** How long a proven right counts. */
  ttlMs: number;
  /** How long it still counts during an outage; 0: not at all. */
  staleTtlMs: number;
  /** `off`: every client may read everything. */
  check: 'strict' | 'off';
  grantsMax?: number;
  proofsMax?: number;
}

interface Proof {
  seenMs: number;
  /** The size by the upstream; null: not known yet. */
  sizeBytes: number | null;
  /** The size by a manifest of the scope; null: none has said one. */
  saidBytes: number | null;
}

interface Grant {
  checkedMs: number;
  /** Counts only during an outage: otherwise the node asks the upstream itself. */
  heardMs: number;
}

/**
 * Who may read what is in the cache (docs/SPEC.md 2.7). Two things are remembered, both bounded:
 * grants
 * (credential, scope), when the upstream last accepted this credential there; and proofs (scope,
 * blob), that the repository holds the blob, since a right to repository A must not open a cached
 * blob of repository B. What a check has found must have the size of the blob, too: a host that
 * answers every path with a page of its own holds no blob.
 *
 *   nothing -> check -> granted --accessTtl--> check ... --upstream down, accessStaleTtl--> nothing
 *                 \-> refused -> nothing
 */
export class AccessLedger {
  readonly #options: AccessOptions;
  /**
   * Time of the last acceptance that this node saw, and that another node told of, by `<hash of
   * credential> <scope>`.
   */
  readonly #grants: LRUCache<string, Grant>;
  /** The last sight, by `<scope> <key>`. */
  readonly #proofs: LRUCache<string, Proof>;
  /** When the upstream last refused a credential that it had accepted, by the same name. */
  readonly #refusals: LRUCache<string, number>;
  readonly #checks = new Map<string, { key: string | null; done: Promise<void> }>();

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#grants = new LRUCache({ max: options.grantsMax ?? ACCESS_GRANTS_MAX });
    this.#refusals = new LRUCache({ max: options.grantsMax ?? ACCESS_GRANTS_MAX });
    this.#proofs = new LRUCache({ max: options.proofsMax ?? BLOB_PROOFS_MAX });
  }

  /** Whether the request may be answered from the cache, or access must be checked first. */
  decide(request: AccessRequest): 'granted' | 'check' {
    return this.remainingMs(request) > 0 ? 'granted' : 'check';
  }

  /**
   * How long the request needs no check, in ms; 0: it needs one now; Infinity: checks are off.
   */
  remainingMs(request: AccessRequest): number {
    if (this.#options.check === 'off') return Infinity;
    const grant = this.#grants.get(grantKey(request));
    if (grant === undefined || !this.#proven(request)) return 0;
    return Math.max(0, grant.checkedMs + this.#options.ttlMs - this.#options.clock.nowMs());
  }

  /**
   * Whether a request that cannot be checked because of an outage may be answered.
   */
  mayReadStale(request: AccessRequest): boolean {
    if (this.#options.check === 'off') return true;
    const ageMs = this.grantAgeMs(request);
    return ageMs !== null && this.#proven(request) && ageMs < this.#options.staleTtlMs;
  }

  /**
   * How long ago the upstream accepted this credential for this scope, in ms; null: not known.
   */
  grantAgeMs(request: AccessRequest): number | null {
    const grant = this.#grants.get(grantKey(request));
    return grant === undefined
      ? null
      : this.#options.clock.nowMs() - Math.max(grant.checkedMs, grant.heardMs);
  }

  /**
   * The blob's size in that scope by the upstream, in bytes; null: not known, or checks are off.
   */
  sizeOf({ scope, key }: AccessRequest): number | null {
    return this.#options.check === 'off'
      ? null
      : (this.#proofs.get(`${scope} ${key}`)?.sizeBytes ?? null);
  }

  /**
   * The blob's size by a manifest of that scope, in bytes. It proves nothing: whoever may push
   * there chose it.
   */
  saidBytes({ scope, key }: AccessRequest): number | null {
    return this.#proofs.get(`${scope} ${key}`)?.saidBytes ?? null;
  }

  /**
   * The upstream accepted this credential for this scope and, if a key is given, has the blob, of
   * this size if known.
   */
  granted(request: AccessRequest, sizeBytes: number | null = null): void {
    const nowMs = this.#options.clock.nowMs();
    this.#grants.set(grantKey(request), { checkedMs: nowMs, heardMs: nowMs });
    this.#refusals.delete(grantKey(request));
    if (request.key !== null) this.#prove(request.scope, request.key, nowMs, { sizeBytes });
  }

  /** Another node says that the upstream accepted this credential for this scope `ageMs` ago. */
  heardGranted(request: AccessRequest, ageMs: number): void {
    const heardMs = this.#options.clock.nowMs() - ageMs;
    // What was refused here since then must not come back by way of another node.
    const refusedMs = this.#refusals.get(grantKey(request));
    if (refusedMs !== undefined && heardMs <= refusedMs) return;
    const known = this.#grants.get(grantKey(request)) ?? {
      checkedMs: Number.NEGATIVE_INFINITY,
      heardMs,
    };
    this.#grants.set(grantKey(request), { ...known, heardMs: Math.max(known.heardMs, heardMs) });
  }

  /**
   * The upstream refused the request `ageMs` ago: 404 is about the blob or its repository, any
   * other status about the credential.
   */
  refused(request: AccessRequest, status: number, ageMs = 0): void {
    if (status === 404 && request.key !== null)
      this.#proofs.delete(`${request.scope} ${request.key}`);
    else {
      const name = grantKey(request);
      this.#grants.delete(name);
      this.#refusals.set(name, this.#options.clock.nowMs() - ageMs);
    }
  }

  /**
   * Records the blobs named by a manifest or index of the repository of `scope`.
   */
  noteManifest(scope: string, body: Uint8Array, contentType: string, source: TypeSource): void {
    const nowMs = this.#options.clock.nowMs();
    for (const { digest, sizeBytes } of manifestMembers(body, contentType, source))
      this.#prove(scope, digest, nowMs, { saidBytes: sizeBytes });
  }

  /**
   * Checks the request's right unless it is already proven. `ask` makes the check at the upstream,
   * returns the blob's size there and throws what it says; equal checks under way are joined, so
   * `ask` runs once for all of them. While the upstream is down an old right counts as `stale`.
   * @throws what `ask` threw
   */
  async check(
    request: AccessRequest,
    ask: () => Promise<number | null>,
    confirm: () => Promise<boolean>,
  ): Promise<'granted' | 'stale'> {
    if (this.decide(request) === 'granted') return 'granted';
    try {
      await this.#joined(request, ask);
      return 'granted';
    } catch (thrown) {
      if (!isDown(thrown) || !this.mayReadStale(request)) throw thrown;
      // A refusal that came meanwhile ends the right.
      if ((await confirm()) && this.mayReadStale(request)) return 'stale';
      throw thrown;
    }
  }

  #joined(request: AccessRequest, ask: () => Promise<number | null>): Promise<void> {
    const id = this.#proven(request) ? grantKey(request) : `${grantKey(request)} ${request.key}`;
    const under = this.#checks.get(id);
    if (under === undefined) {
      const done = this.ask(request, ask).then(
        () => void this.#checks.delete(id),
        (thrown: unknown) => {
          this.#checks.delete(id);
          throw thrown;
        },
      );
      this.#checks.set(id, { key: request.key, done });
      return done;
    }
    // A missing blob says nothing about other blobs of the repository.
    return under.key === request.key
      ? under.done
      : under.done.catch((thrown: unknown) => {
          if (isAboutBlob(thrown)) return this.#joined(request, ask);
          throw thrown;
        });
  }

  /**
   * Asks the upstream although the right may be known, and records what it says of the right.
   * Returns what `ask` returned: the blob's size there.
   * @throws what `ask` threw
   */
  async ask(request: AccessRequest, ask: () => Promise<number | null>): Promise<number | null> {
    let sizeBytes: number | null;
    try {
      sizeBytes = await ask();
    } catch (thrown) {
      if (
        thrown instanceof ShoalError &&
        isRefusal(thrown.status) &&
        thrown.code === 'ORIGIN_REFUSED'
      )
        this.refused(request, thrown.status);
      throw thrown;
    }
    this.granted(request, sizeBytes);
    return sizeBytes;
  }

  #proven(request: AccessRequest): boolean {
    if (request.key === null) return true;
    const proof = this.#proofs.get(`${request.scope} ${request.key}`);
    return proof !== undefined && this.#options.clock.nowMs() - proof.seenMs < BLOB_PROOF_TTL_MS;
  }

  #prove(
    scope: string,
    key: string,
    seenMs: number,
    { sizeBytes = null, saidBytes = null }: Partial<Omit<Proof, 'seenMs'>>,
  ): void {
    const name = `${scope} ${key}`;
    const known = this.#proofs.peek(name);
    this.#proofs.set(name, {
      seenMs,
      sizeBytes: sizeBytes ?? known?.sizeBytes ?? null,
      saidBytes: saidBytes ?? known?.saidBytes ?? null,
    });
  }
}

/** Whether an error may be due to an outage of the upstream; `Outages` decides whether it is. */
export function isDown(thrown: unknown): boolean {
  if (!(thrown instanceof ShoalError)) return false;
  if (thrown.code === 'ORIGIN_UNREACHABLE' || thrown.code === 'ORIGIN_TIMEOUT') return true;
  return thrown.code === 'ORIGIN_REFUSED' && thrown.status >= 500;
}

/**
 * Whether a failed check is about the blob alone, not about the credential or the upstream.
 */
function isAboutBlob(thrown: unknown): boolean {
  if (!(thrown instanceof ShoalError)) return false;
  return (
    thrown.code === 'DIGEST_MISMATCH' ||
    thrown.code === 'RANGE_NOT_SATISFIABLE' ||
    thrown.code === 'ORIGIN_BROKEN' ||
    (thrown.code === 'ORIGIN_REFUSED' && thrown.status === 404)
  );
}

function isRefusal(status: number): boolean {
  return status === 401 || status === 403 || status === 404;
}

function grantKey(request: AccessRequest): string {
  const { authorization, scope } = request;
  const who =
    authorization === null || authorization === '' ? 'anonymous' : sha256Hex(authorization);
  return `${who} ${scope}`;
}
