import { LRUCache } from 'lru-cache';
import { ociErrorBody, ShoalError, type WireError } from '../../errors.ts';
import { MANIFEST_TYPES_MAX } from '../limits.ts';
import { isDown } from '../../registry/access.ts';
import { manifestsOf, type TypeSource } from '../../registry/manifest.ts';
import { admits, isMediaType, isSchema1, namesEveryForm } from '../../registry/media.ts';
import { isSha256 } from '../../registry/names.ts';
import type { Outages } from '../../origin/outages.ts';
import { challengeFor, lastingChallenge, STALE_WARNING } from '../../registry/words.ts';
import type { CounterName } from '../../telemetry/metrics-list.ts';
import type { Span } from '../../span.ts';
import type { RelayRequest } from '../../workers/messages.ts';
import type { RelayJob, RelayResult } from '../../workers/pool.ts';
import type { Gate } from './access-gate.ts';
import type { Manifests } from './manifests.ts';
import type { RegistryMemory } from './registry-memory.ts';

interface RelayParts {
  relay(job: RelayJob): Promise<RelayResult>;
  gate: Gate;
  manifests: Manifests;
  memory: RegistryMemory;
  outages: Outages;
  /**
   * Whether `url` is on a configured registry. Only the answers of such a registry about a digest
   * open or fill the blob that is shared under that digest.
   */
  isVouched(url: string): boolean;
  /** Something was answered in the place of a registry that failed so. */
  spokenFor(fields: { requestId: string; upstream: string }, failure: WireError): void;
  count(name: CounterName): void;
}

