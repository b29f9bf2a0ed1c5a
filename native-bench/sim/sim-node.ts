import { errorTable, type ErrorCode, type WireError } from '../../lib/errors.ts';
import { PEER_HOLD_MS, PEER_SILENCE_MS } from '../../lib/limits.ts';
import type { ShardFetch } from '../../lib/swarm/fetch.ts';
import { Swarm } from '../../lib/swarm/swarm.ts';
import type { TreeShape } from '../../lib/swarm/tracker.ts';
import type {
  AskRequest,
  AttemptResult,
  Fetch,
  OriginRef,
  FetchEffects,
  FetchResult,
  Member,
  OriginAsk,
  PeerAsk,
  ShardId,
  StatAsk,
  StatResult,
} from '../../lib/swarm/types.ts';
import type { Cluster } from './cluster.ts';
import { Flow, type Station, type Supply } from './network.ts';
import { Random } from './random.ts';

export type Condition = 'well' | 'dead' | 'unplugged' | 'frozen';

/** One attempt of a fetch, from its request to its end. */
interface Attempt {
  number: number;
  fetch: ShardFetch;
  node: SimNode | null;
  flow: Flow | null;
  beganMs: number;
  holdMs: number;
  over: boolean;
}

/** Where a fetch's bytes gather, and who waits for them. */
interface Place {
  supply: Supply;
  attempt: Attempt | null;
  /** Asked for the checksum before it was known. */
  stats: { answer: (result: StatResult) => void; sinceMs: number }[];
  /** Flows to children that have not been told how it ends. */
  serving: Set<Serving> | null;
}

/** A child being sent a shard. */
interface Serving {
  request: AskRequest;
  flow: Flow;
  refuse: (result: AttemptResult) => void;
}

const CONTEXT: OriginRef = { id: 'client' };

function error(code: ErrorCode, message = code): WireError {
  return { code, message, status: errorTable[code].status };
}

/**
 * A simulated node: the swarm's core, driven with simulated messages and flows in place of sockets
 * and slots.
 */
export class SimNode implements FetchEffects {
  readonly member: Member;
  readonly station: Station;
  readonly swarm: Swarm;
  condition: Condition = 'well';
  /** Only nodes of one island reach each other. */
  island = 0;
  /** Shards that are here whole and checked, by index. */
  readonly held: Uint8Array;
  /** Told of every shard that has come, or could not be had. */
  onShard: (index: number, result: FetchResult) => void = () => undefined;
  readonly #cluster: Cluster;
  readonly #places = new Map<number, Place>();
  #ticking = false;
  #stalledUntilMs = 0;

  constructor(
    cluster: Cluster,
    member: Member,
    station: Station,
    seed: number,
    shape: TreeShape | undefined,
  ) {
    this.#cluster = cluster;
    this.member = member;
    this.station = station;
    this.held = new Uint8Array(cluster.shards.length);
    const random = new Random(seed);
    this.swarm = new Swarm(
      {
        self: member,
        effects: this,
        nowMs: cluster.nowMs,
        random: random.next,
        observe: cluster.observe,
      },
      shape,
    );
    station.uploadsAtOnce = () => this.swarm.uploadsAtOnce;
  }

  /** Its client wants a shard. */
  want(index: number): void {
    if (this.condition === 'well') this.#want(index, undefined);
  }

  /** Whether it runs, and may say "busy". */
  get isThere(): boolean {
    return this.condition === 'well' && this.#cluster.nowMs() >= this.#stalledUntilMs;
  }

  get fetching(): number {
    return this.#places.size;
  }

  isFetching(index: number): boolean {
    return this.#places.has(index);
  }

  /**
   * From now on it is dead (refuses), unplugged (says nothing, not even no) or frozen (accepts,
   * then says nothing).
   */
  fail(condition: Condition): void {
    this.condition = condition;
    this.station.stopped = true;
    for (const flow of [...this.station.outgoing]) {
      if (condition === 'dead')
        this.#cluster.after(this.#cluster.delayMs, () => this.#cluster.breakOff(flow));
    }
    for (const place of this.#places.values()) {
      const { attempt } = place;
      if (attempt === null || attempt.flow === null || attempt.flow.over) continue;
      this.#cluster.network.end(attempt.flow);
      if (attempt.node?.condition === 'well')
        attempt.node.swarm.sent(attempt.fetch.shard, this.member.node, false);
    }
    this.#places.clear();
  }

