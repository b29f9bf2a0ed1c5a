import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';
import type { RegistryAddress } from '../demo/registry-client.ts';
import { formHeaders, LOGIN_TRIES_MAX, RegistryLogin, repositoryOf } from '../registry/login.ts';
import type { Credentials } from '../registry/docker-config.ts';
import * as z from 'zod';
import { errorTable, ShoalError } from '../errors.ts';
import { ORIGIN_CONNECT_TIMEOUT_MS, PULL_HEAD_TIMEOUT_MS, PULL_SILENCE_MS } from '../limits.ts';
import { PREHEAT_CONCURRENCY } from './limits.ts';
import type { BlobSource } from './preheat-layer.ts';
import { recordedReads, type RangeSource, type RecordedReads } from './preheat-trace.ts';

const swarmView = z.object({
  self: z.string(),
  nodes: z.array(z.object({ node: z.string(), role: z.string(), zone: z.string().nullable() })),
});
const count = z.int().min(0);
const nodeHolding = z.object({
  shards: count,
  held: count,
  error: z.object({ message: z.string() }).nullable(),
});
const ociError = z.object({
  errors: z.array(z.object({ message: z.string(), detail: z.object({ code: z.string() }) })).min(1),
});

export type SwarmView = z.output<typeof swarmView>;
/** How much of a blob a node has, in shards, and what the last failure was. */
export type NodeHolding = z.output<typeof nodeHolding>;

/** Blobs of one registry by way of a node, from any byte on. `close` drops its connections. */
export class NodeBlobs implements BlobSource, RangeSource {
  readonly #address: RegistryAddress;
  readonly #login: RegistryLogin;
  readonly #agent: Agent;

  constructor(
    address: RegistryAddress,
    credentials: Credentials | null,
    connections = PREHEAT_CONCURRENCY,
  ) {
    this.#agent = new Agent({
      connections,
      connect: { timeout: ORIGIN_CONNECT_TIMEOUT_MS },
      headersTimeout: PULL_HEAD_TIMEOUT_MS,
      bodyTimeout: PULL_SILENCE_MS,
    });
    this.#address = address;
    this.#login = new RegistryLogin(credentials, (url, headers, form) =>
      this.#send(url, headers, form),
    );
  }

  async *read(repository: string, digest: string, startBytes: number): AsyncIterable<Uint8Array> {
    const answer = await this.#get(repository, digest, startBytes);
    // A server that does not know ranges sends everything again.
    let surplusBytes = answer.statusCode === 200 ? startBytes : 0;
    for await (const part of this.#bytes(answer, digest)) {
      const skipped = Math.min(surplusBytes, part.length);
      surplusBytes -= skipped;
      if (skipped < part.length) yield part.subarray(skipped);
    }
  }

  async *#bytes({ body }: Dispatcher.ResponseData, digest: string): AsyncIterable<Uint8Array> {
    try {
      for await (const part of body as AsyncIterable<Buffer>) yield part;
    } catch (error) {
      throw new ShoalError('ORIGIN_BROKEN', `blob ${digest} broke off: ${plainReason(error)}`, {
        cause: error,
      });
    }
  }

  async *readRange(
    repository: string,
    digest: string,
    startBytes: number,
    endBytes: number,
  ): AsyncIterable<Uint8Array> {
    const answer = await this.#authorized(this.#url(`/v2/${repository}/blobs/${digest}`), {
      range: `bytes=${startBytes}-${endBytes - 1}`,
    });
    if (
      answer.statusCode !== 206 ||
      !String(answer.headers['content-range']).startsWith(`bytes ${startBytes}-${endBytes - 1}/`)
    ) {
      answer.body.on('error', () => undefined).destroy();
      throw new ShoalError(
        'ORIGIN_REFUSED',
        `${this.#address.url} answered another range than was asked for`,
      );
    }
    yield* this.#bytes(answer, digest);
  }

  /** What was read on demand through the node in the last `seconds`. */
  async recorded(seconds: number): Promise<RecordedReads> {
    const reads = recordedReads.safeParse(
      await this.#json(new URL(`/shoal/trace?seconds=${seconds}`, this.#address.url)),
    );
    if (!reads.success)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#address.url} does not say what was read: is it a Shoal node of this version?`,
      );
    return reads.data;
  }

  /** Who is in the swarm of the node that is asked, and which of them that is. */
  async nodes(): Promise<SwarmView> {
    const view = swarmView.safeParse(await this.#json(new URL('/shoal/nodes', this.#address.url)));
    if (!view.success)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#address.url} does not say who is in its swarm: is it a Shoal node of ` +
          'this version?',
      );
    return view.data;
  }

  /** Has `node` bring a blob to itself; how far it is. */
  async preheat(node: string, repository: string, digest: string): Promise<NodeHolding> {
    const holding = nodeHolding.safeParse(
      await this.#json(this.#url(`/shoal/preheat/${node}/v2/${repository}/blobs/${digest}`)),
    );
    if (!holding.success)
      throw new ShoalError('ORIGIN_BROKEN', `${this.#address.url} does not say how far ${node} is`);
    return holding.data;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #get(
    repository: string,
    digest: string,
    startBytes: number,
  ): Promise<Dispatcher.ResponseData> {
    const url = this.#url(`/v2/${repository}/blobs/${digest}`);
    const answer = await this.#authorized(
      url,
      startBytes === 0 ? {} : { range: `bytes=${startBytes}-` },
    );
    if (
      answer.statusCode === 200 ||
      String(answer.headers['content-range']).startsWith(`bytes ${startBytes}-`)
    )
      return answer;
    await answer.body.dump().catch(() => undefined);
    throw new ShoalError(
      'ORIGIN_REFUSED',
      `${url.origin}${url.pathname} answered another range than was asked for`,
    );
  }

  #url(path: string): URL {
    const url = new URL(path, this.#address.url);
    if (this.#address.namespace !== null) url.searchParams.set('ns', this.#address.namespace);
    return url;
  }

  async #json(url: URL): Promise<unknown> {
    const { body } = await this.#authorized(url, {});
    return body.json().catch(() => null);
  }

  /** A 200 or 206, with a token where one is asked for. */
  async #authorized(url: URL, headers: Record<string, string>): Promise<Dispatcher.ResponseData> {
    for (let attempt = 0; ; attempt++) {
      const sent = this.#login.authorization;
      const answer = await this.#send(
        url,
        sent === null ? headers : { ...headers, authorization: sent },
      );
      const { statusCode } = answer;
      if (statusCode === 200 || statusCode === 206) return answer;
      if (statusCode !== 401 || attempt === LOGIN_TRIES_MAX)
        throw refusal(url, statusCode, await reasonIn(answer));
      await answer.body.dump().catch(() => undefined);
      const mayRenew = attempt === 0 && sent !== null;
      if (!(await this.#login.challenged(answer, sent, repositoryOf(url), mayRenew)))
        throw refusal(url, statusCode);
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
        headers: { ...headers, ...formHeaders(form), 'user-agent': 'shoal-preheat' },
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

/** The path, never the query: that may hold a signature. */
function refusal(url: URL, status: number, reason: string | null = null): ShoalError {
  return new ShoalError(
    'ORIGIN_REFUSED',
    `${url.origin}${url.pathname} answered ${status}${reason === null ? '' : `: ${reason}`}`,
    { status },
  );
}

/** What an error in the OCI format says in a node's own words; null for anybody else's. */
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
