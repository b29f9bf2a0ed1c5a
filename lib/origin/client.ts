import { systemClock, type Clock } from '../clock.ts';
import { objectOf, type OriginTarget, type Redirect } from '../origin-target.ts';
import { ShoalError } from '../errors.ts';
import type { Bucket } from '../registry/vouching.ts';
import type { SplitUrl } from '../registry/url.ts';
import { OriginConnections, type ConnectionTools, type OriginOptions } from './connections.ts';
import { clampRange, notSatisfiable, type AskedRange } from './content-range.ts';
import type { Follower } from './follow.ts';
import { HEAD_CHECK_MS, PING_TIMEOUT_MS, RETIRED_CONFIG_MS, SHORT_PARTS_MAX } from './limits.ts';
import {
  followRequest,
  NOWHERE,
  RangeAsker,
  type HeadFact,
  type OriginCost,
} from './range-asker.ts';
import type { PingAnswer } from './outages.ts';
import { RangeReader, type OriginSink } from './range-reader.ts';
import { RedirectMemory } from './redirect-memory.ts';
import { readDocument, relay, type RelayAnswer, type RelayRequest } from './relay.ts';
import { WholeStream } from './whole-stream.ts';
import { WholeStreams } from './whole-streams.ts';

/** Handed in by tests; the defaults are the real ones. */
export interface OriginTools extends ConnectionTools {
  /** A registry's redirect has led to a blob in object storage. */
  redirected?: (bucket: Bucket) => void;
}

export interface ReadOptions {
  /** What is known of the origin's support for ranges, for this object. */
  ranges: HeadFact['ranges'];
  /**
   * Whether an answer that holds the rest of the object may become a stream, from which later reads
   * in this thread take their parts. Where it may not the read fails with WholeOnly.
   */
  mayStream: boolean;
  learned?: (fact: HeadFact) => void;
  /** A redirect target that another thread has used. */
  redirect?: Redirect | undefined;
  /** Whether another thread got an answer as DirectTransport takes it. */
  isPlain?: boolean | undefined;
}

const DEFAULT_READ: ReadOptions = { ranges: 'unknown', mayStream: true };

/**
 * Reads from registries and the object stores behind them, over HTTP/1.1 with connections kept
 * alive, TLS verified. Redirects are followed inside, each hop checked against the allow-list; the
 * credential goes to the first origin (scheme, host and port) only. Error messages hold no query
 * and no credential.
 *
 * Every object that a plain GET serves can be read, whatever the origin does with ranges: see
 * WholeStream.
 */
export class OriginClient {
  readonly #clock: Clock;
  readonly #tools: OriginTools;
  readonly #asker: RangeAsker;
  readonly #streams = new WholeStreams();
  #connections: OriginConnections;
  /** Of the config before, for pulls that began under it. */
  #previous: OriginConnections | null = null;

