import type { Swarm } from '../../lib/swarm/swarm.ts';
import type {
  AskRequest,
  AttemptResult,
  ShardId,
  StatAsk,
  StatResult,
} from '../../lib/swarm/types.ts';
import type { Attempt, Place, Serving } from './attempt.ts';
import { Flow, type Station } from './network.ts';
import type { World } from './world.ts';

/** The node that sends. */
export interface Sender {
  readonly swarm: Swarm;
  readonly station: Station;
  /** Shards that are here whole and checked, by index. */
  readonly held: Uint8Array;
  /** Fetches a shard because of another node's request. */
  fetchFor(index: number, request: AskRequest): void;
  placeOf(index: number): Place | undefined;
}

/** The node that it sends to. */
export interface Receiver {
  readonly station: Station;
  arrived(attempt: Attempt, place: Place, claimedChecksum: string | null): void;
  refused(attempt: Attempt, result: AttemptResult): void;
}

/** What a simulated node does for others: sends shards, and answers for their checksums. */
export class Uploads {
  readonly #holder: Sender;
  readonly #world: World<unknown>;

  constructor(holder: Sender, world: World<unknown>) {
    this.#holder = holder;
    this.#world = world;
  }

  /** A child asks for a shard. */
  asked(
    request: AskRequest,
    attempt: Attempt,
    child: Receiver,
    trusted: boolean,
    answer: (result: AttemptResult) => void,
  ): void {
    const { index } = request.shard;
    const verdict = this.#holder.swarm.ask({ ...request, held: this.#holder.held[index] === 1 });
    if (verdict.kind !== 'serve') {
      answer(verdict);
      return;
    }
    if (attempt.over) {
      this.#holder.swarm.sent(request.shard, request.node, false);
      return;
    }
    let place: Place | undefined;
    if (this.#holder.held[index] === 0) {
      this.#holder.fetchFor(index, request);
      place = this.#holder.placeOf(index);
      if (place === undefined) {
        answer({ kind: 'miss' });
        return;
      }
    }
    const supply = place === undefined ? this.#world.supply(index, true) : place.supply;
    const sink = (attempt.fetch.place as Place).supply;
    const flow: Flow = new Flow({
      from: this.#holder.station,
      to: child.station,
      supply,
      sink,
      unchecked: request.role === 'parent' && request.checked !== true,
      trusted,
      nowMs: this.#world.nowMs(),
      ended: () => {
        this.#holder.swarm.sent(request.shard, request.node, true);
        place?.serving?.delete(serving);
        child.arrived(
          attempt,
          attempt.fetch.place as Place,
          this.#holder.held[index] === 1 ? 'right' : null,
        );
      },
    });
    const serving: Serving = { request, flow, refuse: (result) => child.refused(attempt, result) };
    if (place !== undefined) (place.serving ??= new Set()).add(serving);
    attempt.flow = flow;
    flow.order = index;
    if (flow.next >= supply.quanta) flow.ended(flow);
    else this.#world.network.begin(flow);
  }

  /** Another node asks for a shard's checksum. */
  statAsked(
    shard: ShardId,
    node: string,
    ask: StatAsk,
    answer: (result: StatResult) => void,
  ): void {
    this.#holder.swarm.report(shard, node, ask.parent, ask.report);
    const place = this.#holder.placeOf(shard.index);
    const facts = this.#holder.swarm.factsOf(shard);
    if (this.#holder.held[shard.index] === 1)
      answer({
        kind: 'stat',
        totalBytes: this.#world.totalBytes(shard),
        lengthBytes: this.#world.lengthBytes(shard.index),
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
    else place.stats.push({ answer, sinceMs: this.#world.nowMs() });
  }

  /** The shard could not be had: a child is told. */
  refuse(serving: Serving, result: AttemptResult): void {
    if (serving.flow.over) return;
    this.#world.network.end(serving.flow);
    this.#holder.swarm.sent(serving.request.shard, serving.request.node, false);
    serving.refuse(result);
  }
}
