import { type ErrorCode, errorTable, type WireError } from '../errors.ts';
import {
  CORRUPTIONS_MAX, FETCH_PATIENCE_MS, ORIGIN_BACKOFF_MS, ORIGIN_TRIES_MAX, OWNER_PATIENCE_MS, OWNER_REFUSALS_MAX, REDIRECTS_MAX,
} from '../limits.ts';
import { Contexts } from './contexts.ts';
import { isFinal, retryAfterMs } from './refusal.ts';
import { Provenance } from './provenance.ts';
import { Sources } from './sources.ts';
import { Lateness } from './lateness.ts';
import type { Pace } from './pace.ts';
import type { PeerHealth } from './health.ts';
import type { Membership } from './rank.ts';
import type { AskedAs, AttemptResult, Fetch, FetchContext, FetchEffects, FetchResult, Member, NodeId, Report, ShardId, StatResult, SwarmEvent } from './types.ts';

/** What the fetches of a node share. */
export interface FetchShared {
  self: Member;
  membership(): Membership;
  health: PeerHealth;
  pace: Pace;
  effects: FetchEffects;
  nowMs: () => number;
  random: () => number;
  observe: (event: SwarmEvent, node: NodeId | null) => void;
  /** Children this node is sending to now. */
  load: () => number;
  /** The fetch is over: taken out of the node's tables before its driver hears of it. */
  over(fetch: ShardFetch, result: FetchResult): void;
}

type Phase =
  | 'new'
  /** The attempt has ended, the next step is being found: only within a call. */
  | 'between'
  /** An attempt is under way. */
  | 'reading'
  /** An attempt was told to stop and has not ended yet. */
  | 'leaving'
  /** Nothing is under way until `#dueMs`. */
  | 'waiting'
  /** A stat is under way. */
  | 'checking'
  | 'over';

type Data = Extract<AttemptResult, { kind: 'data' }>;

/**
 * How one node gets one shard, whatever happens to those it gets it from.
 *
 *   new -> reading <-> leaving        reading: from the origin, a root, the owner or a parent it named; always
 *            |  ^        |                     from the byte after the last that arrived
 *            v  |        v            leaving: a late or silent sender; ends as soon as it writes no more
 *          waiting <-----+            waiting: told "busy", or between tries at the origin
 *            |
 *            v  all bytes here
 *         checking -> over (done)     checking: the owner's checksum is asked for, if it did not come along
 *            |
 *            +-- not the owner's checksum: read anew from the trusted part (at most CORRUPTIONS_MAX times)
 *
 * Where to: an agent asks the shard's owner, the first usable in rank; the owner (or an agent for which no other
 * is left) asks the shard's root, the first usable in rank, or where there is none the origin. Asks as owner always go to
 * a better rank than one's own, so they cannot go in a circle. See docs/SWARM.md.
 */
export class ShardFetch implements Fetch {
  readonly shard: ShardId;
  place: unknown = undefined;
  /** The node the bytes come from now; null: the origin, or nobody. */
  source: NodeId | null = null;
  /** Hops of the request that made this node fetch; its own requests carry one more. */
  readonly #hops: number;
  readonly #shared: FetchShared;
  readonly #contexts = new Contexts();
  readonly #provenance = new Provenance();
  readonly #sources: Sources;
  readonly #lateness: Lateness;
  readonly #startedMs: number;
  #phase: Phase = 'new';
  #attempt = 0;
  #as: AskedAs | 'origin' = 'origin';
  #attemptMs = 0;
  #attemptFromBytes = 0;
  #fromBytes = 0;
  #dueMs = 0;
  /** Bytes here when last looked, and when they last grew. */
  #receivedBytes = 0;
  #grownMs: number;
  /** Since when the acting owner has been asked without a byte coming of it. */
  #ownerMs: number;
  /** When the acting owner was first asked. */
  #ownerSinceMs: number;
  #redirects = 0;
  /** Who has fallen silent half-way once. */
  #fellSilent: NodeId | null = null;
  /** The owner asked last, and the one whose tree a parent was late in. */
  #owner: NodeId | null = null;
  #lateUnder: NodeId | null = null;
  #originTries = 0;
  #refusals = 0;
  #corruptions = 0;
  #word: string | null = null;
  /** All bytes, once they are here. */
  #data: Data | null = null;
  /** Whether the owner has to be asked as for bytes, because it does not know the checksum. */
  #statMissed = false;
  #lastError: WireError | null = null;
  /** What to finish with once the attempt has ended. */
  #closing: FetchResult | null = null;

