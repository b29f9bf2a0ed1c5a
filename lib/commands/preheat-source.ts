import type { Dispatcher } from 'undici';
import * as z from 'zod';
import { blobBytes, type RegistryAddress, RegistrySession } from '../demo/registry-session.ts';
import { ShoalError } from '../errors.ts';
import type { Credentials } from '../registry/docker-config.ts';
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

export type SwarmView = z.output<typeof swarmView>;
/** How much of a blob a node has, in shards, and what the last failure was. */
export type NodeHolding = z.output<typeof nodeHolding>;

/** Blobs of one registry by way of a node, from any byte on. `close` drops its connections. */
export class NodeBlobs implements BlobSource, RangeSource {
  readonly #session: RegistrySession;

  constructor(
    address: RegistryAddress,
    credentials: Credentials | null,
    connections = PREHEAT_CONCURRENCY,
  ) {
    this.#session = new RegistrySession(address, credentials, {
      userAgent: 'shoal-preheat',
      connections,
    });
  }

  async *read(repository: string, digest: string, startBytes: number): AsyncIterable<Uint8Array> {
    const answer = await this.#get(repository, digest, startBytes);
    // A server that does not know ranges sends everything again.
    let surplusBytes = answer.statusCode === 200 ? startBytes : 0;
    for await (const part of blobBytes(answer, digest)) {
      const skipped = Math.min(surplusBytes, part.length);
      surplusBytes -= skipped;
      if (skipped < part.length) yield part.subarray(skipped);
    }
  }

  async *readRange(
    repository: string,
    digest: string,
    startBytes: number,
    endBytes: number,
  ): AsyncIterable<Uint8Array> {
    const answer = await this.#session.get(this.#session.url(`/v2/${repository}/blobs/${digest}`), {
      range: `bytes=${startBytes}-${endBytes - 1}`,
    });
    if (
      answer.statusCode !== 206 ||
      !String(answer.headers['content-range']).startsWith(`bytes ${startBytes}-${endBytes - 1}/`)
    ) {
      answer.body.on('error', () => undefined).destroy();
      throw new ShoalError(
        'ORIGIN_REFUSED',
        `${this.#session.address.url} answered another range than was asked for`,
      );
    }
    yield* blobBytes(answer, digest);
  }

  /** What was read on demand through the node in the last `seconds`. */
  async recorded(seconds: number): Promise<RecordedReads> {
    const reads = recordedReads.safeParse(
      await this.#json(new URL(`/shoal/trace?seconds=${seconds}`, this.#session.address.url)),
    );
    if (!reads.success)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#session.address.url} does not say what was read: is it a Shoal node of ` +
          'this version?',
      );
    return reads.data;
  }

  /** Who is in the swarm of the node that is asked, and which of them that is. */
  async nodes(): Promise<SwarmView> {
    const view = swarmView.safeParse(
      await this.#json(new URL('/shoal/nodes', this.#session.address.url)),
    );
    if (!view.success)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#session.address.url} does not say who is in its swarm: is it a Shoal node of ` +
          'this version?',
      );
    return view.data;
  }

  /** Has `node` bring a blob to itself; how far it is. */
  async preheat(node: string, repository: string, digest: string): Promise<NodeHolding> {
    const holding = nodeHolding.safeParse(
      await this.#json(
        this.#session.url(`/shoal/preheat/${node}/v2/${repository}/blobs/${digest}`),
      ),
    );
    if (!holding.success)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#session.address.url} does not say how far ${node} is`,
      );
    return holding.data;
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  async #get(
    repository: string,
    digest: string,
    startBytes: number,
  ): Promise<Dispatcher.ResponseData> {
    const url = this.#session.url(`/v2/${repository}/blobs/${digest}`);
    const answer = await this.#session.get(
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

  async #json(url: URL): Promise<unknown> {
    const { body } = await this.#session.get(url, {});
    return body.json().catch(() => null);
  }
}
