import type { Clock } from '../clock.ts';
import { preadPath, statPath, type PreadQuery, type StatQuery } from '../cluster/rpc.ts';
import type { ClusterSecret } from '../cluster/secret.ts';
import { ORIGIN_SHARDS_MAX, SHARD_BYTES } from '../limits.ts';
import { REQUEST_ID_HEADER } from '../telemetry/request-id.ts';
import type { OriginContext } from '../workers/messages.ts';
import type { OriginReadResult } from '../workers/origin-read.ts';
import type { PeerReadResult } from '../workers/peer-read.ts';
import type { StatResult } from '../workers/peer-stat.ts';
import type { Observation } from './observation.ts';
import type { Pools } from './pools.ts';
import { Turns } from './turns.ts';

export interface TransferParts {
  pools: Pools;
  secret: ClusterSecret;
  clock: Clock;
  observation: Observation;
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
  /** So many shards at once from the origin: more would only make each of them later. */
  readonly #originTurns = new Turns(ORIGIN_SHARDS_MAX);

  constructor(parts: TransferParts) {
    this.#parts = parts;
  }

  /** Reads the rest of a shard from `node`; `origin` is sealed for it when it may need to go there. */
  peer(node: string, query: PreadQuery, filling: Filling, more: { origin: OriginContext | null; requestId: string }): Promise<PeerReadResult> {
    const { secret, clock, pools } = this.#parts;
    const path = preadPath(query);
    const sealed = more.origin === null ? '' : secret.seal(JSON.stringify(more.origin));
    const headers: Record<string, string> = { 'shoal-auth': secret.sign('GET', path, clock.wallMs(), sealed) };
    if (sealed !== '') headers['shoal-origin'] = sealed;
    if (more.requestId !== '') headers[REQUEST_ID_HEADER] = more.requestId;
    return pools.run({ kind: 'peer', ...addressOf(node), path, headers, ...filling });
  }

  stat(node: string, query: StatQuery): Promise<StatResult> {
    const { secret, clock, pools } = this.#parts;
    const path = statPath(query);
    return pools.run({ kind: 'stat', ...addressOf(node), path, headers: { 'shoal-auth': secret.sign('GET', path, clock.wallMs()) } });
  }

  /** Reads the rest of a shard from the origin, from `sliceBytes` of the shard on first: there somebody waits. */
  async origin(way: OriginContext, filling: Filling, sliceBytes: number): Promise<OriginReadResult> {
    const { pools, clock, observation } = this.#parts;
    await this.#originTurns.enter();
    const startMs = clock.nowMs();
    const result = await pools.run({ kind: 'origin', ...way, ...filling, sliceBytes }).finally(() => this.#originTurns.leave());
    const sizeBytes = result.kind === 'data' ? result.lengthBytes - filling.fromBytes : -1;
    observation.probe?.line('download', `/${way.url}`, filling.shard * SHARD_BYTES + filling.fromBytes, sizeBytes, (clock.nowMs() - startMs) * 1000);
    return result;
  }
}

/** Host and port of a node's name, `address:port` or `[v6]:port`. */
export function addressOf(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(':');
  return { host: node.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(node.slice(colon + 1)) };
}
