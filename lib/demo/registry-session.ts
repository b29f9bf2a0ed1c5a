import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';
import * as z from 'zod';
import { errorTable, ShoalError } from '../errors.ts';
import { ORIGIN_CONNECT_TIMEOUT_MS, PULL_HEAD_TIMEOUT_MS, PULL_SILENCE_MS } from '../limits.ts';
import type { Credentials } from '../registry/docker-config.ts';
import { formHeaders, LOGIN_TRIES_MAX, RegistryLogin, repositoryOf } from '../registry/login.ts';

export interface RegistryAddress {
  /** Where requests go: the registry itself, or a node standing in for it. */
  url: string;
  /**
   * `ns=` for a node: the registry it stands in for (containerd's mirror convention); null toward a
   * registry.
   */
  namespace: string | null;
}

export interface SessionOptions {
  userAgent: string;
  /** Connections at once. */
  connections: number;
  /** Ends whatever is under way. */
  signal?: AbortSignal;
}

const ociError = z.object({
  errors: z.array(z.object({ message: z.string(), detail: z.object({ code: z.string() }) })).min(1),
});

/**
 * Requests of one pull client to one registry or node. It asks, answers the challenge (Bearer by
 * way of the token server, or Basic), and asks again. `close` drops its connections.
 */
export class RegistrySession {
  readonly address: RegistryAddress;
  readonly #options: SessionOptions;
  readonly #login: RegistryLogin;
  readonly #agent: Agent;

  constructor(address: RegistryAddress, credentials: Credentials | null, options: SessionOptions) {
    this.address = address;
    this.#options = options;
    this.#login = new RegistryLogin(credentials, (url, headers, form) =>
      this.#send(url, headers, form),
    );
    this.#agent = new Agent({
      connections: options.connections,
      connect: { timeout: ORIGIN_CONNECT_TIMEOUT_MS },
      headersTimeout: PULL_HEAD_TIMEOUT_MS,
      bodyTimeout: PULL_SILENCE_MS,
    });
  }

  url(path: string): URL {
    const url = new URL(path, this.address.url);
    if (this.address.namespace !== null) url.searchParams.set('ns', this.address.namespace);
    return url;
  }

  /**
   * An answer with status 200, 206 or one of `accepted`. Throws ORIGIN_REFUSED with the status, or
   * ORIGIN_UNREACHABLE.
   */
  async get(
    url: URL,
    headers: Record<string, string>,
    accepted: readonly number[] = [],
  ): Promise<Dispatcher.ResponseData> {
    for (let attempt = 0; ; attempt++) {
      const sent = this.#login.authorization;
      const answer = await this.#send(
        url,
        sent === null ? headers : { ...headers, authorization: sent },
      );
      const { statusCode } = answer;
      if (statusCode === 200 || statusCode === 206 || accepted.includes(statusCode)) return answer;
      if (statusCode !== 401 || attempt === LOGIN_TRIES_MAX)
        throw refusal(url, statusCode, await reasonIn(answer));
      await answer.body.dump().catch(() => undefined);
      const mayRenew = attempt === 0 && sent !== null;
      if (!(await this.#login.challenged(answer, sent, repositoryOf(url), mayRenew)))
        throw refusal(url, statusCode);
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #send(
    url: URL,
    headers: Record<string, string>,
    form?: URLSearchParams,
  ): Promise<Dispatcher.ResponseData> {
    const { userAgent, signal } = this.#options;
    try {
      return await request(url, {
        dispatcher: this.#agent,
        headers: { ...headers, ...formHeaders(form), 'user-agent': userAgent },
        ...(signal === undefined ? {} : { signal }),
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

/** The bytes of a blob as they come. Throws ORIGIN_BROKEN if the connection breaks. */
export async function* blobBytes(
  { body }: Dispatcher.ResponseData,
  digest: string,
): AsyncIterable<Buffer> {
  try {
    for await (const part of body as AsyncIterable<Buffer>) yield part;
  } catch (error) {
    throw new ShoalError('ORIGIN_BROKEN', `blob ${digest} broke off: ${plainReason(error)}`, {
      cause: error,
    });
  }
}

/** The path, never the query: that may hold a signature. */
function refusal(url: URL, status: number, reason: string | null = null): ShoalError {
  return new ShoalError(
    'ORIGIN_REFUSED',
    `${url.origin}${url.pathname} answered ${status}${reason === null ? '' : `: ${reason}`}`,
    { status },
  );
}

/** The message of an OCI error that a node wrote; null if the error is another server's. */
async function reasonIn(answer: Dispatcher.ResponseData): Promise<string | null> {
  const said = ociError.safeParse(await answer.body.json().catch(() => null));
  return said.success && said.data.errors[0]!.detail.code in errorTable
    ? said.data.errors[0]!.message
    : null;
}

/** The system's code or the error's message, on one line. */
function plainReason(error: unknown): string {
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  if (!(cause instanceof Error)) return String(cause);
  return (
    'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message
  ).replaceAll('\n', ' ');
}