  /**
   * It gets no processor for this long: it hears, sends and takes in nothing, and then all that has
   * come meanwhile.
   */
  stall(ms: number): void {
    const { station } = this;
    this.#stalledUntilMs = this.#cluster.nowMs() + ms;
    for (const taken of ['controlFreeMs', 'sendFreeMs', 'receiveFreeMs'] as const)
      station[taken] = Math.max(station[taken], this.#stalledUntilMs);
  }

  #want(index: number, onBehalf: AskRequest | undefined): void {
    if (this.#places.has(index)) {
      this.swarm.want(this.#cluster.shards[index]!, CONTEXT, onBehalf);
      return;
    }
    const place: Place = {
      supply: this.#cluster.supply(index, false),
      attempt: null,
      stats: [],
      serving: null,
    };
    this.#places.set(index, place);
    this.swarm.want(this.#cluster.shards[index]!, CONTEXT, onBehalf, place);
    this.#startTicking();
  }

  #startTicking(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.#cluster.after(this.#cluster.tickMs, this.#tick);
  }

  readonly #tick = (): void => {
    this.#ticking = false;
    if (this.condition !== 'well') return;
    const nowMs = this.#cluster.nowMs();
    if (nowMs < this.#stalledUntilMs) {
      this.#startTicking();
      return;
    }
    for (const { attempt, supply, stats } of this.#places.values()) {
      if (attempt !== null && !attempt.over && attempt.node !== null)
        this.#watch(attempt, supply, nowMs);
      for (const stat of stats)
        if (nowMs - stat.sinceMs > PEER_HOLD_MS) stat.answer({ kind: 'busy', retryMs: 1 });
    }
    this.swarm.tick();
    if (this.#places.size > 0) this.#startTicking();
  };

  /**
   * What the wire does when nothing comes: "busy" from a living node that has had no byte to send,
   * else silence.
   */
  #watch(attempt: Attempt, supply: Supply, nowMs: number): void {
    const { flow } = attempt;
    // What is under way trickles in, however slow the link.
    if (flow !== null && flow.underWay > 0) return;
    const silentMs = nowMs - (flow === null ? attempt.beganMs : flow.lastMs);
    if (
      flow !== null &&
      flow.next === flow.first &&
      attempt.node!.isThere &&
      silentMs > attempt.holdMs
    )
      this.#settle(attempt, { kind: 'busy', retryMs: 1 });
    else if (silentMs > attempt.holdMs + PEER_SILENCE_MS - PEER_HOLD_MS)
      this.#settle(attempt, {
        kind: 'failed',
        error: error('PEER_TIMEOUT'),
        receivedBytes: supply.prefixBytes(supply.received),
      });
  }

  // --- what the core asks for ---

  ask(fetch: Fetch, number: number, ask: PeerAsk): void {
    const node = this.#cluster.node(ask.node);
    this.#cluster.stats.asks++;
    if (node === this) throw new Error(`${this.member.node} was told to ask itself`);
    const attempt = this.#attempt(fetch as ShardFetch, number, node, ask.fromBytes, ask.holdMs);
    const request: AskRequest = {
      shard: fetch.shard,
      node: this.member.node,
      zone: this.member.zone,
      role: ask.role,
      exclude: ask.exclude,
      hops: ask.hops,
      load: ask.load,
      shardMs: ask.shardMs,
      held: false,
    };
    this.#cluster.exchange(
      this,
      node,
      (answer) => node.#asked(request, attempt, this, ask.trusted, answer),
      (code) => {
        this.#settle(attempt, {
          kind: 'failed',
          error: error(code),
          receivedBytes: this.#receivedOf(fetch),
        });
      },
      (result: AttemptResult) => this.#settle(attempt, result),
    );
  }

  origin(fetch: Fetch, number: number, ask: OriginAsk): void {
    const attempt = this.#attempt(fetch as ShardFetch, number, null, ask.fromBytes);
    const place = fetch.place as Place;
    this.#cluster.origin.read(fetch.shard, ask.alone, this.station, place.supply, {
      wanted: () => !attempt.over && this.condition === 'well',
      begun: (flow) => {
        attempt.flow = flow;
        if (attempt.over) this.#cluster.network.end(flow);
      },
      ended: () => this.#arrived(attempt, place, null),
      failed: (wire) =>
        this.#settle(attempt, {
          kind: 'failed',
          error: wire,
          receivedBytes: this.#receivedOf(fetch),
        }),
    });
  }

  stat(fetch: Fetch, number: number, ask: StatAsk): void {
    const node = this.#cluster.node(ask.node);
    this.#cluster.stats.stats++;
    this.#cluster.exchange(
      this,
      node,
      (answer) => node.#statAsked(fetch.shard, this.member.node, ask, answer),
      (code) => {
        (fetch as ShardFetch).settleStat(number, { kind: 'failed', error: error(code) });
      },
      (result: StatResult) => (fetch as ShardFetch).settleStat(number, result),
    );
  }

  abandon(fetch: Fetch, number: number): void {
    const { attempt } = fetch.place as Place;
    if (attempt === null || attempt.number !== number)
      throw new Error('abandoned an attempt that is not under way');
    if (attempt.flow !== null) this.#cluster.network.end(attempt.flow);
    this.#cluster.after(0, () =>
      this.#settle(attempt, {
        kind: 'failed',
        error: error('CANCELLED'),
        receivedBytes: this.#receivedOf(fetch),
      }),
    );
  }

  receivedBytes(fetch: Fetch): number {
    return this.#receivedOf(fetch);
  }

  finished(fetch: Fetch, result: FetchResult): void {
    const { index } = fetch.shard;
    const place = fetch.place as Place;
    if (this.condition !== 'well' || this.#places.get(index) !== place) return;
    this.#places.delete(index);
    if (result.kind === 'done') {
      if (place.supply.tainted !== 0)
        throw new Error(`${this.member.node} accepted wrong bytes of shard ${index}`);
      if (place.supply.received !== place.supply.quanta)
        throw new Error(`${this.member.node} took a part of shard ${index} for the whole`);
      place.supply.released = place.supply.quanta;
      this.held[index] = 1;
      this.#cluster.network.wake(place.supply);
      for (const stat of place.stats) stat.answer(this.#statOf(result));
    } else {
      const told: AttemptResult = {
        kind: 'refused',
        error: result.kind === 'cancelled' ? error('CANCELLED') : result.error,
      };
      for (const serving of [...(place.serving ?? [])]) this.#refuse(serving, told);
      for (const stat of place.stats) stat.answer({ kind: 'miss' });
    }
    this.onShard(index, result);
  }

  // --- what other nodes ask for ---

  #asked(
    request: AskRequest,
    attempt: Attempt,
    child: SimNode,
    trusted: boolean,
    answer: (result: AttemptResult) => void,
  ): void {
    const { index } = request.shard;
    const verdict = this.swarm.ask({ ...request, held: this.held[index] === 1 });
    if (verdict.kind !== 'serve') {
      answer(verdict);
      return;
    }
    if (attempt.over) {
      this.swarm.sent(request.shard, request.node, false);
      return;
    }
    let place: Place | undefined;
    if (this.held[index] === 0) {
      this.#want(index, request);
      place = this.#places.get(index);
      if (place === undefined) {
        answer({ kind: 'miss' });
        return;
      }
    }
    const supply = place === undefined ? this.#cluster.supply(index, true) : place.supply;
    const sink = (attempt.fetch.place as Place).supply;
    const flow: Flow = new Flow({
      from: this.station,
      to: child.station,
      supply,
      sink,
      unchecked: request.role === 'parent',
      trusted,
      nowMs: this.#cluster.nowMs(),
      ended: () => {
        this.swarm.sent(request.shard, request.node, true);
        place?.serving?.delete(serving);
        child.#arrived(
          attempt,
          attempt.fetch.place as Place,
          this.held[index] === 1 ? 'right' : null,
        );
      },
    });
    const serving: Serving = { request, flow, refuse: (result) => child.#refused(attempt, result) };
    if (place !== undefined) (place.serving ??= new Set()).add(serving);
    attempt.flow = flow;
    flow.order = index;
    if (flow.next >= supply.quanta) flow.ended(flow);
    else this.#cluster.network.begin(flow);
  }

  #statAsked(
    shard: ShardId,
    node: string,
    ask: StatAsk,
    answer: (result: StatResult) => void,
  ): void {
    this.swarm.report(shard, node, ask.parent, ask.report);
    const place = this.#places.get(shard.index);
    const facts = this.swarm.factsOf(shard);
    if (this.held[shard.index] === 1)
      answer({
        kind: 'stat',
        totalBytes: this.#cluster.totalBytes(shard),
        lengthBytes: this.#cluster.lengthBytes(shard.index),
        checksum: 'right',
      });
    else if (facts !== undefined)
      answer({
        kind: 'stat',
        totalBytes: facts.totalBytes,
        lengthBytes: facts.lengthBytes,
        checksum: facts.checksum,
      });
    else if (place === undefined) answer({ kind: 'miss' });
    else place.stats.push({ answer, sinceMs: this.#cluster.nowMs() });
  }

  // --- how attempts end ---

  #attempt(
    fetch: ShardFetch,
    number: number,
    node: SimNode | null,
    fromBytes: number,
    holdMs = 0,
  ): Attempt {
    const place = fetch.place as Place;
    const { supply } = place;
    const fromQuanta = supply.quantaOf(fromBytes);
    if (fromQuanta > supply.received || supply.prefixBytes(fromQuanta) !== fromBytes)
      throw new Error(`asked from byte ${fromBytes}, which is not where the shard ends`);
    supply.received = fromQuanta;
    supply.released = Math.min(supply.released, fromQuanta);
    return (place.attempt = {
      number,
      fetch,
      node,
      flow: null,
      beganMs: this.#cluster.nowMs(),
      holdMs,
      over: false,
    });
  }

  /** The last byte is here: its checksum is computed, and the core told. */
  #arrived(attempt: Attempt, place: Place, claimedChecksum: string | null): void {
    if (attempt.over) return;
    this.#cluster.network.message(this.station, () => {
      const { lengthBytes, tainted } = place.supply;
      this.#settle(attempt, {
        kind: 'data',
        totalBytes: this.#cluster.totalBytes(attempt.fetch.shard),
        lengthBytes,
        claimedChecksum,
        checksum: tainted === 0 ? 'right' : `wrong ${tainted}`,
      });
    });
  }

  #refuse(serving: Serving, result: AttemptResult): void {
    if (serving.flow.over) return;
    this.#cluster.network.end(serving.flow);
    this.swarm.sent(serving.request.shard, serving.request.node, false);
    serving.refuse(result);
  }

  /**
   * The sender gives up on the shard: said so before the first byte, a broken connection after it.
   */
  #refused(attempt: Attempt, result: AttemptResult): void {
    const begun = attempt.flow !== null && attempt.flow.lastMs > attempt.beganMs;
    this.#cluster.after(this.#cluster.delayMs, () => {
      this.#settle(
        attempt,
        begun
          ? {
              kind: 'failed',
              error: error('PEER_BROKEN'),
              receivedBytes: this.#receivedOf(attempt.fetch),
            }
          : result,
      );
    });
  }

  /** The connection an outgoing flow of another node went over is gone. */
  brokenOff(flow: Flow): void {
    for (const { attempt } of this.#places.values()) {
      if (attempt?.flow === flow)
        this.#settle(attempt, {
          kind: 'failed',
          error: error('PEER_BROKEN'),
          receivedBytes: this.#receivedOf(attempt.fetch),
        });
    }
  }

  #settle(attempt: Attempt, result: AttemptResult): void {
    if (attempt.over || this.condition !== 'well') return;
    attempt.over = true;
    const { flow, node } = attempt;
    if (flow !== null && !flow.over) {
      this.#cluster.network.end(flow);
      if (node !== null && node.condition === 'well')
        node.swarm.sent(attempt.fetch.shard, this.member.node, false);
    }
    attempt.fetch.settle(attempt.number, result);
  }

  #receivedOf(fetch: Fetch): number {
    const { supply } = fetch.place as Place;
    return supply.prefixBytes(supply.received);
  }

  #statOf(result: Extract<FetchResult, { kind: 'done' }>): StatResult {
    const { totalBytes, lengthBytes, checksum } = result;
    return { kind: 'stat', totalBytes, lengthBytes, checksum };
  }
}
