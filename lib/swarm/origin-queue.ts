import {
  ORIGIN_ALL_REQUESTS_MAX,
  ORIGIN_FEW_REQUESTS,
  ORIGIN_GATHER_MS,
  ORIGIN_IN_ORDER_REQUESTS_MAX,
  ORIGIN_REQUEST_SHARDS_MAX,
  ORIGIN_WINDOWS_MAX,
} from './limits.ts';
import { OriginWindow } from './origin-window.ts';
import { ORIGIN_REQUESTS_MAX } from '../limits.ts';

/** Looks that are nearer to each other are one. */
const LOOK_STEP_MS = 1;

/** A shard to be read from the origin. */
export interface OriginWant {
  /** The registry or object store: one that is slow takes no turns from the others. */
  readonly upstream: string;
  /** Whether a registry vouches for it; all others together have a share of the turns. */
  readonly isVouched: boolean;
  /** The blob and the way to it: shards of one series can come in one request. */
  readonly series: string;
  readonly index: number;
  /**
   * Whether it may share a request with others: the whole shard is wanted, no client waits for it
   * yet, and the blob is known to exist.
   */
  readonly shares: boolean;
  /** What it asks for, in shards: less than 1 at the end of a blob, 1 if the size is unknown. */
  readonly sizeShards: number;
  /**
   * Whether this node reads for no others: then a shard waits until it makes up a longer request
   * with those behind it.
   */
  readonly alone: boolean;
  /** Whether another node asked for it: such wants come in any order. */
  readonly isOnBehalf: boolean;
  /** Whether a client of this node waits for it: it waits for no other (OriginWindow). */
  readonly isWaitedFor: boolean;
}

/** How much one node asks at once. */
export interface OriginLimits {
  allRequests: number;
  /** Of all upstreams together that no registry vouches for. */
  unvouchedRequests: number;
  /** Of one upstream, at most; as a rule as many as its line takes (OriginWindow). */
  requests: number;
  /** Of one series, as far as its shards may share. */
  inOrderRequests: number;
  /** With fewer of a series under way no shard of it waits for others to go with. */
  fewRequests: number;
  requestShards: number;
}

const originLimits: OriginLimits = {
  allRequests: ORIGIN_ALL_REQUESTS_MAX,
  unvouchedRequests: ORIGIN_ALL_REQUESTS_MAX / 2,
  requests: ORIGIN_REQUESTS_MAX,
  inOrderRequests: ORIGIN_IN_ORDER_REQUESTS_MAX,
  fewRequests: ORIGIN_FEW_REQUESTS,
  requestShards: ORIGIN_REQUEST_SHARDS_MAX,
};

/**
 * How a request ended: with an answer, good or bad; without one although it was waited for; or
 * before that could be said.
 */
export type RequestEnd = 'answered' | 'silent' | 'left';

interface UnderWay {
  /** How many requests the upstream had answered when it began. */
  readonly answersBefore: number;
  readonly begunMs: number;
  /** Shards still to come. */
  shards: number;
  /** Whether the answer has begun. */
  isComing: boolean;
}

/** What is under way to one upstream. */
interface Upstream {
  requests: number;
  /** Requests it has answered, in whatever way. */
  answers: number;
  /** Of each request under way, known by its first want. */
  readonly underWay: Map<OriginWant, UnderWay>;
}

/** What is under way or waits of one series. */
interface Series {
  requests: number;
  /**
   * How many wants have which index: an abandoned read of a shard may end after the next one has
   * begun.
   */
  readonly wants: Map<number, number>;
}

/**
 * Decides which request to the origin begins next. As many requests to an upstream are in flight as
 * its line takes (OriginWindow). The first shard of each blob goes first. Consecutive shards of a
 * blob share a request: a registry needs about the same work for a range of two megabytes and of
 * eight, and the shards arrive in order, the first at the speed of the whole line. On a node that
 * is alone, a shard that continues a request in flight waits until it and the shards behind it fill
 * a request.
 */
export class OriginQueue<Want extends OriginWant> {
  readonly #begin: (together: readonly Want[]) => void;
  readonly #soon: (run: () => void, ms: number) => void;
  readonly #nowMs: () => number;
  readonly #limits: OriginLimits;
  /** In order of arrival, those of a series in order of the blob. */
  readonly #waiting: Want[] = [];
  /** When each came. */
  readonly #sinceMs = new WeakMap<Want, number>();
  readonly #windows = new Map<string, OriginWindow>();
  readonly #series = new Map<string, Series>();
  #allRequests = 0;
  #unvouchedRequests = 0;
  readonly #upstreams = new Map<string, Upstream>();
  /** Time of the next check for requests that may begin; Infinity: none is waiting. */
  #lookMs = Infinity;
  /** The look that is due then: those that were planned before it are void. */
  #look = 0;

