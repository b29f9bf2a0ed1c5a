import { ManualClock } from '../../lib/clock.ts';
import type { ErrorCode, WireError } from '../../lib/errors.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { OVERTAKERS_MIN } from '../../lib/swarm/limits.ts';
import type { ShardFetch } from '../../lib/swarm/fetch.ts';
import { Swarm } from '../../lib/swarm/swarm.ts';
import type {
  AskRequest,
  AttemptResult,
  Fetch,
  OriginRef,
  FetchEffects,
  FetchResult,
  LineTest,
  Member,
  NodeId,
  OriginAsk,
  PeerAsk,
  ShardId,
  StatAsk,
  SwarmEvent,
} from '../../lib/swarm/types.ts';

export const KEY = `sha256:${'ab'.repeat(32)}`;
export const CONTEXT: OriginRef = { id: 'credential' };

/** What the core has told its driver to do, in order. */
export type Call =
  | { call: 'ask'; attempt: number; ask: PeerAsk }
  | { call: 'origin'; attempt: number; ask: OriginAsk }
  | { call: 'stat'; attempt: number; ask: StatAsk }
  | { call: 'abandon'; attempt: number }
  | { call: 'finished'; result: FetchResult };

/** A driver that does nothing but remember; the test settles what it likes. */
export class Recorder implements FetchEffects {
  readonly calls: Call[] = [];
  readonly soundings: { node: NodeId; told: (isThere: boolean) => void }[] = [];
  received = 0;

  ask(_fetch: Fetch, attempt: number, ask: PeerAsk): void {
    this.calls.push({ call: 'ask', attempt, ask });
  }

  origin(_fetch: Fetch, attempt: number, ask: OriginAsk): void {
    this.calls.push({ call: 'origin', attempt, ask });
  }

  stat(_fetch: Fetch, attempt: number, ask: StatAsk): void {
    this.calls.push({ call: 'stat', attempt, ask });
  }

  readonly lineTests: { nodes: readonly NodeId[]; told: (test: LineTest) => void }[] = [];

  testLine(nodes: readonly NodeId[], told: (test: LineTest) => void): void {
    this.lineTests.push({ nodes, told });
  }

  sound(node: NodeId, _waitMs: number, told: (isThere: boolean) => void): void {
    this.soundings.push({ node, told });
  }

  abandon(_fetch: Fetch, attempt: number): void {
    this.calls.push({ call: 'abandon', attempt });
  }

  receivedBytes(): number {
    return this.received;
  }

  finished(_fetch: Fetch, result: FetchResult): void {
    this.calls.push({ call: 'finished', result });
  }

  /** The last call, which must be of this kind. */
  last<C extends Call['call']>(call: C): Extract<Call, { call: C }> {
    const last = this.calls.at(-1);
    if (last?.call !== call)
      throw new Error(`expected ${call}, the last call is ${JSON.stringify(last)}`);
    return last as Extract<Call, { call: C }>;
  }
}

export interface Rig {
  swarm: Swarm;
  effects: Recorder;
  clock: ManualClock;
  events: [SwarmEvent, NodeId | null][];
  members: Member[];
}

export function agent(at: number, zone: string | null = null): Member {
  return { node: `10.0.0.${at}:65002`, role: 'agent', zone };
}

export function root(at: number): Member {
  return { node: `10.9.0.${at}:65002`, role: 'root', zone: null };
}

/**
 * A swarm of `agents` and `roots` as the first agent (or, without agents, the first root) sees it.
 */
export function rig(agents: number, roots: number, self?: Member): Rig {
  const members = [
    ...Array.from({ length: agents }, (_, at) => agent(at + 1)),
    ...Array.from({ length: roots }, (_, at) => root(at + 1)),
  ];
  const effects = new Recorder();
  const clock = new ManualClock();
  const events: Rig['events'] = [];
  const swarm = new Swarm({
    self: self ?? members[0]!,
    effects,
    nowMs: () => clock.nowMs(),
    random: () => 0.5,
    observe: (event, node) => events.push([event, node]),
  });
  swarm.setMembers(members);
  return { swarm, effects, clock, events, members };
}

/** A shard, of index `from` or higher, whose owners, by rank, satisfy `fits`. */
export function shardWhere(
  swarm: Swarm,
  fits: (rank: readonly NodeId[]) => boolean,
  from = 0,
): ShardId {
  for (let index = from; index < from + 10_000; index++) {
    // In a small swarm the rank is that of the blob.
    const shard = { key: index === 0 ? KEY : `${KEY}${index}`, index };
    if (fits(swarm.membership.owners.top(shard))) return shard;
  }
  throw new Error('no such shard');
}

/** The acting owner of a shard, as this node sees it: the first in rank that is usable. */
export function ownerOf(swarm: Swarm, shard: ShardId): NodeId {
  const bad = new Set(
    swarm
      .peers()
      .flatMap(({ node, condition }) =>
        condition === 'good' || condition === 'slow' ? [] : [node],
      ),
  );
  return swarm.membership.owners.top(shard).find((node) => !bad.has(node))!;
}

export function data(checksum: string, claimedChecksum: string | null): AttemptResult {
  return {
    kind: 'data',
    totalBytes: 100 * SHARD_BYTES,
    lengthBytes: SHARD_BYTES,
    claimedChecksum,
    checksum,
  };
}

export function failure(
  code: ErrorCode,
  receivedBytes = 0,
  more: Partial<WireError> = {},
): AttemptResult {
  return { kind: 'failed', error: { code, message: code, ...more }, receivedBytes };
}

export function request(shard: ShardId, node: NodeId, more: Partial<AskRequest> = {}): AskRequest {
  return {
    shard,
    node,
    zone: null,
    role: 'owner',
    exclude: [],
    hops: 0,
    load: 0,
    held: false,
    ...more,
  };
}

/** Ticks until `ms` have passed, as the node does. */
export function pass({ swarm, clock }: Rig, ms: number): void {
  for (let left = ms; left > 0; left -= 25) {
    clock.advance(Math.min(25, left));
    swarm.tick();
  }
}

export type { ShardFetch };

/** An owner's answer that sends the asker to `parents`, before it knows the checksum. */
export function redirect(parents: string[]): AttemptResult {
  return { kind: 'redirect', parents, checksum: null, totalBytes: null };
}

/**
 * A rig with a shard that another agent owns, that agent, a third one that may be a parent, and a
 * fetch of the shard begun.
 */
export function asChild(
  agents = 8,
  roots = 1,
): Rig & { owner: string; parent: string; fetch: ReturnType<Rig['swarm']['want']> } {
  const made = rig(agents, roots);
  const shard = shardWhere(
    made.swarm,
    (rank) => rank[0] !== made.members[0]!.node && rank[1] !== made.members[0]!.node,
  );
  const owner = ownerOf(made.swarm, shard);
  const { node: parent } = made.members.slice(1).find(({ node }) => node !== owner)!;
  return { ...made, owner, parent, fetch: made.swarm.want(shard, CONTEXT) };
}

/** Shards begun later come whole, one every 20 ms. */
export function overtake(made: Rig): void {
  for (let index = 500; index < 500 + 2 * OVERTAKERS_MIN; index++) {
    pass(made, 20);
    made.swarm.want({ key: KEY, index }, CONTEXT).settle(1, data('aa', 'aa'));
  }
}