  constructor(shared: FetchShared, shard: ShardId, options: { context: FetchContext | null; hops: number; passed: readonly NodeId[] }) {
    this.shard = shard;
    this.#shared = shared;
    this.#hops = options.hops;
    this.#sources = new Sources(shared, shard);
    this.#lateness = new Lateness(shared);
    for (const node of options.passed) this.#sources.passOver(node);
    if (options.context !== null) this.#contexts.offer(options.context);
    this.#startedMs = this.#grownMs = this.#ownerMs = this.#ownerSinceMs = shared.nowMs();
  }

  /** Begins. Called once, by the swarm, when the driver knows the fetch. */
  begin(): void {
    if (this.#phase === 'new') this.#go();
  }

  /** Another way to the origin, tried before the older ones. */
  offer(context: FetchContext): void {
    this.#contexts.offer(context);
  }

  /** Another node asks this one as owner, although there are better-ranked ones, which it names; see Sources.accuse. */
  accuse(by: NodeId, accused: readonly NodeId[]): void {
    if (!this.#sources.accuse(by, accused) || this.#phase !== 'reading' || (this.#as !== 'owner' && this.#as !== 'parent')) return;
    this.#grew(this.#shared.effects.receivedBytes(this));
    // Whatever this node waits for comes, if at all, from the accused.
    if (this.#lateness.isLate('parent', this.#attemptMs) || this.#receivedBytes === this.#attemptFromBytes) this.#abandon();
  }

  /** Nobody wants it any more; `finished` is told once nothing writes. */
  cancel(): void {
    this.#close({ kind: 'cancelled' });
  }

  /** Looks at the clock: lateness, waits that are over, patience at its end. */
  tick(): void {
    const nowMs = this.#shared.nowMs();
    if (this.#phase === 'over' || this.#closing !== null) return;
    if (this.#phase === 'reading') this.#watch(nowMs);
    else if (this.#phase === 'checking' && this.#data !== null) this.#watchStat(nowMs, this.source!);
    // A read of the origin has deadlines of its own, and its turn there to wait for.
    const isAtOrigin = this.#phase === 'reading' && this.#as === 'origin';
    if (!isAtOrigin && nowMs - this.#grownMs > FETCH_PATIENCE_MS) {
      this.#shared.observe('gave-up', this.source);
      this.#close({ kind: 'failed', error: this.#lastError ?? wire('PEER_TIMEOUT', `no byte of shard ${this.shard.index} for ${FETCH_PATIENCE_MS} ms, from anybody`) });
    } else if (this.#phase === 'waiting' && nowMs >= this.#dueMs) this.#go();
  }

  /** Attempt `attempt` has ended; nothing of it writes any more. Ends of other attempts are ignored. */
  settle(attempt: number, result: AttemptResult): void {
    if (attempt !== this.#attempt || (this.#phase !== 'reading' && this.#phase !== 'leaving')) return;
    const left = this.#phase === 'leaving';
    this.#phase = 'between';
    const node = this.source;
    const tookMs = this.#shared.nowMs() - this.#attemptMs;
    this.#grew(result.kind === 'data' ? result.lengthBytes : result.kind === 'failed' ? result.receivedBytes : this.#fromBytes);
    if (this.#receivedBytes > this.#fromBytes) this.#provenance.add(node, this.#as !== 'parent', this.#receivedBytes);
    this.#fromBytes = this.#receivedBytes;
    this.source = null;
    if (this.#closing !== null) this.#finish(this.#closing);
    else if (result.kind === 'data') this.#whole(result, node, tookMs);
    else if (left) this.#go();
    else if (node === null) this.#originEnded(result);
    else if (result.kind === 'redirect') this.#redirected(node, result.parents, result.word);
    else if (result.kind === 'busy') this.#busy(node, result.retryMs);
    else if (result.kind === 'miss') this.#passOver(node);
    else if (result.kind === 'refused') this.#refused(node, result.error);
    else this.#failed(node, result.error);
  }

  /** The stat asked for as `attempt` has ended. */
  settleStat(attempt: number, result: StatResult): void {
    if (attempt !== this.#attempt || this.#phase !== 'checking') return;
    const node = this.source!;
    this.source = null;
    if (this.#data === null) this.#go();
    else if (result.kind === 'stat') {
      this.#shared.health.succeeded(node);
      this.#word = result.word;
      this.#compare(this.#data);
    } else if (result.kind === 'busy') {
      if (this.#lateness.isLate('owner', this.#ownerMs) && this.#sources.mayLeave(node, 'owner')) this.#passOver(node, 'owner');
      else this.#wait(result.retryMs);
    } else if (result.kind === 'miss') {
      this.#statMissed = true;
      this.#go();
    } else if (result.kind === 'refused') this.#passOver(node, 'owner');
    else {
      this.#shared.health.failed(node, this.#shared.nowMs());
      this.#lastError = result.error;
      this.#passOver(node, 'owner');
    }
  }

  // --- what next ---

  #go(): void {
    const { node, as } = this.#sources.next();
    if (this.#data !== null && node !== null && !this.#statMissed) {
      this.#stat(node, this.#provenance.lastPeer, 'done');
      return;
    }
    // What others sent cannot be checked against the origin, only against an owner's or a root's word.
    if (node === null && this.#provenance.originBytes < this.#fromBytes) this.#restart(this.#provenance.originBytes);
    else if (node === null && this.#data !== null) this.#restart(0);
    if (node === null) this.#readOrigin();
    else this.#read(node, as);
  }

  #begin(node: NodeId | null, as: AskedAs | 'origin'): number {
    this.#phase = 'reading';
    this.#attemptMs = this.#shared.nowMs();
    this.source = node;
    this.#as = as;
    this.#attemptFromBytes = this.#fromBytes;
    return ++this.#attempt;
  }

  #read(node: NodeId, as: AskedAs): void {
    const attempt = this.#begin(node, as);
    if (as === 'owner') this.#owner = node;
    const context = as === 'parent' ? null : this.#contexts.current;
    const ask = { node, as, fromBytes: this.#fromBytes, exclude: this.#sources.exclude(as), hops: this.#hops, load: this.#shared.load(), trusted: as !== 'parent' && this.#provenance.allTrusted, wrong: this.#corruptions > 0, context };
    this.#shared.effects.ask(this, attempt, ask);
  }

  #readOrigin(): void {
    const context = this.#contexts.current;
    if (context === null) {
      this.#close({ kind: 'failed', error: this.#lastError ?? wire('ORIGIN_UNREACHABLE', 'no node answers, and no client gave a way to the origin') });
      return;
    }
    const attempt = this.#begin(null, 'origin');
    this.#originTries++;
    this.#shared.effects.origin(this, attempt, { fromBytes: this.#fromBytes, wrong: this.#corruptions > 0, context });
  }

  #stat(node: NodeId, parent: NodeId | null, report: Report): void {
    this.#phase = 'checking';
    this.#attemptMs = this.#shared.nowMs();
    this.source = node;
    this.#shared.effects.stat(this, ++this.#attempt, { node, parent, report });
  }

  #wait(ms: number): void {
    // The other side has let time pass already when it says "at once".
    if (ms <= 1 && this.#shared.nowMs() > this.#attemptMs) {
      this.#go();
      return;
    }
    this.#phase = 'waiting';
    this.#dueMs = this.#shared.nowMs() + ms * (0.75 + 0.5 * this.#shared.random());
  }

  // --- how attempts end ---

  #originEnded(result: AttemptResult): void {
    const error = result.kind === 'failed' || result.kind === 'refused' ? result.error : wire('INTERNAL', 'the origin was read, and a peer answered');
    this.#lastError = error;
    if (isFinal(error)) this.#denied(error);
    else if (this.#originTries >= ORIGIN_TRIES_MAX) this.#close({ kind: 'failed', error });
    else {
      const pauseMs = retryAfterMs(error) ?? ORIGIN_BACKOFF_MS * 2 ** (this.#originTries - 1);
      const leftMs = FETCH_PATIENCE_MS - (this.#shared.nowMs() - this.#grownMs);
      if (pauseMs > leftMs) this.#close({ kind: 'failed', error });
      else {
        this.#shared.observe('origin-retry', null);
        if (error.code === 'DIGEST_MISMATCH') this.#restart(0);
        this.#phase = 'waiting';
        this.#dueMs = this.#shared.nowMs() + pauseMs * (1 + 0.25 * this.#shared.random());
      }
    }
  }

  /** The origin said no to the newest credential: the next, or the end. */
  #denied(error: WireError): void {
    this.#contexts.refused();
    if (this.#contexts.current === null) this.#close({ kind: 'refused', error });
    else this.#go();
  }

  #redirected(node: NodeId, parents: readonly NodeId[], word: string | null): void {
    this.#shared.observe('redirected', null);
    if (word !== null && this.#as === 'owner') this.#word = word;
    if (this.#data !== null) {
      // It sends us to others although we have every byte: it does not know the checksum yet, or has just said it.
      this.#statMissed = false;
      if (this.#word !== null) this.#compare(this.#data);
      else this.#wait(ORIGIN_BACKOFF_MS);
      return;
    }
    if (node === this.#lateUnder && word === null && this.#lateness.isOwnersFault(this.#ownerSinceMs) && this.#sources.mayLeave(node, 'owner')) {
      // A parent was late, and the owner has not got the shard itself by now: it is the owner that is slow, or what is behind it.
      this.#shared.health.slow(node, this.#shared.nowMs());
      this.#passOver(node);
      return;
    }
    const parent = this.#sources.parentOf(parents);
    if (this.#as === 'root' || ++this.#redirects > REDIRECTS_MAX || parent === undefined) {
      this.#shared.health.failed(node, this.#shared.nowMs());
      this.#passOver(node);
    } else this.#read(parent, 'parent');
  }

  #busy(node: NodeId, retryMs: number): void {
    if (this.#as === 'parent') this.#go();
    else {
      const nowMs = this.#shared.nowMs();
      const mayLeave = this.#sources.mayLeave(node, this.#as);
      // The last root is waited for however long it is busy: behind it there is only the origin, for which it waits itself.
      const out = (mayLeave || this.#as === 'owner') && nowMs - this.#ownerMs > Math.max(OWNER_PATIENCE_MS, this.#shared.pace.patienceMs);
      if (out) this.#shared.health.failed(node, nowMs);
      if (out || (mayLeave && this.#lateness.isLate(this.#as, this.#ownerMs))) this.#passOver(node);
      else this.#wait(retryMs);
    }
  }

  #refused(node: NodeId, error: WireError): void {
    if (this.#as === 'parent') {
      this.#leave(node);
      return;
    }
    this.#lastError = error;
    if (isFinal(error)) this.#denied(error);
    else if (++this.#refusals > OWNER_REFUSALS_MAX) this.#close({ kind: 'failed', error });
    else this.#passOver(node);
  }

  #failed(node: NodeId, error: WireError): void {
    const { health, nowMs, observe } = this.#shared;
    this.#lastError = error;
    if (error.code === 'DIGEST_MISMATCH' || error.code === 'CHECKSUM_MISMATCH') {
      this.#corrupt(null);
      return;
    }
    observe(error.code === 'PEER_TIMEOUT' ? 'stalled' : 'resumed', node);
    if (error.code === 'PEER_TIMEOUT' && this.#receivedBytes > this.#attemptFromBytes && this.#fellSilent !== node) {
      this.#fellSilent = node;
      // It sent, then fell silent: it may have nothing to send, as what is behind it is slow. If it is dead the next request tells;
      // the second time is enough.
      health.slow(node, nowMs());
      if (this.#as === 'parent') this.#leave(node);
      else this.#go();
      return;
    }
    health.failed(node, nowMs());
    this.#passOver(node);
  }

  /** Not from this node again: a parent is excluded, an owner or root passed over in this fetch. */
  #passOver(node: NodeId, as: AskedAs | 'origin' = this.#as): void {
    if (as === 'parent') {
      this.#leave(node);
      return;
    }
    this.#sources.passOver(node);
    this.#ownerMs = this.#ownerSinceMs = this.#shared.nowMs();
    this.#redirects = 0;
    this.#shared.observe('owner-changed', node);
    this.#go();
  }

  #leave(parent: NodeId): void {
    this.#sources.shun(parent);
    this.#go();
  }

  // --- all bytes are here ---

  #whole(data: Data, node: NodeId | null, tookMs: number): void {
    const { pace, nowMs } = this.#shared;
    this.#data = data;
    this.#ownerMs = nowMs();
    this.#statMissed = false;
    if (this.#attemptFromBytes === 0) pace.done(tookMs, nowMs());
    if (node === null) this.#word = data.checksum;
    else if (this.#as !== 'parent' && data.word !== null) this.#word = data.word;
    if (this.#word === null) this.#go();
    else this.#compare(data);
  }

  #compare(data: Data): void {
    if (this.#word !== data.checksum) {
      this.#corrupt(data);
      return;
    }
    if (this.#provenance.lastPeer !== null) this.#shared.health.succeeded(this.#provenance.lastPeer);
    const { totalBytes, lengthBytes, checksum } = data;
    this.#finish({ kind: 'done', totalBytes, lengthBytes, checksum, from: this.#provenance.fromOrigin ? 'origin' : 'peer' });
  }

  /**
   * The bytes are not the owner's. One sender without a claim to trust: it lied. Several: each may have. None: the owner
   * contradicts itself. The first time what came from owner, root or origin is kept; after that nothing is.
   */
  #corrupt(data: Data | null): void {
    const { health, nowMs, observe } = this.#shared;
    const suspects = this.#provenance.suspects;
    this.#corruptions++;
    observe('corrupt', suspects.length === 1 ? suspects[0]! : null);
    this.#lastError = wire('CHECKSUM_MISMATCH', `shard ${this.shard.index} came with wrong bytes from ${suspects.length} node(s)`);
    for (const node of suspects) {
      if (suspects.length > 1) health.failed(node, nowMs());
      else if (health.lied(node, nowMs())) observe('lied', node);
      this.#sources.shun(node);
    }
    const { node, as } = this.#sources.next();
    if (node !== null && as === 'owner' && (suspects.length === 0 || this.#corruptions > 1)) this.#sources.passOver(node);
    this.#restart(this.#corruptions === 1 && data !== null && suspects.length > 0 ? this.#provenance.trustedBytes : 0);
    if (this.#corruptions > CORRUPTIONS_MAX) this.#close({ kind: 'failed', error: this.#lastError });
    else if (node !== null && as === 'owner' && suspects.length === 1) this.#stat(node, suspects[0]!, 'lied');
    else this.#go();
  }

  #restart(fromBytes: number): void {
    this.#data = null;
    this.#word = null;
    this.#statMissed = false;
    this.#provenance.cut(fromBytes);
    this.#fromBytes = this.#receivedBytes = fromBytes;
  }

  // --- watching ---

  #grew(receivedBytes: number): void {
    if (receivedBytes <= this.#receivedBytes) return;
    this.#receivedBytes = receivedBytes;
    this.#redirects = 0;
    this.#grownMs = this.#ownerMs = this.#shared.nowMs();
  }

  /** Leaves a peer that takes far longer than shards do lately; each time it is more patient. */
  #watch(nowMs: number): void {
    const { health, effects, observe } = this.#shared;
    this.#grew(effects.receivedBytes(this));
    const node = this.source;
    if (node === null || !this.#lateness.isLate(this.#as, this.#attemptMs) || !this.#sources.mayLeave(node, this.#as)) return;
    this.#lateness.left(this.#as);
    observe('slow', node);
    health.slow(node, nowMs);
    if (this.#as === 'parent') {
      this.#sources.shun(node);
      this.#lateUnder = this.#owner;
    } else this.#sources.passOver(node);
    this.#abandon();
  }

  /** An owner that keeps the checksum back, because it has not got the shard itself, is passed over: others have. */
  #watchStat(nowMs: number, node: NodeId): void {
    if (!this.#lateness.isLate('owner', this.#attemptMs) || !this.#sources.mayLeave(node, 'owner')) return;
    this.#shared.observe('slow', node);
    this.#shared.health.slow(node, nowMs);
    this.#passOver(node, 'owner');
  }

  #abandon(): void {
    this.#phase = 'leaving';
    this.#shared.effects.abandon(this, this.#attempt);
  }

  #close(result: FetchResult): void {
    if (this.#phase === 'over' || this.#closing !== null) return;
    if (this.#phase === 'reading' || this.#phase === 'leaving') {
      this.#closing = result;
      const abandoned = this.#phase === 'leaving';
      this.#phase = 'leaving';
      if (!abandoned) this.#shared.effects.abandon(this, this.#attempt);
    } else this.#finish(result);
  }

  #finish(result: FetchResult): void {
    this.#phase = 'over';
    this.source = null;
    this.#shared.over(this, result);
  }

  /** Milliseconds since the fetch began. */
  ageMs(): number {
    return this.#shared.nowMs() - this.#startedMs;
  }
}

function wire(code: ErrorCode, message: string): WireError {
  return { code, message, status: errorTable[code].status };
}
