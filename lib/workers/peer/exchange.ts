import { ShoalError } from '../../errors.ts';
import type { Clock } from '../../clock.ts';
import {
  ConnectionBroken,
  type BodySink,
  type HttpConnection,
  type HttpResponse,
  type LineHints,
} from '../../io/http-connection.ts';
import type { ResponseHead } from '../../io/response-head.ts';
import type { Look } from '../../io/looks.ts';
import { SHARD_BYTES } from '../../limits.ts';
import { envelopeError } from '../../wire/envelope.ts';
import { addressOf } from '../../wire/fields.ts';
import {
  BUSY_PACE_MS,
  PEER_CONNECT_MS,
  PEER_CONNECT_MS_MAX,
  PEER_CONNECT_TRIES,
} from '../limits.ts';
import { NoConnection } from './connection.ts';
import { type Patience, Progress } from './progress.ts';

/** A request to another node, signed by control. */
export interface PeerRequest {
  node: string;
  /** Path and query. */
  path: string;
  /** With the Host header. */
  headers: Record<string, string>;
  /** What this node's line needs for a shard, in ms; null or absent: not known. */
  shardMs?: number | null;
  /** How long the bytes of a shard may be gathered; default GATHER_MS. */
  gatherMs?: number;
}

/** What the caller of an exchange decides. */
interface ExchangePlan {
  /** The whole exchange ends by then; null: as long as the node makes progress. */
  deadlineMs: number | null;
  /** How long the node may make no progress; default PEER_SILENCE_MS. */
  patience?: Patience;
  /** Asked every LOOK_MS and with every read; true ends the exchange with CANCELLED. */
  isCancelled?(): boolean;
  /** Where the body of a 200 goes; without it, and for any other status, it is collected. */
  body?: Omit<BodySink, 'head'> & {
    /** Checks the head of a 200. May throw, which ends the exchange. */
    head(head: ResponseHead): void;
  };
}

type PeerConnection = Pick<HttpConnection, 'exchange' | 'destroy'>;

/** See PeerConnections. */
interface PeerNetwork {
  take(host: string, port: number): PeerConnection | null;
  open(host: string, port: number, connectMs: number): PeerConnection;
  give(host: string, port: number, connection: PeerConnection): void;
}

export interface ExchangeTools extends Pick<Clock, 'nowMs' | 'after'> {
  peers: PeerNetwork;
  /** See Looks. */
  looks: { add(look: Look): () => void };
}

/**
 * Sends a request to another node; resolves with its response, once the body is whole. Rejects with
 * PEER_UNREACHABLE, PEER_BROKEN, PEER_TIMEOUT, PEER_VERSION, PEER_UNAUTHORIZED, CANCELLED, or what
 * `body` threw, and only when nothing will be written to the body's place any more. A kept
 * connection that the other side has closed says nothing about the node: the request is then sent
 * once more, on a new one. So is a request whose connection was lost on the line.
 */
export async function exchange(
  request: PeerRequest,
  plan: ExchangePlan,
  tools: ExchangeTools,
): Promise<HttpResponse> {
  const dueMs = plan.deadlineMs === null ? null : tools.nowMs() + plan.deadlineMs;
  const { host, port } = addressOf(request.node);
  const connectMs = Math.min(
    PEER_CONNECT_MS_MAX,
    Math.max(PEER_CONNECT_MS, (request.shardMs ?? 0) / 2),
  );
  let kept = tools.peers.take(host, port);
  for (let triesLeft = PEER_CONNECT_TRIES; ;) {
    const attempt = new Attempt(request, plan, tools, dueMs);
    try {
      return await attempt.on(kept ?? tools.peers.open(host, port, connectMs));
    } catch (thrown) {
      const isStale = kept !== null && !attempt.hasAnswered && thrown instanceof ConnectionBroken;
      const isLost = thrown instanceof ConnectionBroken && thrown.cause instanceof NoConnection;
      if (!isStale && !(isLost && --triesLeft > 0)) throw peerError(thrown, request.node);
      kept = null;
    }
  }
}

class Attempt {
  /** Whether a response head has come. */
  hasAnswered = false;
  readonly #request: PeerRequest;
  readonly #plan: ExchangePlan;
  readonly #tools: ExchangeTools;
  readonly #dueMs: number | null;
  readonly #progress: Progress;