export interface RelayedAnswer {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** `span`: the request's, if it is traced. */
export type TracedRelay = RelayRequest & { span?: Span | undefined };

/** What the tag or digest of a manifest request is about. */
interface Asked {
  scope: string;
  reference: string;
  authorization: string | null;
  accept: string | undefined;
  /** See RelayParts.isVouched. */
  isVouched: boolean;
}

/**
 * Requests that are passed to the registry.
 *
 *   manifest by digest, right and type known -> memory, disk, swarm
 *   anything else -> the registry -> its answer, and what it teaches
 *                       \-> down: what it said before, to whom it accepted, with a Warning; else
 * the error
 */
export class Relays {
  readonly #parts: RelayParts;
  /** Content-Type of manifests, and its source, by `<scope> <digest>`. */
  readonly #types = new LRUCache<string, { contentType: string; source: TypeSource }>({
    max: MANIFEST_TYPES_MAX,
  });

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  /** The answer to a request. Rejects with the ShoalError that keeps it from being had. */
  async answer(request: TracedRelay): Promise<RelayedAnswer> {
    const asked = askedOf(request, this.#parts.isVouched(request.url));
    const kept =
      (asked?.isVouched === true ? await this.#kept(asked, request) : null) ??
      (await this.#duringOutage(asked, request));
    if (kept !== null) return kept;
    const result = await this.#ask(request);
    const failure = failureOf(result);
    const isOutage = failure !== null && (await this.#parts.outages.confirm(request.url));
    const stale = isOutage ? await this.#stale(asked, request) : null;
    if (failure !== null && stale !== null) {
      this.#parts.spokenFor(
        { requestId: request.requestId, upstream: request.upstreamHost },
        failure.toWire(),
      );
      return stale;
    }
    if (result.kind === 'failed') throw ShoalError.fromWire(result.error);
    if (
      request.what === 'manifest' &&
      result.status === 200 &&
      isSchema1(result.headers['content-type'], result.body)
    ) {
      throw new ShoalError(
        'SCHEMA1_UNSUPPORTED',
        "the registry answered with a manifest of docker's schema 1, which is not " +
          'supported: build the image anew, or let the client accept schema 2 or OCI ' +
          'manifests',
      );
    }
    this.#learn(asked, request, result);
    return { status: result.status, headers: result.headers, body: result.body };
  }

  async #ask({ what, method, url, upstreamHost, headers }: TracedRelay): Promise<RelayResult> {
    const result = await this.#parts.relay({
      kind: 'relay',
      method,
      url,
      upstreamHost,
      headers,
      isManifest: what === 'manifest' && method === 'GET',
    });
    const failure =
      result.kind === 'failed' ? ShoalError.fromWire(result.error) : failureOf(result);
    this.#parts.outages.note(url, failure);
    return result;
  }

  /**
   * While the registry was down a moment ago, what cannot change is not waited for: it is asked
   * beside. Tags are always asked for.
   */
  async #duringOutage(asked: Asked | null, request: TracedRelay): Promise<RelayedAnswer | null> {
    const { outages } = this.#parts;
    const isFixed = request.what === 'ping' || (asked !== null && isSha256(asked.reference));
    if (!isFixed || !outages.isDown(request.url)) return null;
    const stale = await this.#stale(asked, request);
    if (stale !== null && outages.takeTurn(request.url)) void this.#ask(request);
    return stale;
  }

  /**
   * A manifest by digest, without the registry: for a client it accepted within accessTtl, in a
   * form the client takes.
   */
  async #kept(asked: Asked, request: TracedRelay): Promise<RelayedAnswer | null> {
    const { gate, manifests, memory, outages, count } = this.#parts;
    const { scope, reference, authorization, accept } = asked;
    const type = isSha256(reference) ? this.#types.get(`${scope} ${reference}`) : undefined;
    const isConditional =
      'if-none-match' in request.headers || 'if-modified-since' in request.headers;
    if (type === undefined) return null;
    const { contentType, source } = type;
    if (
      isConditional ||
      !admits(accept, contentType) ||
      !gate.mayHave(scope, authorization, reference)
    )
      return null;
    const origin = {
      url: request.url,
      upstreamHost: request.upstreamHost,
      authorization,
      accept: contentType,
    };
    const body = await manifests.read(reference, {
      origin,
      sliceBytes: 0,
      digest: reference,
      requestId: request.requestId,
      ...(request.span === undefined ? {} : { span: request.span }),
      onBehalf: null,
    });
    if (body === null) return null;
    count('manifest.swarm');
    this.#took(scope, body, contentType, source);
    memory.holds(scope, { digest: reference, contentType });
    return manifestAnswer(request, reference, contentType, body, outages.isDown(request.url));
  }

  /**
   * What the registry, which is down, would have said, as far as this client may hear it; null:
   * nothing.
   */
  async #stale(asked: Asked | null, request: TracedRelay): Promise<RelayedAnswer | null> {
    if (request.what === 'ping' && request.headers['authorization'] === undefined)
      return this.#greeting(request);
    if (asked?.isVouched !== true) return null;
    const { gate, manifests, memory, count } = this.#parts;
    const { scope, reference, authorization, accept } = asked;
    const { right, manifest } = await memory.recall(scope, authorization, reference);
    if (right !== null) gate.heard(scope, authorization, right);
    if (!gate.mayHaveStale(scope, authorization))
      return authorization === null ? this.#greeting(request) : null;
    if (manifest === null || !admits(accept, manifest.contentType)) return null;
    const holders = async (): Promise<string[]> => {
      // A client that resolved the tag need not have fetched the manifest.
      const { manifest: same } = isSha256(reference)
        ? { manifest }
        : await memory.recall(scope, authorization, manifest.digest);
      return [...new Set([...(same?.nodes ?? []), ...manifest.nodes])];
    };
    const body = await manifests.readWithout(manifest.digest, holders, request.span);
    if (body === null) return null;
    count(isSha256(reference) ? 'stale.digest' : 'stale.tag');
    this.#took(scope, body, manifest.contentType, 'hearsay');
    return manifestAnswer(request, manifest.digest, manifest.contentType, body, true);
  }

  /**
   * The answer of `/v2/` to a client without a credential, and the challenge of a registry that
   * needs one for everything.
   */
  async #greeting(request: TracedRelay): Promise<RelayedAnswer | null> {
    const { memory, count } = this.#parts;
    const challenge = await memory.recallGreeting(request.upstreamHost);
    const headers = {
      'content-type': 'application/json',
      'docker-distribution-api-version': 'registry/2.0',
      warning: STALE_WARNING,
    };
    if (challenge === undefined || (challenge === null && request.what !== 'ping')) return null;
    count('stale.greeting');
    if (challenge === null) return { status: 200, headers, body: new TextEncoder().encode('{}') };
    const error = new ShoalError(
      'CREDENTIAL_WANTED',
      'the registry is down, and this node knows only whom it accepted before',
    );
    return {
      status: 401,
      headers: { ...headers, 'www-authenticate': challengeFor(challenge, request.repository) },
      body: new TextEncoder().encode(ociErrorBody(error)),
    };
  }

  /**
   * Remembers what an answer of the registry proves: rights, places of manifests, and the
   * challenge.
   */
  #learn(
    asked: Asked | null,
    request: TracedRelay,
    result: RelayResult & { kind: 'answer' },
  ): void {
    const { status, headers, body } = result;
    const { gate, manifests, memory, count } = this.#parts;
    const isAnonymous = request.headers['authorization'] === undefined;
    if (isAnonymous && status === 401) {
      const challenge = lastingChallenge(headers['www-authenticate'] ?? '');
      if (challenge !== null) memory.greeted(request.upstreamHost, challenge);
    }
    if (isAnonymous && status === 200 && request.what === 'ping')
      memory.greeted(request.upstreamHost, null);
    if (asked === null) return;
    const { scope, reference, authorization } = asked;
    if (status === 401 || status === 403 || status === 404) {
      const isKnown = gate.refusedRelay(scope, authorization, status);
      // A registry says 404, too, of a manifest in a form that the client does not take.
      if (status !== 404 || namesEveryForm(asked.accept))
        void memory.refused(scope, authorization, reference, status, isKnown);
      return;
    }
    if (status !== 200) return;
    const manifest = manifestOf(asked, result);
    const { url, upstreamHost } = request;
    gate.relayed(scope, authorization, manifest?.digest ?? null, { url, upstreamHost });
    if (manifest !== null) this.#type(scope, manifest.digest, manifest.contentType, 'registry');
    if (request.method === 'GET') {
      count('manifest.registry');
      this.#took(scope, body, headers['content-type'] ?? '', 'registry');
      if (asked.isVouched && manifest !== null && result.manifest !== null)
        manifests.keep(manifest.digest, body, result.manifest.checksum);
    }
    if (!asked.isVouched) return;
    // The digest names the place of the manifest. A tag names the manifest that it stood for, for a
    // client that left the form to the registry.
    const references = [
      ...(result.manifest === null || manifest === null ? [] : [manifest.digest]),
      ...(isSha256(reference) || !namesEveryForm(asked.accept) ? [] : [reference]),
    ];
    void memory.served(scope, authorization, references, manifest);
  }

  /** A manifest or index of the repository is known: so are the blobs and manifests it names. */
  #took(scope: string, body: Uint8Array, contentType: string, source: TypeSource): void {
    this.#parts.gate.noteManifest(scope, body, contentType, source);
    for (const { digest, mediaType } of manifestsOf(body))
      this.#type(scope, digest, mediaType, 'hearsay');
  }

  #type(scope: string, digest: string, contentType: string, source: TypeSource): void {
    const name = `${scope} ${digest}`;
    const isKnown = source === 'hearsay' && this.#types.peek(name)?.source === 'registry';
    if (!isKnown && !isSchema1(contentType, new Uint8Array(0)))
      this.#types.set(name, { contentType, source });
  }
}

