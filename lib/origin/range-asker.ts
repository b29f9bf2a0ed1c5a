import type { Clock } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { objectOf, type OriginTarget, type Redirect } from '../origin-target.ts';
import { joinUrl, splitUrl, type SplitUrl } from '../registry/url.ts';
import { bucketOf, type Bucket } from '../registry/vouching.ts';
import type { AskedRange } from './content-range.ts';
import { NotPlain } from './direct.ts';
import type { Flow } from './exchange.ts';
import { EXPIRED, type Follower, type FollowRequest } from './follow.ts';
import { STREAM_GAP_MS, STREAM_HELD_GAP_MS } from './limits.ts';
import { RangeReader, WholeOnly, type OriginSink } from './range-reader.ts';
import type { KnownPlace, RedirectMemory } from './redirect-memory.ts';
import { WholeStream, type StreamBody } from './whole-stream.ts';
import type { WholeStreams } from './whole-streams.ts';

/** What the origin's answer to a read taught, told as soon as its head has come. */
export interface HeadFact {
  /** `whole`: the origin does not serve parts of this object now. */
  ranges: 'parts' | 'whole' | 'unknown';
  totalBytes: number | null;
  /** Whether the registry itself has just accepted the credential. */
  atHome: boolean;
  /** The redirect target that sent the part, if one did; other threads may use it, too. */
  redirect?: Redirect;
  /** Whether this was an answer as DirectTransport takes it: other threads may use that, too. */
  isPlain?: boolean;
}

/** What a read cost the origin. */
export interface OriginCost {
  /** HTTP requests sent, redirects and repeats included. */
  requests: number;
}

/**
 * Whether a status may be about the range: servers, proxies and filters give nearly any to a GET
 * with Range that they would serve without one. The ones listed are about the client, the object
 * and the rate. Where the origin serves ranges, so are a server's errors, and 403 says that a
 * signed URL has ended.
 */
const maybeAboutRange = (status: number, ranges: HeadFact['ranges']): boolean =>
  ![401, 404, 407, 429].includes(status) &&
  (ranges !== 'parts' || (status !== 403 && status < 500));

/** One request for bytes of an object. */
export interface Ask {
  target: OriginTarget;
  asked: AskedRange;
  sink: OriginSink;
  form: 'range' | 'open' | 'plain';
  beyond: 'stream' | 'refuse' | 'size';
  mayUseMemory: boolean;
  /** A redirect target that another thread has used, for when this one knows none. */
  redirect?: Redirect | undefined;
  /** What another thread has learned; see HeadFact. */
  isPlain?: boolean | undefined;
  deadlineMs: number;
  cost: OriginCost;
  learned: (fact: HeadFact) => void;
  /** See FollowRequest. */
  mayDropRange?: boolean;
}

interface RangeAskerParts {
  follower: (home: SplitUrl) => Follower;
  clock: Clock;
  redirects: RedirectMemory;
  streams: WholeStreams;
  redirected(bucket: Bucket): void;
}

/** Asks an origin for bytes of an object, in whichever form it answers. */
export class RangeAsker {
  readonly #follower: (home: SplitUrl) => Follower;
  readonly #clock: Clock;
  readonly #redirects: RedirectMemory;
  readonly #streams: WholeStreams;
  readonly #redirected: (bucket: Bucket) => void;

  constructor(parts: RangeAskerParts) {
    this.#follower = parts.follower;
    this.#clock = parts.clock;
    this.#redirects = parts.redirects;
    this.#streams = parts.streams;
    this.#redirected = parts.redirected;
  }

