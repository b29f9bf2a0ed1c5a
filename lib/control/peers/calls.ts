import { CONNECTION_HEAD_BYTES_MAX } from '../../limits.ts';
import type { Enclosed, Envelope } from '../../wire/envelope.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';
import type { Pools } from '../threads/pools.ts';

/** The bounds and the contents of a call. */
export interface CallOptions extends Enclosed {
  /** null: as long as the node makes progress. */
  deadlineMs: number | null;
  answerBytesMax?: number;
  /** The digest that the body must match. */
  digest?: string | null;
}

/** Small requests to other nodes; each answer is one body in memory. */
export class PeerCalls {
  readonly #pools: Pick<Pools, 'run'>;
  readonly #envelope: Envelope;

  constructor(pools: Pick<Pools, 'run'>, envelope: Envelope) {
    this.#pools = pools;
    this.#envelope = envelope;
  }

  /** Always resolves, within the deadline if there is one. */
  call(node: string, path: string, options: CallOptions): Promise<PeerCallResult> {
    const { deadlineMs, answerBytesMax = CONNECTION_HEAD_BYTES_MAX, digest = null } = options;
    return this.#pools.run({
      kind: 'call',
      node,
      path,
      headers: this.#envelope.headers(node, path, options),
      answerBytesMax,
      deadlineMs,
      digest,
    });
  }
}
