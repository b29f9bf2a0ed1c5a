import type { Clock, Timer } from '../../clock.ts';
import { PEER_HOLD_MS } from '../../limits.ts';
import { PEER_RETURN_MS } from '../limits.ts';
import type { Swarm } from '../../swarm/swarm.ts';
import type { AskRequest, ShardId, ShardFacts } from '../../swarm/types.ts';
import type { OriginTarget } from '../../origin-target.ts';
import type { Span } from '../../span.ts';
import type { StatAnswer, StatQuery } from '../../wire/stat.ts';
import type { ShardRequest, ControlMessage } from '../../workers/messages.ts';
import type { BlobFacts } from '../shards/blob-facts.ts';
import { digestOf } from '../shards/holdings.ts';
import type { ShardLoader } from '../shards/loader.ts';
import type { Interest, Resident } from '../shards/resident.ts';

export interface PeerDeskParts {
  swarm: Swarm;
  clock: Clock;
  facts: BlobFacts;
  loader: ShardLoader;
  /**
   * The origin that another node names for a blob; null if it is not vouched for (see Vouching).
   */
  vouched(key: string, origin: OriginTarget | null): OriginTarget | null;
  /** `node` sent a correctly signed request. */
  asked(node: string): void;
  /** `bytes` were sent to `node`. */
  sent(node: string, bytes: number): void;
  /**
   * A node got a place in the tree of a shard this node owns, `depth` hops below a node that has
   * the shard.
   */
  placed(depth: number): void;
}

/** Sends other nodes the checksums of shards, at once or when a shard is complete. */
export class ChecksumDesk {
  readonly #parts: PeerDeskParts;
  readonly #waiting = new Map<string, Set<(resident: Resident | null) => void>>();

  constructor(parts: PeerDeskParts) {
    this.#parts = parts;
  }

  /** Records the report on the parent, and resolves within PEER_HOLD_MS. */
  async stat({ key, shard: index, node, parent, report }: StatQuery): Promise<StatAnswer> {
    const { swarm, facts } = this.#parts;
    const shard: ShardId = { key, index };
    swarm.report(shard, node, parent, report);
    const known = this.#known(shard);
    if (known !== null) return statOf(known);
    if (this.#parts.loader.find(key, index) === undefined) return { kind: 'miss' };
    const resident = await new Promise<Resident | null>((resolve) => this.#wait(shard, resolve));
    const totalBytes = facts.totalOf(key);
    if (resident === null || resident.checksum === null || totalBytes === null)
      return { kind: 'busy', retryMs: 1 };
    const { lengthBytes, checksum } = resident;
    return statOf({ totalBytes, lengthBytes, checksum });
  }

  completed(resident: Resident): void {
    const name = `${resident.key}/${resident.shard}`;
    const waiting = this.#waiting.get(name);
    this.#waiting.delete(name);
    for (const answer of waiting ?? []) answer(resident);
  }

  /** Calls `answer` once the shard is complete, or with null after PEER_HOLD_MS. */
  #wait(shard: ShardId, answer: (resident: Resident | null) => void): void {
    const name = `${shard.key}/${shard.index}`;
    let waiting = this.#waiting.get(name);
    if (waiting === undefined) this.#waiting.set(name, (waiting = new Set()));
    const timer: Timer = this.#parts.clock.after(PEER_HOLD_MS, () => {
      waiting.delete(heard);
      if (waiting.size === 0 && this.#waiting.get(name) === waiting) this.#waiting.delete(name);
      answer(null);
    });
    const heard = (resident: Resident | null): void => {
      timer.cancel();
      answer(resident);
    };
    waiting.add(heard);
  }

  /** What this node knows of a shard: from memory, from disk, or as its owner. */
  #known(shard: ShardId): ShardFacts | null {
    const loader = this.#parts.loader;
    const resident = loader.find(shard.key, shard.index);
    const totalBytes = this.#parts.facts.totalOf(shard.key);
    if (resident?.checksum != null && totalBytes !== null)
      return { totalBytes, lengthBytes: resident.lengthBytes, checksum: resident.checksum };
    return loader.stored(shard.key, shard.index) ?? this.#parts.swarm.factsOf(shard) ?? null;
  }
}