  /** Asks in the form given, and once more without Range when that is what may have failed. */
  async ask(ask: Ask, ranges: HeadFact['ranges']): Promise<RangeReader | WholeStream> {
    const mayDropRange = ranges !== 'parts' && ask.form === 'range';
    const answer = await this.#askOnce({ ...ask, mayDropRange });
    if (answer instanceof WholeStream) return answer;
    const { refusedStatus } = answer;
    if (refusedStatus === null) return answer;
    const mayTryPlain =
      ask.form !== 'plain' && (answer.wantsPlain || maybeAboutRange(refusedStatus, ranges));
    if (!mayTryPlain) throw answer.refusal();
    const mayTakeWhole = ask.beyond !== 'refuse';
    const plain = await this.#askOnce(
      mayTakeWhole
        ? { ...ask, form: 'plain' }
        : { ...ask, form: 'plain', beyond: 'size', sink: NOWHERE, learned: () => undefined },
    );
    if (!(plain instanceof WholeStream) && plain.refusedStatus !== null) throw plain.refusal();
    // What was refused was the range, not the client.
    if (!mayTakeWhole) throw new WholeOnly(ask.target.upstreamHost);
    return plain;
  }

  /**
   * One request, at the remembered redirect target first. When that has expired: through the
   * registry. When the registry no longer takes the credential: at the last good target again.
   */
  async #askOnce(ask: Ask): Promise<RangeReader | WholeStream> {
    const { target } = ask;
    const { authorization } = target;
    const base = followRequest(target, ask.deadlineMs, ask.cost);
    const { home } = base;
    const known = ask.mayUseMemory ? this.#place(ask) : null;
    const isHome = known?.url === joinUrl(home);
    if (known !== null && !isHome && known.isFresh) {
      const answer = await this.#askAt(ask, known);
      if (answer !== null) return answer;
    }
    const request: FollowRequest = {
      ...base,
      headers: { ...base.headers, ...rangeHeader(ask) },
      isPlain: isHome && known.isPlain && ask.form === 'range',
      arrived: (last, at) => {
        const bucket = last === at ? null : bucketOf(at, last);
        if (bucket !== null) this.#redirected(bucket);
      },
    };
    const { answer, last, referer } = await this.#send(ask, request, { known, atHome: true });
    if (answer instanceof WholeStream || last === null) return answer;
    const { refusedStatus } = answer;
    if (refusedStatus === 401 || refusedStatus === 403) {
      if (known === null || isHome || known.isFresh) return answer;
      return (await this.#askAt(ask, known)) ?? answer;
    }
    if (refusedStatus !== null) return answer;
    if (last !== home || (!isHome && answer.isPlainPart))
      this.#redirects.remember(target.url, authorization, {
        url: joinUrl(last),
        referer,
        isPlain: answer.isPlainPart,
      });
    else if (!request.isPlain) this.#redirects.notPlain(target.url, authorization, known);
    return answer;
  }

  /** Where this thread has read the object, or else another one has. */
  #place({ target: { url, authorization }, redirect, isPlain = false }: Ask): KnownPlace | null {
    const known = this.#redirects.find(url, authorization);
    if (known !== null || (redirect === undefined && !isPlain)) return known;
    const place = redirect ?? { url: joinUrl(splitUrl(url)), referer: undefined };
    return { ...place, isPlain, isFresh: true };
  }

  /** Asks at a remembered redirect target; null when it does not serve the object any more. */
  async #askAt(ask: Ask, place: KnownPlace): Promise<RangeReader | WholeStream | null> {
    const { target } = ask;
    const base = followRequest(target, ask.deadlineMs, ask.cost);
    const request: FollowRequest = {
      ...base,
      start: splitUrl(place.url),
      referer: place.referer,
      headers: { ...base.headers, ...rangeHeader(ask) },
      isPlain: place.isPlain && ask.form === 'range',
    };
    try {
      const { answer } = await this.#send(ask, request, { known: place, atHome: false });
      if (answer instanceof WholeStream) return answer;
      if (answer.refusedStatus === null) {
        if (!place.isFresh) this.#redirects.remember(target.url, target.authorization, place);
        if (!request.isPlain) this.#redirects.notPlain(target.url, target.authorization, place);
        return answer;
      }
      this.#redirects.forget(target.url, target.authorization);
      return EXPIRED.has(answer.refusedStatus) ? null : answer;
    } catch (thrown) {
      this.#redirects.forget(target.url, target.authorization);
      if (!(thrown instanceof NotPlain)) throw thrown;
      return null;
    }
  }

  /** Sends one request; `last` is null when its answer has become a stream. */
  async #send(
    ask: Ask,
    request: FollowRequest,
    { known, atHome }: { known: KnownPlace | null; atHome: boolean },
  ): Promise<{
    answer: RangeReader | WholeStream;
    last: FollowRequest['start'] | null;
    referer: string | undefined;
  }> {
    const { target, asked, sink, learned } = ask;
    // A check uses no bytes, so their coding does not matter.
    if (ask.beyond === 'size') request.ignoresCoding = true;
    request.mayDropRange = ask.mayDropRange === true;
    const object = objectOf(target);
    const gapMs = ask.form === 'open' ? STREAM_HELD_GAP_MS : STREAM_GAP_MS;
    const beyond =
      ask.beyond !== 'stream'
        ? ask.beyond
        : (body: StreamBody, flow: Flow): WholeStream => {
            const stream = new WholeStream(
              {
                host: target.upstreamHost,
                clock: this.#clock,
                flow,
                gapMs,
                digest: target.digest ?? null,
              },
              body,
            );
            this.#streams.add(object, stream);
            learned({ ranges: 'whole', totalBytes: body.totalBytes, atHome });
            return stream;
          };
    const { arrived } = request;
    let place: Redirect = { url: joinUrl(request.home), referer: undefined };
    let redirect: Redirect | undefined;
    request.arrived = (last, home, referer) => {
      if (last !== home) place = { url: joinUrl(last), referer };
      if (last.host !== home.host) redirect = place;
      arrived?.(last, home, referer);
    };
    const noted: OriginSink = {
      head: (head) => {
        const isPlain = reader.isPlainPart;
        // Now and not at the end: the next requests begin while this answer arrives.
        if (known === null && isPlain)
          this.#redirects.remember(target.url, target.authorization, { ...place, isPlain });
        const fact = { totalBytes: head.totalBytes, atHome, isPlain };
        learned({
          ...fact,
          ...(redirect === undefined ? {} : { redirect }),
          ranges: reader.isPart ? 'parts' : 'unknown',
        });
        sink.head(head);
      },
      data: (chunk) => sink.data(chunk),
      room: (bytesMax) => sink.room(bytesMax),
      placed: (bytes) => sink.placed(bytes),
      stopped: () => sink.stopped(),
    };
    const reader = new RangeReader(
      asked,
      noted,
      target.upstreamHost,
      beyond,
      target.saidBytes ?? null,
    );
    const following = this.#follower(request.home).follow(request, reader);
    const first = await Promise.race([following, reader.adopted]);
    if (!(first instanceof WholeStream)) return { answer: reader, ...first };
    void following
      .then(
        () => first.end(null),
        (thrown: unknown) => first.end(ShoalError.from(thrown, 'ORIGIN_BROKEN')),
      )
      .finally(() => {
        if (!first.isKept) this.#streams.remove(object, first);
      });
    return { answer: first, last: null, referer: undefined };
  }
}

export function followRequest(
  target: OriginTarget,
  deadlineMs: number,
  cost: OriginCost,
): FollowRequest {
  const home = splitUrl(target.url);
  return {
    method: 'GET',
    start: home,
    home,
    authorization: target.authorization ?? undefined,
    headers: target.traceparent === undefined ? {} : { traceparent: target.traceparent },
    referer: undefined,
    deadlineMs,
    cost,
    isPlain: false,
    ignoresCoding: typeof target.digest === 'string',
    mayDropRange: false,
  };
}

function rangeHeader({ form, asked }: Ask): Record<string, string> {
  if (form === 'plain') return {};
  const end = form === 'open' ? '' : String(asked.endBytes - 1);
  return { range: `bytes=${asked.offsetBytes}-${end}` };
}

/** The sink of a check, which wants no bytes. */
export const NOWHERE: OriginSink = {
  head: () => undefined,
  data: () => undefined,
  room: () => {
    throw new Error('a check puts nothing in place');
  },
  placed: () => undefined,
  stopped: () => false,
};
