import { fetchPath, parseHolding, type Holding } from '../../wire/fetch.ts';
import { ShoalError } from '../../errors.ts';
import { PREHEAT_CALL_DEADLINE_MS } from '../limits.ts';
import type { Span } from '../../span.ts';
import type { Member } from '../../swarm/types.ts';
import type { OriginTarget } from '../../origin-target.ts';
import type { BlobName } from '../../workers/messages.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';
import type { Gate } from '../upstream/access-gate.ts';
import type { Holdings } from '../shards/holdings.ts';
import { tracedCall } from '../peers/traced-call.ts';
import type { CallOptions } from '../peers/calls.ts';

export interface PreheatParts {
  self: string;
  members(): readonly Member[];
  gate: Pick<Gate, 'remembered' | 'check'>;
  /** A blob's size, as a client may learn it (see ToldSize); null: not known. */
  sizeOf(blob: BlobName, authorization: string | null): Promise<number | null>;
  holdings: Pick<Holdings, 'hold'>;
  call(node: string, path: string, options: CallOptions): Promise<PeerCallResult>;
}

/**
 * A client's request through one node that another node fetch a blob which the client may read.
 */
export interface PreheatRequest {
  node: string;
  blob: BlobName;
  authorization: string | null;
  requestId: string;
  /** The request's, if it is traced. */
  span?: Span | undefined;
}

/**
 * Makes other nodes fetch blobs on behalf of a client that may read them. The client's credential
 * is sent (sealed) only if a node reports that it cannot get the blob from the swarm alone.
 */
export class Preheats {
  readonly #parts: PreheatParts;

  constructor(parts: PreheatParts) {
    this.#parts = parts;
  }

  /** The nodes of the swarm that a client may choose from. */
  nodes(): { self: string; nodes: { node: string; role: string; zone: string | null }[] } {
    const { self, members } = this.#parts;
    return { self, nodes: members().map(({ node, role, zone }) => ({ node, role, zone })) };
  }

  /**
   * The node's progress; it continues briefly after this. Rejects with the upstream's error,
   * BAD_REQUEST for a node that is not a member, PEER_* if the node does not answer.
   */
  async preheat(request: PreheatRequest): Promise<Holding> {
    const { node, blob, authorization, requestId, span } = request;
    const { self, members, gate, sizeOf, holdings } = this.#parts;
    if (gate.remembered(blob, authorization) === null) {
      const check = span?.child('access check');
      await gate.check(blob, authorization, check?.traceparent).finally(() => check?.end());
    }
    const totalBytes = await sizeOf(blob, authorization);
    if (totalBytes === null)
      throw new ShoalError(
        'BAD_REQUEST',
        'the size of the blob is not known here: read it through this node first',
      );
    const origin: OriginTarget = { url: blob.url, upstreamHost: blob.upstreamHost, authorization };
    if (node === self) return holdings.hold(blob.key, totalBytes, origin, requestId, span);
    if (!members().some((member) => member.node === node))
      throw new ShoalError('BAD_REQUEST', `${node} is not in the swarm of this node`);
    const holding = await this.#ask(request, totalBytes, null);
    return holding.error?.code.startsWith('ORIGIN_') !== true
      ? holding
      : this.#ask(request, totalBytes, origin);
  }

  async #ask(
    { node, blob, requestId, span }: PreheatRequest,
    totalBytes: number,
    origin: OriginTarget | null,
  ): Promise<Holding> {
    const path = fetchPath({ key: blob.key, totalBytes });
    const deadlineMs = PREHEAT_CALL_DEADLINE_MS;
    const result = await tracedCall(span, 'fetch', node, (traceparent) =>
      this.#parts.call(node, path, { deadlineMs, origin, requestId, traceparent }),
    );
    if (result.kind === 'failed') throw ShoalError.fromWire(result.error);
    const holding =
      result.status === 200 ? parseHolding(Buffer.from(result.body).toString('utf8')) : null;
    if (holding === null)
      throw new ShoalError(
        'PEER_BROKEN',
        `${node} answered ${result.status} to a request to fetch a blob`,
      );
    return holding;
  }
}
