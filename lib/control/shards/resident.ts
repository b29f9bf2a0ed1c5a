import type { ShoalError } from '../../errors.ts';
import type { AskRequest, ShardFacts } from '../../swarm/types.ts';
import type { OriginTarget } from '../../origin-target.ts';
import type { Span } from '../../span.ts';

/** A shard in memory, or on its way there. */
export interface Resident {
  readonly key: string;
  readonly shard: number;
  /** -1 until it has a slot. */
  slot: number;
  generation: number;
  phase: 'waiting' | 'loading' | 'complete';
  /** Hex; null until the shard is complete and checked. */
  checksum: string | null;
  lengthBytes: number;
  readonly interests: Set<Interest>;
  /** The running fetch: it can be abandoned, or offered another origin. */
  filling: Fill | null;
  /** The last interest was dropped before the shard was complete. */
  abandoned: boolean;
  /** It is written to the cache even if the container runtime has it on disk. */
  isCached: boolean;
}

/** A consumer of a shard. A shard without any interest is no longer fetched. */
export interface Interest {
  /**
   * The shard has a slot; follow its watermark from here. `cold`: it was not complete in memory
   * when it was asked for.
   */
  placed(resident: Resident, cold: boolean): void;
  /**
   * The shard does not come. `of`: the origin that the error is of, which may be another
   * interest's; null: another node reported it, or it is this node's own.
   */
  failed(error: ShoalError, of?: OriginTarget | null): void;
  /** A shard that was not complete when it was placed has become complete. */
  complete?(resident: Resident): void;
}

/** How to get a shard that is not here. */
export interface FetchOptions {
  /** null: only the swarm may be asked. */
  origin: OriginTarget | null;
  /**
   * Offset in the shard at which a client waits; the origin is asked for the bytes from there
   * first. null: the shard is read ahead and no client waits for it yet.
   */
  sliceBytes: number | null;
  /** The digest that the whole blob must have. */
  digest: string | null;
  requestId: string;
  /** The span of that request, if it is traced. */
  span?: Span | undefined;
  /** The other node's request for which the shard is fetched, if that is the reason. */
  onBehalf: AskRequest | null;
}

/** A shard being brought into its slot. */
export interface Fill {
  abandon(): void;
  /** Another requester's origin, used if the first one refuses. */
  offer(options: FetchOptions): void;
}

/**
 * Brings a shard into its slot from the swarm or the origin. Calls exactly one of `done` and
 * `failed`; nothing writes to the slot after that.
 */
export type FillFromSwarm = (
  resident: Resident,
  options: FetchOptions,
  done: (got: ShardFacts) => void,
  failed: (error: ShoalError, of?: OriginTarget | null) => void,
) => Fill;

/** The same; `holders`: nodes that offer the whole blob. */
export type FillWithHolders = (
  ...request: [...Parameters<FillFromSwarm>, holders?: readonly string[]]
) => Fill;

export function newResident(key: string, shard: number): Resident {
  return {
    key,
    shard,
    slot: -1,
    generation: 0,
    phase: 'waiting',
    checksum: null,
    lengthBytes: -1,
    interests: new Set(),
    filling: null,
    abandoned: false,
    isCached: false,
  };
}