function statOf({ totalBytes, lengthBytes, checksum }: ShardFacts): StatAnswer {
  return { kind: 'stat', totalBytes, lengthBytes, checksum: checksum };
}

/** A shard that a front sends to another node. */
interface Serving {
  shard: ShardId;
  node: string;
  resident: Resident | null;
  interest: Interest;
}

/**
 * Serves other nodes that read through one front: the core decides, the loader gets the shard, the
 * front sends it.
 */
export class PeerDesk {
  readonly #parts: PeerDeskParts;
  readonly #reply: (message: ControlMessage) => void;
  readonly #serving = new Map<number, Serving>();

  constructor(parts: PeerDeskParts, reply: (message: ControlMessage) => void) {
    this.#parts = parts;
    this.#reply = reply;
  }

  ask(request: ShardRequest, span?: Span): void {
    const { swarm, facts, loader } = this.#parts;
    const { id } = request;
    const { query } = request;
    const { key, shard: index, node, role, lineMs, parentFailed } = query;
    const origin = this.#parts.vouched(key, request.origin);
    const shard: ShardId = query.whole === true ? { key, index, rankedAs: 0 } : { key, index };
    if (origin !== null) facts.addOrigin(key, origin);
    const asked: AskRequest = {
      shard,
      node,
      zone: query.zone,
      role,
      exclude: query.exclude,
      hops: query.hops,
      load: query.load,
      held: loader.has(key, index),
      ...(lineMs === undefined ? {} : { lineMs }),
      ...(parentFailed === true ? { parentFailed } : {}),
    };
    this.#parts.asked(node);
    const verdict = swarm.ask(asked);
    const depth = role === 'owner' ? swarm.depthOf(shard, node) : null;
    if (depth !== null && (verdict.kind === 'serve' || verdict.kind === 'redirect'))
      this.#parts.placed(depth);
    if (verdict.kind === 'redirect') {
      const totalBytes = verdict.totalBytes ?? facts.totalOf(key);
      this.#reply({ kind: 'peer', id, answer: { ...verdict, totalBytes } });
      return;
    }
    if (verdict.kind === 'serve') this.#serve(request, asked, origin, span);
    else this.#reply({ kind: 'peer', id, answer: verdict });
  }

  /** Gets the shard, unless it is here, and lets the front send it. */
  #serve(
    request: ShardRequest,
    asked: AskRequest,
    origin: OriginTarget | null,
    span: Span | undefined,
  ): void {
    const { swarm, facts, loader } = this.#parts;
    const { id, requestId } = request;
    const { shard, node } = asked;
    const { key, index } = shard;
    const interest: Interest = {
      placed: (resident, cold) => {
        const known = resident.checksum ?? swarm.factsOf(shard)?.checksum;
        const checksum = known ?? loader.stored(key, index)?.checksum ?? null;
        this.#reply({
          kind: 'granted',
          id,
          shard: resident.shard,
          slot: resident.slot,
          generation: resident.generation,
          checksum,
          totalBytes: facts.totalOf(key),
          cold,
          uploadsAtOnce: swarm.uploadsAtOnce,
          pathname: facts.pathname(key),
        });
      },
      failed: (error) => this.#reply({ kind: 'refused', id, error: error.toWire() }),
    };
    const serving: Serving = { shard, node, resident: null, interest };
    this.#serving.set(id, serving);
    serving.resident = loader.want(
      key,
      index,
      {
        origin,
        sliceBytes: 0,
        digest: digestOf(key, origin),
        requestId,
        ...(span === undefined ? {} : { span }),
        onBehalf: asked,
      },
      interest,
    );
  }

  /** The answer to request `id` has ended; `whole`: all bytes to the shard's end were sent. */
  close(id: number, whole: boolean, sentBytes: number): void {
    const serving = this.#serving.get(id);
    if (serving === undefined) return;
    this.#serving.delete(id);
    this.#parts.sent(serving.node, sentBytes);
    // A node that got "busy" asks again soon, so the running fetch continues.
    if (serving.resident !== null)
      this.#parts.loader.drop(serving.resident, serving.interest, whole ? 0 : PEER_RETURN_MS);
    this.#parts.swarm.sent(serving.shard, serving.node, whole);
  }

  closeAll(): void {
    for (const id of [...this.#serving.keys()]) this.close(id, false, 0);
  }
}