  constructor(
    request: PeerRequest,
    plan: ExchangePlan,
    tools: ExchangeTools,
    dueMs: number | null,
  ) {
    this.#request = request;
    this.#plan = plan;
    this.#tools = tools;
    this.#dueMs = dueMs;
    this.#progress = new Progress(tools.nowMs, plan.patience);
  }

  async on(connection: PeerConnection): Promise<HttpResponse> {
    const { node } = this.#request;
    const { body } = this.#plan;
    const stopLooking = this.#isBounded
      ? () => undefined
      : this.#tools.looks.add(() => {
          const error = this.#cancelled() ?? this.#stalled();
          if (error !== null) connection.destroy(error);
        });
    const timer =
      this.#dueMs === null
        ? null
        : this.#tools.after(this.#dueMs - this.#tools.nowMs(), () =>
            connection.destroy(this.#late()),
          );
    let receivedBytes = 0;
    try {
      const sink: BodySink = {
        head: (head) => {
          this.hasAnswered = true;
          this.#progress.head();
          if (body === undefined || head.status !== 200) return 'collect';
          body.head(head);
          return 'place';
        },
        room: (fromBytes, lengthBytes) => body!.room(fromBytes, lengthBytes),
        placed: (bytes) => {
          const error = this.#cancelled();
          if (error !== null) throw error;
          this.#progress.came(bytes - receivedBytes);
          receivedBytes = bytes;
          body!.placed(bytes);
        },
      };
      const response = await connection.exchange(headOf(this.#request), sink, this.#line);
      const { host, port } = addressOf(node);
      this.#tools.peers.give(host, port, connection);
      const refused = envelopeError(node, response.head.status, response.body.toString('utf8'));
      if (refused !== null) throw refused;
      return response;
    } finally {
      stopLooking();
      timer?.cancel();
    }
  }

  get #line(): LineHints {
    const { shardMs, gatherMs } = this.#request;
    return { bytesPerMs: shardMs == null ? null : SHARD_BYTES / shardMs, gatherMs };
  }

  /** Whether its deadline is all that ends it: a call that is held wakes nothing meanwhile. */
  get #isBounded(): boolean {
    return this.#dueMs !== null && this.#plan.isCancelled === undefined;
  }

  #cancelled(): ShoalError | null {
    return this.#plan.isCancelled?.() === true
      ? new ShoalError('CANCELLED', 'the transfer is not wanted any more')
      : null;
  }

  #stalled(): ShoalError | null {
    // A call is bounded by its deadline.
    if (this.#dueMs !== null || !this.#progress.hasStalled) return null;
    return new ShoalError(
      this.#progress.isDrip ? 'PEER_BROKEN' : 'PEER_TIMEOUT',
      `${this.#request.node} made no progress for ${this.#progress.silenceMs} ms`,
    );
  }

  #late(): ShoalError {
    const { deadlineMs } = this.#plan;
    return new ShoalError(
      'PEER_TIMEOUT',
      `${this.#request.node} did not answer within ${deadlineMs} ms`,
    );
  }
}

/** The bytes of a request. */
function headOf({ path, headers }: PeerRequest): string {
  let head = `GET ${path} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
  return `${head}\r\n`;
}

function peerError(thrown: unknown, node: string): ShoalError {
  if (!(thrown instanceof ConnectionBroken)) return ShoalError.from(thrown, 'PEER_BROKEN');
  return new ShoalError(
    thrown.code === 'SOCKET' ? 'PEER_UNREACHABLE' : 'PEER_BROKEN',
    `${node}: ${thrown.message}`,
    { cause: thrown },
  );
}

/**
 * An answer whose pause, if it is "busy", keeps to BUSY_PACE_MS; the node was asked at `sinceMs`.
 */
export function paced<Answer extends { kind: string }>(
  answer: Answer,
  sinceMs: number,
  nowMs: number,
): Answer {
  if (answer.kind !== 'busy') return answer;
  const { retryMs } = answer as Answer & { retryMs: number };
  return { ...answer, retryMs: Math.max(retryMs, BUSY_PACE_MS - Math.floor(nowMs - sinceMs)) };
}
