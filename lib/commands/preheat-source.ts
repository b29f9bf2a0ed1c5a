import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';
import type { RegistryAddress } from '../demo/registry-client.ts';
import type { Credentials } from '../demo/registry-token.ts';
import { ShoalError } from '../errors.ts';
import { ORIGIN_CONNECT_TIMEOUT_MS, PREHEAT_CONCURRENCY, PULL_HEAD_TIMEOUT_MS, PULL_SILENCE_MS } from '../limits.ts';
import type { BlobSource } from './preheat-layer.ts';

/** Blobs of one registry by way of a node, from any byte on. `close` drops its connections. */
export class NodeBlobs implements BlobSource {
  readonly #address: RegistryAddress;
  readonly #credentials: Credentials | null;
  readonly #agent = new Agent({
    connections: PREHEAT_CONCURRENCY,
    connect: { timeout: ORIGIN_CONNECT_TIMEOUT_MS },
    headersTimeout: PULL_HEAD_TIMEOUT_MS,
    bodyTimeout: PULL_SILENCE_MS,
  });
  #authorization: string | null = null;

  constructor(address: RegistryAddress, credentials: Credentials | null) {
    this.#address = address;
    this.#credentials = credentials;
  }

  async *read(repository: string, digest: string, startBytes: number): AsyncIterable<Uint8Array> {
    const { body, statusCode } = await this.#get(repository, digest, startBytes);
    // A server that does not know ranges sends everything again.
    let surplusBytes = statusCode === 200 ? startBytes : 0;
    try {
      for await (const part of body as AsyncIterable<Buffer>) {
        const skipped = Math.min(surplusBytes, part.length);
        surplusBytes -= skipped;
        if (skipped < part.length) yield part.subarray(skipped);
      }
    } catch (error) {
      throw new ShoalError('ORIGIN_BROKEN', `blob ${digest} broke off: ${plainReason(error)}`, { cause: error });
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #get(repository: string, digest: string, startBytes: number): Promise<Dispatcher.ResponseData> {
    const url = new URL(`/v2/${repository}/blobs/${digest}`, this.#address.url);
    if (this.#address.namespace !== null) url.searchParams.set('ns', this.#address.namespace);
    const range: Record<string, string> = startBytes === 0 ? {} : { range: `bytes=${startBytes}-` };
    for (let attempt = 0; ; attempt++) {
      const sent = this.#authorization;
      const answer = await this.#send(url, sent === null ? range : { ...range, authorization: sent });
      const { statusCode, headers } = answer;
      if (statusCode === 200) return answer;
      if (statusCode === 206 && String(headers['content-range']).startsWith(`bytes ${startBytes}-`)) return answer;
      await answer.body.dump().catch(() => undefined);
      if (statusCode === 206) throw new ShoalError('ORIGIN_REFUSED', `${url.origin}${url.pathname} answered another range than was asked for`);
      if (statusCode !== 401 || attempt > 0) throw refusal(url, statusCode);
      // Another read may have got a fresh token meanwhile.
      if (sent === this.#authorization) this.#authorization = await this.#answerChallenge(url, String(headers['www-authenticate'] ?? ''));
    }
  }

  async #answerChallenge(url: URL, challenge: string): Promise<string> {
    const login: Record<string, string> = this.#credentials === null ? {} : { authorization: basic(this.#credentials) };
    if (/^basic\b/i.test(challenge) && login['authorization'] !== undefined) return login['authorization'];
    const parameters = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name!.toLowerCase(), value!]));
    const tokenUrl = URL.parse(parameters.get('realm') ?? '');
    if (!/^bearer /i.test(challenge) || tokenUrl === null) throw refusal(url, 401);
    for (const name of ['service', 'scope']) {
      if (parameters.has(name)) tokenUrl.searchParams.set(name, parameters.get(name)!);
    }
    const answer = await this.#send(tokenUrl, login);
    if (answer.statusCode !== 200) {
      await answer.body.dump().catch(() => undefined);
      throw refusal(tokenUrl, answer.statusCode);
    }
    const given = (await answer.body.json().catch(() => null)) as { token?: unknown; access_token?: unknown } | null;
    const token = given?.token ?? given?.access_token;
    if (typeof token !== 'string') throw new ShoalError('ORIGIN_BROKEN', `${tokenUrl.origin}${tokenUrl.pathname} gave no token`);
    return `Bearer ${token}`;
  }

  async #send(url: URL, headers: Record<string, string>): Promise<Dispatcher.ResponseData> {
    try {
      return await request(url, { dispatcher: this.#agent, headers: { ...headers, 'user-agent': 'shoal-preheat' } });
    } catch (error) {
      throw new ShoalError('ORIGIN_UNREACHABLE', `${url.origin} cannot be reached: ${plainReason(error)}`, { cause: error });
    }
  }
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** The path, never the query: that may hold a signature. */
function refusal(url: URL, status: number): ShoalError {
  return new ShoalError('ORIGIN_REFUSED', `${url.origin}${url.pathname} answered ${status}`, { status });
}

/** The system's code or the error's message, on one line. */
function plainReason(error: unknown): string {
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  if (!(cause instanceof Error)) return String(cause);
  return ('code' in cause && typeof cause.code === 'string' ? cause.code : cause.message).replaceAll('\n', ' ');
}
