import type { Clock } from '../../clock.ts';
import { preadPath, statPath, type PreadQuery, type StatQuery } from '../../wire/rpc.ts';
import type { ClusterSecret } from '../../wire/secret.ts';
import type { Vouching } from '../../registry/vouching.ts';
import { REQUEST_ID_HEADER } from '../../telemetry/request-id.ts';
import type { OriginContext } from '../../workers/messages.ts';
import type { OriginReadResult } from '../../workers/origin-read.ts';
import type { ProbeJob, ProbeResult } from '../../workers/pool.ts';
import type { PeerReadResult } from '../../workers/peer/read.ts';
import type { StatResult } from '../../workers/peer/stat.ts';
import type { Observation } from '../watch/observation.ts';
import type { Pools } from '../threads/pools.ts';
import { OriginReads } from './origin-reads.ts';

export interface TransferParts {
  pools: Pools;
  secret: ClusterSecret;
  clock: Clock;
  observation: Observation;
  vouching: Pick<Vouching, 'isVouched'>;
}

/** Which slot a transfer fills, and from which byte on. */
export interface Filling {
  slot: number;
  attempt: number;
  shard: number;
  fromBytes: number;
  totalBytes: number | null;
  digest: string | null;
}

/** Carries out what the swarm core decides: signed requests to other nodes, reads at the origin. */
export class Transfers {
  readonly #parts: TransferParts;
  readonly #atOrigin: OriginReads;

  constructor(parts: TransferParts) {
    this.#parts = parts;
    this.#atOrigin = new OriginReads(parts);
  }

  /**
   * Reads the rest of a shard from `node`; `origin` is sealed for it when it may need to go there.
   */
  peer(
    node: string,
    query: PreadQuery,
    filling: Filling,
    more: { origin: OriginContext | null; requestId: string },
  ): Promise<PeerReadResult> {
    const { secret, clock, pools } = this.#parts;
    const path = preadPath(query);
    const sealed = more.origin === null ? '' : secret.seal(JSON.stringify(more.origin));
    const headers: Record<string, string> = {
      'shoal-auth': secret.sign('GET', path, clock.wallMs(), sealed),
    };
    if (sealed !== '') headers['shoal-origin'] = sealed;
    if (more.requestId !== '') headers[REQUEST_ID_HEADER] = more.requestId;
    return pools.run({ kind: 'peer', ...addressOf(node), path, headers, ...filling });
  }

  stat(node: string, query: StatQuery): Promise<StatResult> {
    const { secret, clock, pools } = this.#parts;
    const path = statPath(query);
    return pools.run({
      kind: 'stat',
      ...addressOf(node),
      path,
      headers: { 'shoal-auth': secret.sign('GET', path, clock.wallMs()) },
    });
  }

  /** Reads the rest of a shard at the origin; see OriginReads. */
  origin(
    way: OriginContext,
    filling: Filling,
    how: { sliceBytes: number | null; alone: boolean },
  ): Promise<OriginReadResult> {
    return this.#atOrigin.read(way, filling, how);
  }

  /**
   * Checks at the upstream that a credential opens a blob. A read under way with the same credential
   * proves it as well, and costs the upstream nothing more.
   */
  async probe(job: ProbeJob): Promise<ProbeResult> {
    // The read that the same request leads to begins within this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    return (
      (await this.#atOrigin.proofOf(job)) ??
      this.#parts.pools.run({ ...job, ranges: this.#atOrigin.support(job) })
    );
  }
}

/** Host and port of a node's name, `address:port` or `[v6]:port`. */
export function addressOf(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(':');
  return {
    host: node.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(node.slice(colon + 1)),
  };
}