  /**
   * `begin` sends one request, for the shards of `together` in this order; it is answered with one
   * `over`. `soon` calls back after `ms`, at 0 once all that is wanted at this moment is known.
   */
  constructor(
    begin: (together: readonly Want[]) => void,
    soon: (run: () => void, ms: number) => void,
    nowMs: () => number,
    limits = originLimits,
  ) {
    this.#begin = begin;
    this.#soon = soon;
    this.#nowMs = nowMs;
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * For how long a read has been waiting that only the turns of all upstreams together hold back,
   * not its own upstream's, in ms; 0: there is none.
   */
  get stalledMs(): number {
    if (this.#allRequests < this.#limits.allRequests) return 0;
    const held = this.#waiting.filter(
      (want) =>
        this.#hasShare(want) &&
        (this.#upstreams.get(want.upstream)?.requests ?? 0) < this.#limits.requests,
    );
    return this.#nowMs() - Math.min(this.#nowMs(), ...held.map((want) => this.#sinceMs.get(want)!));
  }

  #hasShare({ isVouched }: Want): boolean {
    return isVouched || this.#unvouchedRequests < this.#limits.unvouchedRequests;
  }

  add(want: Want): void {
    let series = this.#series.get(want.series);
    if (series === undefined)
      this.#series.set(want.series, (series = { requests: 0, wants: new Map() }));
    series.wants.set(want.index, (series.wants.get(want.index) ?? 0) + 1);
    const isLater = ({ series, index }: Want): boolean =>
      series === want.series && index > want.index;
    const place = this.#waiting.findIndex(isLater);
    this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, want);
    this.#sinceMs.set(want, this.#nowMs());
    this.#lookSoon(want.isOnBehalf && this.#allRequests === 0 ? ORIGIN_GATHER_MS : 0);
  }

  /** The answer to the request whose first want is `first` has begun. */
  head(first: Want): void {
    const underWay = this.#upstreams.get(first.upstream)?.underWay.get(first);
    if (underWay === undefined || underWay.isComing) return;
    underWay.isComing = true;
    const nowMs = this.#nowMs();
    this.#window(first.upstream).head(nowMs, nowMs - underWay.begunMs);
  }

  /** So many bytes of the next shard of the request whose first want is `first` came, its last. */
  arrived(first: Want, bytes: number): void {
    const underWay = this.#upstreams.get(first.upstream)?.underWay.get(first);
    if (underWay === undefined) return;
    const isWaiting = this.#waiting.some((want) => want.upstream === first.upstream);
    this.#window(first.upstream).arrived(this.#nowMs(), bytes, isWaiting);
    underWay.shards = Math.max(0, underWay.shards - 1);
    this.#lookSoon(0);
  }

  /**
   * The request for `together` has ended. Returns the waiting reads that fail with it: all reads of
   * an upstream whose request timed out, if it has answered no other since that request began.
   * Otherwise each would wait as long again.
   */
  over(together: readonly Want[], end: RequestEnd = 'answered'): Want[] {
    const [first] = together;
    const { series: name, upstream: host } = first!;
    const upstream = this.#upstreams.get(host)!;
    const { answersBefore, isComing } = upstream.underWay.get(first!)!;
    const isSilentToAll = end === 'silent' && answersBefore === upstream.answers;
    upstream.underWay.delete(first!);
    upstream.requests--;
    if (end === 'answered') upstream.answers++;
    if (upstream.requests === 0) this.#upstreams.delete(host);
    this.#allRequests--;
    if (!first!.isVouched) this.#unvouchedRequests--;
    this.#series.get(name)!.requests--;
    if (isComing) this.#window(host).ended(this.#nowMs(), upstream.requests === 0);
    const givenUp = isSilentToAll ? this.#waiting.filter((want) => want.upstream === host) : [];
    for (const want of givenUp) this.#waiting.splice(this.#waiting.indexOf(want), 1);
    for (const want of [...together, ...givenUp]) this.#forget(want);
    this.#lookSoon(0);
    return givenUp;
  }

