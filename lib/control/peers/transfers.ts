import type { Clock } from '../../clock.ts';
import { ALIVE_PATH } from '../../wire/alive.ts';
import type { Envelope } from '../../wire/envelope.ts';
import { LINE_PATH } from '../../wire/line.ts';
import { preadPath, type PreadQuery, type PreadResult } from '../../wire/pread.ts';
import { statPath, type StatQuery } from '../../wire/stat.ts';
import type { LineTest, StatResult } from '../../swarm/types.ts';
import type { Vouching } from '../../registry/vouching.ts';
import type { OriginTarget } from '../../origin-target.ts';
import type { OriginReadResult } from '../../workers/origin-read.ts';
import type { Patience } from '../../workers/peer/progress.ts';
import type { ProbeJob, ProbeResult } from '../../workers/pool.ts';
import type { Observation } from '../watch/observation.ts';
import type { Pools } from '../threads/pools.ts';
import { PeerCalls } from './calls.ts';
import { OriginReads } from './origin-reads.ts';
import type { ReadHow } from './read-how.ts';
import type { RangeSupport } from './range-support.ts';

export interface TransferParts {
  pools: Pools;
  envelope: Envelope;
  clock: Clock;
  observation: Observation;
  vouching: Pick<Vouching, 'isVouched'>;
}

/** The slot that a transfer fills, and its first byte. */
export interface Filling {
  slot: number;
  attempt: number;
  shard: number;
  fromBytes: number;
  totalBytes: number | null;
  digest: string | null;
}

/** Runs transfers for NodeEffects: signed requests to other nodes, reads at the origin. */
export class Transfers {
  readonly #parts: TransferParts;
  readonly #atOrigin: OriginReads;
  readonly #calls: PeerCalls;

  constructor(parts: TransferParts) {
    this.#parts = parts;
    this.#atOrigin = new OriginReads(parts);
    this.#calls = new PeerCalls(parts.pools, parts.envelope);
  }

  /** Reads the rest of a shard from `node`, and sends it the origin if it may need it. */
  peer(
    node: string,
    query: PreadQuery,
    filling: Filling,
    more: {
      origin: OriginTarget | null;
      requestId: string;
      traceparent?: string | undefined;
      patience: Patience;
      /** See PeerRequest. */
      shardMs: number | null;
      gatherMs: number;
    },
  ): Promise<PreadResult> {
    const { envelope, pools } = this.#parts;
    const path = preadPath(query);
    const headers = envelope.headers(node, path, more);
    const { patience, shardMs, gatherMs } = more;
    const checked = query.checked === true ? { checked: true as const } : {};
    return pools.run({
      kind: 'peer',
      node,
      path,
      headers,
      patience,
      shardMs,
      gatherMs,
      ...checked,
      ...filling,
    });
  }

  stat(
    node: string,
    query: StatQuery,
    more: { traceparent?: string | undefined } = {},
  ): Promise<StatResult> {
    const { envelope, pools } = this.#parts;
    const path = statPath(query);
    return pools.run({ kind: 'stat', node, path, headers: envelope.headers(node, path, more) });
  }

  /** Whether `node` answers within `waitMs`, whatever it says. */
  async isThere(node: string, waitMs: number): Promise<boolean> {
    const result = await this.#calls.call(node, ALIVE_PATH, { deadlineMs: waitMs });
    if (result.kind === 'answer') return true;
    const { code } = result.error;
    return code !== 'PEER_TIMEOUT' && code !== 'PEER_UNREACHABLE';
  }

  /** Lets `nodes` send bytes of no meaning, all at the same time, and takes the time. */
  testLine(nodes: readonly string[]): Promise<LineTest> {
    const { envelope, pools } = this.#parts;
    const requests = nodes.map((node) => ({
      node,
      path: LINE_PATH,
      headers: envelope.headers(node, LINE_PATH, {}),
    }));
    return pools.run({ kind: 'line', requests });
  }

  /** Reads the rest of a shard at the origin; see OriginReads. */
  origin(target: OriginTarget, filling: Filling, how: ReadHow): Promise<OriginReadResult> {
    return this.#atOrigin.read(target, filling, how);
  }

  /** For how long a read has waited for a turn at the origin; see OriginQueue. */
  get originStalledMs(): number {
    return this.#atOrigin.stalledMs;
  }

  /** What is known of the origin's support for ranges. */
  support(target: { url: string; upstreamHost: string }): RangeSupport {
    return this.#atOrigin.support(target);
  }

  /**
   * Checks at the upstream that a credential gives access to a blob. A running read with the same
   * credential proves it too, without another request.
   */
  async probe(job: ProbeJob): Promise<ProbeResult> {
    // A read for the same request starts within this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    const proof = await this.#atOrigin.proofOf(job);
    if (proof !== null) return proof;
    const support = this.#atOrigin.support(job);
    // What its host does with others proves nothing: a refusal may be about the range.
    const ranges = support === 'whole' || this.#atOrigin.servesParts(job) ? support : 'unknown';
    const result = await this.#parts.pools.run({ ...job, ranges });
    if (result.kind === 'granted' && result.ranges !== undefined && result.ranges !== 'unknown')
      this.#atOrigin.note(job, result.ranges);
    return result;
  }
}
