import type { Clock } from '../clock.ts';
import type { ClusterSecret } from '../cluster/secret.ts';
import { CONNECTION_HEAD_BYTES_MAX } from '../limits.ts';
import type { PeerCallResult } from '../workers/peer-call.ts';
import type { Pools } from './pools.ts';
import { addressOf } from './transfers.ts';

/** What goes along with a call. */
export interface CallOptions {
  deadlineMs: number;
  answerBytesMax?: number;
  /** The digest a body must have. */
  digest?: string | null;
  /** The `shoal-words` header, sealed. */
  words?: string;
}

/** Small signed questions to other nodes. */
export class PeerCalls {
  readonly #pools: Pick<Pools, 'run'>;
  readonly #secret: ClusterSecret;
  readonly #clock: Clock;

  constructor(pools: Pick<Pools, 'run'>, secret: ClusterSecret, clock: Clock) {
    this.#pools = pools;
    this.#secret = secret;
    this.#clock = clock;
  }

  /** Resolves always, within the deadline. */
  call(node: string, path: string, options: CallOptions): Promise<PeerCallResult> {
    const { deadlineMs, answerBytesMax = CONNECTION_HEAD_BYTES_MAX, words, digest = null } = options;
    const headers: Record<string, string> = { 'shoal-auth': this.#secret.sign('GET', path, this.#clock.wallMs(), words) };
    if (words !== undefined) headers['shoal-words'] = words;
    return this.#pools.run({ kind: 'call', ...addressOf(node), path, headers, answerBytesMax, deadlineMs, digest });
  }
}
