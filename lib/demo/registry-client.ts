import { createHash } from 'node:crypto';
import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';
import { ShoalError } from '../errors.ts';
import {
  ORIGIN_CONNECT_TIMEOUT_MS,
  PULL_CONCURRENCY,
  PULL_HEAD_TIMEOUT_MS,
  PULL_SILENCE_MS,
} from '../limits.ts';
import { PULL_DOCUMENT_BYTES_MAX } from './limits.ts';
import { formHeaders, LOGIN_TRIES_MAX, RegistryLogin, repositoryOf } from '../registry/login.ts';
import type { Credentials } from '../registry/docker-config.ts';

export interface RegistryAddress {
  /** Where requests go: the registry itself, or a node standing in for it. */
  url: string;
  /**
   * `ns=` for a node: the registry it stands in for (containerd's mirror convention); null toward a
   * registry.
   */
  namespace: string | null;
}

export interface FetchedManifest {
  digest: string;
  mediaType: string;
  bytes: Buffer;
}

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

/**
 * A pull client as container runtimes are: it asks, answers the challenge (Bearer by way of its
 * token server, or Basic), and asks again. One per registry or node; `close` drops its connections.
 */
export class RegistryClient {
  readonly #address: RegistryAddress;
  readonly #login: RegistryLogin;
  readonly #agent = new Agent({
    connections: PULL_CONCURRENCY + 1,
    connect: { timeout: ORIGIN_CONNECT_TIMEOUT_MS },
    headersTimeout: PULL_HEAD_TIMEOUT_MS,
    bodyTimeout: PULL_SILENCE_MS,
  });
  readonly #signal: AbortSignal;

  /** `signal` ends whatever is under way. */
  constructor(address: RegistryAddress, credentials: Credentials | null, signal: AbortSignal) {
    this.#address = address;
    this.#login = new RegistryLogin(credentials, (url, headers, form) =>
      this.#send(url, headers, form),
    );
    this.#signal = signal;
  }

  /**
   * The manifest or index under a tag or digest, with the digest of its bytes; DIGEST_MISMATCH when
   * the reference is another digest. Throws ORIGIN_REFUSED with the status, ORIGIN_UNREACHABLE, or
   * ORIGIN_BROKEN when it is too long.
   */
  async manifest(repository: string, reference: string): Promise<FetchedManifest> {
    const answer = await this.#get(`/v2/${repository}/manifests/${reference}`, { accept: ACCEPT });
    const bytes = await documentOf(answer.body);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (reference.startsWith('sha256:') && reference !== digest)
      throw new ShoalError('DIGEST_MISMATCH', `manifest ${reference} arrived as ${digest}`);
    return {
      digest,
      mediaType: String(answer.headers['content-type'] ?? '')
        .split(';')[0]!
        .trim(),
      bytes,
    };
  }

  /**
   * Reads a blob to its end, telling the length of each part as it comes; returns the digest of
   * what came.
   */
  async blob(
    repository: string,
    digest: string,
    onBytes: (bytes: number) => void,
  ): Promise<string> {
    const { body } = await this.#get(`/v2/${repository}/blobs/${digest}`, {});
    const hash = createHash('sha256');
    try {
      for await (const part of body as AsyncIterable<Buffer>) {
        hash.update(part);
        onBytes(part.length);
      }
    } catch (error) {
      throw new ShoalError('ORIGIN_BROKEN', `blob ${digest} broke off: ${plainReason(error)}`, {
        cause: error,
      });
    }
    return `sha256:${hash.digest('hex')}`;
  }

  /**
   * The `host:port` that a blob of this registry is redirected to, if it is; one byte is asked for.
   */
  async blobHost(repository: string, digest: string): Promise<string | null> {
    const answer = await this.#get(
      `/v2/${repository}/blobs/${digest}`,
      { range: 'bytes=0-0' },
      [307, 302, 308, 301, 303],
    );
    answer.body.on('error', () => undefined).destroy();
    const location = answer.headers['location'];
    if (typeof location !== 'string' || !URL.canParse(location, this.#address.url)) return null;
    return new URL(location, this.#address.url).host;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #get(
    path: string,
    headers: Record<string, string>,
    accepted: readonly number[] = [],
  ): Promise<Dispatcher.ResponseData> {
    const url = new URL(path, this.#address.url);
    if (this.#address.namespace !== null) url.searchParams.set('ns', this.#address.namespace);
    for (let attempt = 0; ; attempt++) {
      const sent = this.#login.authorization;
      const answer = await this.#send(
        url,
        sent === null ? headers : { ...headers, authorization: sent },
      );
      if (
        answer.statusCode === 200 ||
        answer.statusCode === 206 ||
        accepted.includes(answer.statusCode)
      )
        return answer;
      await answer.body.dump().catch(() => undefined);
      if (answer.statusCode !== 401 || attempt === LOGIN_TRIES_MAX) throw refusal(url, answer);
      const mayRenew = attempt === 0 && sent !== null;
      if (!(await this.#login.challenged(answer, sent, repositoryOf(url), mayRenew)))
        throw refusal(url, answer);
    }
  }

  async #send(
    url: URL,
    headers: Record<string, string>,
    form?: URLSearchParams,
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await request(url, {
        dispatcher: this.#agent,
        headers: { ...headers, ...formHeaders(form), 'user-agent': 'shoal-up' },
        signal: this.#signal,
        ...(form === undefined ? {} : { method: 'POST', body: form.toString() }),
      });
    } catch (error) {
      throw new ShoalError(
        'ORIGIN_UNREACHABLE',
        `${url.origin} cannot be reached: ${plainReason(error)}`,
        { cause: error },
      );
    }
  }
}

async function documentOf(body: Dispatcher.ResponseData['body']): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > PULL_DOCUMENT_BYTES_MAX)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `a document of more than ${PULL_DOCUMENT_BYTES_MAX} bytes`,
      );
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** The path, never the query: that may hold a signature. */
function refusal(url: URL, answer: Dispatcher.ResponseData): ShoalError {
  return new ShoalError(
    'ORIGIN_REFUSED',
    `${url.origin}${url.pathname} answered ${answer.statusCode}`,
    { status: answer.statusCode },
  );
}

/** The system's code or the error's message, on one line. */
function plainReason(error: unknown): string {
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  if (!(cause instanceof Error)) return String(cause);
  return (
    'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message
  ).replaceAll('\n', ' ');
}
