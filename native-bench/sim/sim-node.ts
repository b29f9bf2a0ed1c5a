import { PEER_HOLD_MS } from '../../lib/limits.ts';
import type { ShardFetch } from '../../lib/swarm/fetch.ts';
import { Swarm } from '../../lib/swarm/swarm.ts';
import type { TreeShape } from '../../lib/swarm/shape.ts';
import type {
  AskRequest,
  AttemptResult,
  Fetch,
  FetchEffects,
  FetchResult,
  LineTest,
  Member,
  OriginAsk,
  AskWaits,
  PeerAsk,
  StatAsk,
  StatResult,
} from '../../lib/swarm/types.ts';
import { type Attempt, type Condition, CONTEXT, error, type Place } from './attempt.ts';
import { SimLineTest } from './line-test.ts';
import type { Flow, Station, Supply } from './network.ts';
import { Random } from './random.ts';
import { type Receiver, type Sender, Uploads } from './uploads.ts';
import type { World } from './world.ts';

/**
 * A simulated node: the swarm's core, driven with simulated messages and flows in place of sockets
 * and slots.
 */
export class SimNode implements FetchEffects, Sender, Receiver {
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
  readonly #cluster: World<SimNode>;
  readonly #uploads: Uploads;
  readonly #places = new Map<number, Place>();
  #ticking = false;
  #stalledUntilMs = 0;

  constructor(
    cluster: World<SimNode>,
    member: Member,
    station: Station,
    seed: number,
    shape: TreeShape | undefined,
  ) {
    this.#cluster = cluster;
    this.#uploads = new Uploads(this, cluster as World<unknown>);
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

  fetchFor(index: number, request: AskRequest): void {
    this.#want(index, request);
  }

  placeOf(index: number): Place | undefined {
    return this.#places.get(index);
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
    this.#cluster.after(Math.max(this.#cluster.tickMs, this.swarm.tickMs), this.#tick);
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
      while (stats.length > 0 && nowMs - stats[0]!.sinceMs > PEER_HOLD_MS)
        stats.shift()!.answer({ kind: 'busy', retryMs: 1 });
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
    const { holdMs, silenceMs, stallMs } = attempt.waits;
    const hasBegun = flow !== null && flow.next > flow.first;
    if (flow !== null && !hasBegun && attempt.node!.isThere && silentMs > holdMs)
      this.#settle(attempt, { kind: 'busy', retryMs: 1 });
    else if (silentMs > (hasBegun ? stallMs : holdMs + silenceMs))
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
    const attempt = this.#attempt(fetch as ShardFetch, number, node, ask.fromBytes, ask);
    const { node: self, zone } = this.member;
    const request: AskRequest = { ...ask, shard: fetch.shard, node: self, zone, held: false };
    this.#cluster.exchange(
      this,
      node,
      (answer) => node.#uploads.asked(request, attempt, this, ask.trusted, answer),
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
      ended: () => this.arrived(attempt, place, null),
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
      (answer) => node.#uploads.statAsked(fetch.shard, this.member.node, ask, answer),
      (code) => {
        (fetch as ShardFetch).settleStat(number, { kind: 'failed', error: error(code) });
      },
      (result: StatResult) => (fetch as ShardFetch).settleStat(number, result),
    );
  }

  sound(to: string, waitMs: number, told: (isThere: boolean) => void): void {
    this.#cluster.stats.stats++;
    const node = this.#cluster.node(to);
    let isOver = false;
    const tell = (isThere: boolean): void => {
      if (!isOver) told(isThere);
      isOver = true;
    };
    const gone = (): void => tell(false);
    this.#cluster.exchange<true>(this, node, (answer) => answer(true), gone, tell);
    this.#cluster.after(waitMs, gone);
  }

  testLine(nodes: readonly string[], told: (test: LineTest) => void): void {
    new SimLineTest(this.#cluster, this, told).ask(nodes);
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
      const { totalBytes, lengthBytes, checksum } = result;
      for (const { answer } of place.stats)
        answer({ kind: 'stat', totalBytes, lengthBytes, checksum });
    } else {
      const told: AttemptResult = {
        kind: 'refused',
        error: result.kind === 'cancelled' ? error('CANCELLED') : result.error,
      };
      for (const serving of [...(place.serving ?? [])]) this.#uploads.refuse(serving, told);
      for (const stat of place.stats) stat.answer({ kind: 'miss' });
    }
    this.onShard(index, result);
  }

  // --- how attempts end ---

  #attempt(
    fetch: ShardFetch,
    number: number,
    node: SimNode | null,
    fromBytes: number,
    waits: AskWaits = { holdMs: 0, silenceMs: 0, stallMs: 0 },
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
      waits,
      over: false,
    });
  }

  /** The last byte is here: its checksum is computed, and the core told. */
  arrived(attempt: Attempt, place: Place, claimedChecksum: string | null): void {
    if (attempt.over) return;
    this.#cluster.network.message(this.station, this.station, () => {
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

  /**
   * The sender gives up on the shard: said so before the first byte, a broken connection after it.
   */
  refused(attempt: Attempt, result: AttemptResult): void {
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
}
