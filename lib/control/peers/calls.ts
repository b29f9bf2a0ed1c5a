import type { Clock } from '../../clock.ts';
import type { ClusterSecret } from '../../wire/secret.ts';
import { CONNECTION_HEAD_BYTES_MAX } from '../../limits.ts';
import { REQUEST_ID_HEADER } from '../../telemetry/request-id.ts';
import type { OriginContext } from '../../workers/messages.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';
import type { Pools } from '../threads/pools.ts';
import { addressOf } from './transfers.ts';

/** What goes along with a call. */
export interface CallOptions {
  deadlineMs: number;
  answerBytesMax?: number;
  /** The digest a body must have. */
  digest?: string | null;
  /** The `shoal-words` header, sealed. */
  words?: string;
  /** The way to the origin, to be sealed for the node. */
  origin?: OriginContext | null;
  requestId?: string;
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
    const {
      deadlineMs,
      answerBytesMax = CONNECTION_HEAD_BYTES_MAX,
      words = '',
      digest = null,
      origin = null,
      requestId = '',
    } = options;
    const sealed = origin === null ? '' : this.#secret.seal(JSON.stringify(origin));
    const headers: Record<string, string> = {
      'shoal-auth': this.#secret.sign('GET', path, this.#clock.wallMs(), sealed + words),
    };
    if (sealed !== '') headers['shoal-origin'] = sealed;
    if (words !== '') headers['shoal-words'] = words;
    if (requestId !== '') headers[REQUEST_ID_HEADER] = requestId;
    return this.#pools.run({
      kind: 'call',
      ...addressOf(node),
      path,
      headers,
      answerBytesMax,
      deadlineMs,
      digest,
    });
  }
}