function askedOf(request: TracedRelay, isVouched: boolean): Asked | null {
  const { what, scope, reference, headers } = request;
  if (what !== 'manifest' || scope === null || reference === null) return null;
  return {
    scope,
    reference,
    authorization: headers['authorization'] ?? null,
    accept: headers['accept'],
    isVouched,
  };
}

/**
 * The digest and type of the manifest in an answer, from its bytes if it has them; null if they are
 * not known, or not those requested.
 */
function manifestOf(
  { reference }: Asked,
  { headers, body, manifest }: RelayResult & { kind: 'answer' },
): { digest: string; contentType: string } | null {
  const contentType = headers['content-type'] ?? '';
  const named = headers['docker-content-digest'] ?? (isSha256(reference) ? reference : '');
  const digest = manifest?.digest ?? (body.length === 0 ? named : '');
  const fits =
    isSha256(digest) &&
    isMediaType(contentType) &&
    (digest === named || !isSha256(named)) &&
    (digest === reference || !isSha256(reference));
  return fits ? { digest, contentType } : null;
}

function manifestAnswer(
  request: TracedRelay,
  digest: string,
  contentType: string,
  body: Uint8Array,
  isStale: boolean,
): RelayedAnswer {
  const headers: Record<string, string> = {
    'content-type': contentType,
    'content-length': String(body.length),
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'docker-distribution-api-version': 'registry/2.0',
    ...(isStale ? { warning: STALE_WARNING } : {}),
  };
  return { status: 200, headers, body: request.method === 'HEAD' ? new Uint8Array(0) : body };
}

/**
 * Why a registry that gives this is taken to be down: it cannot be reached, does not answer in
 * time, or fails (5xx); null: it is not.
 */
function failureOf(result: RelayResult): ShoalError | null {
  const error =
    result.kind === 'failed'
      ? ShoalError.fromWire(result.error)
      : new ShoalError('ORIGIN_REFUSED', `answered ${result.status}`, { status: result.status });
  return isDown(error) ? error : null;
}