  #forget({ series: name, index }: Want): void {
    const series = this.#series.get(name)!;
    const left = series.wants.get(index)! - 1;
    if (left === 0) series.wants.delete(index);
    else series.wants.set(index, left);
    if (series.wants.size === 0) this.#series.delete(name);
  }

  /** What nodes want of a new blob comes in any order within a moment; the first is to go first. */
  #lookSoon(ms: number): void {
    const dueMs = this.#nowMs() + ms;
    // Each read that waits may name the same moment again.
    if (dueMs > this.#lookMs - LOOK_STEP_MS) return;
    this.#lookMs = dueMs;
    const look = ++this.#look;
    this.#soon(
      () => {
        if (look !== this.#look) return;
        this.#lookMs = Infinity;
        this.#next();
      },
      ms === 0 ? 0 : Math.max(ms, LOOK_STEP_MS),
    );
  }

  #next(): void {
    // What has no room for another read ahead: a series that is under way, or an upstream for those
    // that are not. Requests that begin here only take room.
    const full = new Set<string>();
    for (let at = 0; at < this.#waiting.length && this.#allRequests < this.#limits.allRequests;) {
      const { upstream: host, series, isVouched, isWaitedFor } = this.#waiting[at]!;
      const room = this.#series.get(series)!.requests > 0 ? series : host;
      if (!isWaitedFor && full.has(room)) {
        at++;
        continue;
      }
      const upstream = this.#upstreams.get(host) ?? {
        requests: 0,
        answers: 0,
        underWay: new Map<OriginWant, UnderWay>(),
      };
      const hasRoom = this.#hasRoom(upstream, this.#waiting[at]!);
      if (!hasRoom && !isWaitedFor) full.add(room);
      const together = hasRoom && this.#hasShare(this.#waiting[at]!) ? this.#together(at) : null;
      if (together === null) {
        at++;
        continue;
      }
      for (const want of together) this.#waiting.splice(this.#waiting.indexOf(want), 1);
      this.#allRequests++;
      if (!isVouched) this.#unvouchedRequests++;
      this.#upstreams.set(host, upstream);
      upstream.requests++;
      const begunMs = this.#nowMs();
      const { answers: answersBefore } = upstream;
      const shards = together.reduce((sum, { sizeShards }) => sum + sizeShards, 0);
      upstream.underWay.set(together[0]!, { answersBefore, begunMs, shards, isComing: false });
      this.#window(host).begun(begunMs);
      this.#series.get(together[0]!.series)!.requests++;
      this.#begin(together);
      at = 0;
    }
  }

  #hasRoom({ requests, underWay }: Upstream, want: Want): boolean {
    const { upstream: host, isWaitedFor } = want;
    if (requests >= this.#limits.requests) return false;
    if (isWaitedFor) return true;
    const window = this.#window(host);
    // What the upstream is slow to begin with takes nothing of the line.
    const silentMs = this.#nowMs() - window.silentMs;
    // A long request holds up its own series only: for others it counts as one of a shard.
    const shardsMax = this.#series.get(want.series)!.requests === 0 ? 1 : Infinity;
    const counted = [...underWay.values()]
      .filter(({ isComing, begunMs }) => isComing || begunMs > silentMs)
      .map((request) => ({ ...request, shards: Math.min(request.shards, shardsMax) }));
    const pauseMs = window.hasRoom(counted)
      ? window.pauseMs(this.#nowMs())
      : Math.min(
          ...counted.filter(({ isComing }) => !isComing).map(({ begunMs }) => begunMs - silentMs),
        );
    // Without one that is silent, the next part that comes, or the end of a request, makes it look.
    if (pauseMs > 0 && pauseMs < Infinity) this.#lookSoon(pauseMs);
    return pauseMs === 0;
  }

  /** Windows of upstreams' lines; those unused for the longest time are forgotten. */
  #window(upstream: string): OriginWindow {
    const window = this.#windows.get(upstream) ?? new OriginWindow(this.#limits.requests);
    this.#windows.delete(upstream);
    this.#windows.set(upstream, window);
    if (this.#windows.size > ORIGIN_WINDOWS_MAX)
      this.#windows.delete(this.#windows.keys().next().value!);
    return window;
  }

  /** The reads of one request that begins with the one at `at`; null: not yet. */
  #together(at: number): Want[] | null {
    const first = this.#waiting[at]!;
    if (!first.shares) return [first];
    const { inOrderRequests, fewRequests } = this.#limits;
    const requestShards = Math.min(
      this.#limits.requestShards,
      this.#window(first.upstream).requestShards,
    );
    const { requests, wants } = this.#series.get(first.series)!;
    if (first.alone && requests >= inOrderRequests) return null;
    const together = [first];
    // Those of a series wait in the order of the blob.
    for (let next = at + 1; next < this.#waiting.length; next++) {
      if (together.length === requestShards) break;
      const want = this.#waiting[next]!;
      if (want.series !== first.series || !want.shares) continue;
      if (want.index > first.index + together.length) break;
      if (want.index === first.index + together.length) together.push(want);
    }
    if (!first.alone) return together;
    // Once the shard before has come a reader may be waiting for this one, with nothing more to ask
    // for until it is there.
    const goesOn = wants.has(first.index - 1);
    return requests < fewRequests || !goesOn || together.length === requestShards ? together : null;
  }
}