  constructor(options: OriginOptions, tools: OriginTools = {}) {
    this.#tools = tools;
    this.#clock = tools.clock ?? systemClock;
    this.#connections = new OriginConnections(options, tools);
    this.#asker = new RangeAsker({
      follower: (home) => this.#follower(home),
      clock: this.#clock,
      redirects: new RedirectMemory(this.#clock),
      streams: this.#streams,
      redirected: tools.redirected ?? (() => undefined),
    });
  }

  /**
   * Takes up another config. Requests under way go on as they began; hosts that only the config
   * before allowed may be asked for RETIRED_CONFIG_MS more, since pulls under way need them. New
   * requests of clients are held to the new config by the fronts.
   */
  configure(options: OriginOptions): void {
    void this.#previous?.retire();
    const previous = this.#connections;
    this.#previous = previous;
    this.#connections = new OriginConnections(options, this.#tools);
    this.#clock.after(RETIRED_CONFIG_MS, () => {
      if (this.#previous !== previous) return;
      this.#previous = null;
      void previous.retire();
    });
  }

  #follower(home: SplitUrl): Follower {
    const previous = this.#previous;
    return previous !== null && !this.#connections.allows(home) && previous.allows(home)
      ? previous.follower
      : this.#connections.follower;
  }

  /**
   * Reads up to `lengthBytes` from `offsetBytes` on, less where the object ends earlier. The sink
   * gets the size before the first byte. Resolves once every byte was handed over.
   * @throws ShoalError ORIGIN_REFUSED (with the upstream's status, `www-authenticate`,
   * `retry-after` and body), RANGE_NOT_SATISFIABLE (size in `content-range`), ORIGIN_UNREACHABLE,
   * ORIGIN_TIMEOUT, ORIGIN_BROKEN, HOST_NOT_ALLOWED, CANCELLED, or what the sink threw
   */
  async readRange(
    target: OriginTarget,
    want: { offsetBytes: number; lengthBytes: number; totalBytes: number | null },
    sink: OriginSink,
    options: Partial<ReadOptions> = {},
  ): Promise<OriginCost> {
    const { ranges, mayStream, learned, redirect, isPlain } = { ...DEFAULT_READ, ...options };
    const cost = { requests: 0 };
    if (want.totalBytes === 0 && want.offsetBytes === 0) {
      sink.head({ totalBytes: 0, startBytes: 0, lengthBytes: 0 });
      return cost;
    }
    if (want.totalBytes !== null && want.offsetBytes >= want.totalBytes)
      throw notSatisfiable(want.totalBytes);
    const deadlineMs = this.#clock.nowMs() + this.#connections.answerDeadlineMs;
    if (target.accept !== undefined) {
      const request = followRequest(target, deadlineMs, cost);
      await readDocument(this.#follower(request.home), request, target, want, sink);
      return cost;
    }
    let left = clampRange(want);
    const whole = headOnce(sink, left);
    let hasAskedAgain = false;
    for (let parts = 0; parts < SHORT_PARTS_MAX; parts++) {
      const stream = this.#streams.find(objectOf(target), left.offsetBytes);
      if (stream !== null) {
        learned?.({ ranges: 'whole', totalBytes: stream.totalBytes, atHome: false });
        await stream.read(left.offsetBytes, left.endBytes, whole);
        return cost;
      }
      const answer = await this.#asker.ask(
        {
          target,
          asked: left,
          sink: whole,
          form: ranges === 'whole' && left.offsetBytes === 0 ? 'plain' : 'range',
          beyond: mayStream ? 'stream' : 'refuse',
          mayUseMemory: true,
          redirect,
          isPlain,
          deadlineMs:
            parts === 0 ? deadlineMs : this.#clock.nowMs() + this.#connections.answerDeadlineMs,
          cost,
          learned: learned ?? (() => undefined),
        },
        ranges,
      );
      if (answer instanceof WholeStream) {
        await answer.read(left.offsetBytes, left.endBytes, whole);
        return cost;
      }
      if (answer.again !== null) {
        if (hasAskedAgain)
          throw new ShoalError(
            'ORIGIN_BROKEN',
            `${target.upstreamHost} does not keep to the ranges asked for`,
          );
        hasAskedAgain = true;
        left = clampRange({ ...want, totalBytes: answer.again });
        continue;
      }
      answer.finish();
      const atBytes = left.offsetBytes + answer.givenBytes;
      const totalBytes = answer.totalBytes ?? left.totalBytes;
      const endBytes = totalBytes === null ? left.endBytes : Math.min(left.endBytes, totalBytes);
      if (atBytes >= endBytes) return cost;
      left = { offsetBytes: atBytes, endBytes, totalBytes };
    }
    throw new ShoalError(
      'ORIGIN_BROKEN',
      `${target.upstreamHost} sent more than ${SHORT_PARTS_MAX} parts for one range`,
    );
  }

  /**
   * Opens a stream of everything from `fromBytes` on, for reads to come: the right to ask again may
   * end soon. Resolves with the answer's head; false when no such stream came of it.
   * @throws ShoalError as readRange
   */
  async hold(
    target: OriginTarget,
    {
      fromBytes,
      totalBytes,
      redirect,
    }: { fromBytes: number; totalBytes: number | null; redirect?: Redirect | undefined },
  ): Promise<boolean> {
    if (this.#streams.find(objectOf(target), fromBytes) !== null) return true;
    const answer = await this.#asker.ask(
      {
        target,
        asked: { offsetBytes: fromBytes, endBytes: fromBytes + 1, totalBytes },
        sink: NOWHERE,
        form: 'open',
        beyond: 'stream',
        mayUseMemory: true,
        redirect,
        deadlineMs: this.#clock.nowMs() + this.#connections.answerDeadlineMs,
        cost: { requests: 0 },
        learned: () => undefined,
      },
      'parts',
    );
    return answer instanceof WholeStream;
  }

  /**
   * Whether this very credential (or signed URL) opens the object: a GET of one byte, or a HEAD
   * where the origin does not serve ranges. It never uses a remembered redirect. Its cost is the
   * access check's, not back-to-source. `totalBytes` is null when the origin does not tell.
   * @throws ShoalError as readRange
   */
  async probe(
    target: OriginTarget,
    options: Partial<Pick<ReadOptions, 'ranges'>> = {},
  ): Promise<{ totalBytes: number | null; ranges: HeadFact['ranges'] }> {
    const ranges = options.ranges ?? 'unknown';
    const deadlineMs = this.#clock.nowMs() + this.#connections.answerDeadlineMs;
    const cost = { requests: 0 };
    if (ranges === 'whole') {
      const totalBytes = await this.#headSize(target, cost);
      if (totalBytes !== null) return { totalBytes, ranges: 'unknown' };
    }
    const answer = await this.#asker.ask(
      {
        target,
        asked: clampRange({ offsetBytes: 0, lengthBytes: 1, totalBytes: null }),
        sink: NOWHERE,
        form: ranges === 'whole' ? 'plain' : 'range',
        beyond: 'size',
        mayUseMemory: false,
        deadlineMs,
        cost,
        learned: () => undefined,
      },
      ranges,
    );
    // One byte or none says nothing: a whole of that size looks like a part.
    const { totalBytes } = answer;
    const isPart = answer instanceof RangeReader && answer.isPart;
    const isTelling = totalBytes === null || totalBytes > 1;
    return { totalBytes, ranges: isPart ? 'parts' : isTelling ? 'whole' : 'unknown' };
  }

  /**
   * The object's size by a HEAD; null: it says none. Some pull-through caches answer a HEAD only
   * when they have fetched the whole object, so it may not take long.
   */
  async #headSize(target: OriginTarget, cost: OriginCost): Promise<number | null> {
    const request = followRequest(target, this.#clock.nowMs() + HEAD_CHECK_MS, cost);
    try {
      const head = await relay(this.#follower(request.home), { ...request, method: 'HEAD' });
      const length = head.headers['content-length'];
      return head.status === 200 && length !== undefined && /^\d{1,15}$/.test(length)
        ? Number(length)
        : null;
    } catch (thrown) {
      if (thrown instanceof ShoalError && thrown.code === 'ORIGIN_TIMEOUT') return null;
      throw thrown;
    }
  }

  /**
   * Passes a request through: GET or HEAD, with the Accept and Authorization it came with. Any
   * status is an answer.
   * @throws ShoalError ORIGIN_UNREACHABLE, ORIGIN_TIMEOUT, ORIGIN_BROKEN (longer than
   * RELAY_BODY_BYTES_MAX, or a coding that cannot be decoded), HOST_NOT_ALLOWED
   */
  async relay(request: RelayRequest): Promise<RelayAnswer> {
    const deadlineMs = this.#clock.nowMs() + this.#connections.answerDeadlineMs;
    const { url, upstreamHost, headers } = request;
    const target = { url, upstreamHost, authorization: headers['authorization'] ?? null };
    const following = followRequest(target, deadlineMs, { requests: 0 });
    return relay(
      this.#follower(following.home),
      { ...following, method: request.method === 'HEAD' ? 'HEAD' : 'GET' },
      request.headers,
    );
  }

  /**
   * The status of `<origin>/v2/` to a request without credentials; null: no answer. Of a registry
   * with mirrors one that answers is enough.
   */
  async ping(origin: string): Promise<PingAnswer> {
    const { mirrors, pinger } = this.#connections;
    const asking = mirrors.inOrder(origin).map(async (upstream) => {
      const status = await pinger.statusOf(upstream, PING_TIMEOUT_MS);
      if (typeof status === 'number' && status < 500) return status;
      throw new PingFailed(status);
    });
    return Promise.any(asking).catch(
      ({ errors }: AggregateError) => (errors as PingFailed[])[0]?.status ?? null,
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#connections.close(), this.#previous?.close()]);
  }
}

class PingFailed extends Error {
  readonly status: PingAnswer;

  constructor(status: PingAnswer) {
    super('not an answer of a registry that serves');
    this.status = status;
  }
}

/** A sink that hears one head, for the whole of `asked`, however many answers bring its bytes. */
function headOnce(sink: OriginSink, asked: AskedRange): OriginSink {
  let isToldSize = false;
  return {
    head: ({ totalBytes }) => {
      if (isToldSize) return;
      isToldSize = true;
      const lengthBytes = Math.max(0, Math.min(asked.endBytes, totalBytes) - asked.offsetBytes);
      sink.head({ totalBytes, startBytes: asked.offsetBytes, lengthBytes });
    },
    data: (chunk) => sink.data(chunk),
    room: (bytesMax) => sink.room(bytesMax),
    placed: (bytes) => sink.placed(bytes),
    stopped: () => sink.stopped(),
  };
}
