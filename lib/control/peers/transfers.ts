import type { Clock } from '../../clock.ts';
import { preadPath, statPath, type PreadQuery, type StatQuery } from '../../wire/rpc.ts';
import type { ClusterSecret } from '../../wire/secret.ts';
import { SHARD_BYTES } from '../../limits.ts';
import { OriginQueue, type OriginWant, type RequestEnd } from '../../swarm/origin-queue.ts';
import type { Vouching } from '../../registry/vouching.ts';
import { REQUEST_ID_HEADER } from '../../telemetry/request-id.ts';
import type { OriginContext } from '../../workers/messages.ts';
import type { OriginReadResult } from '../../workers/origin-read.ts';
import type { PeerReadResult } from '../../workers/peer/read.ts';
import type { StatResult } from '../../workers/peer/stat.ts';
import type { Observation } from '../watch/observation.ts';
import type { Pools } from '../threads/pools.ts';

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

/** A shard's read at the origin, for as long as it waits and is under way. */
interface OriginRead extends OriginWant {
  way: OriginContext;
  filling: Filling;
  sliceBytes: number | null;
  settle: { resolve: (result: OriginReadResult) => void; reject: (error: unknown) => void };
}

/** Carries out what the swarm core decides: signed requests to other nodes, reads at the origin. */
export class Transfers {
  readonly #parts: TransferParts;
  readonly #atOrigin = new OriginQueue<OriginRead>(
    (together) => void this.#readTogether(together),
    queueMicrotask,
  );

  constructor(parts: TransferParts) {
    this.#parts = parts;
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

  /**
   * Reads the rest of a shard from the origin, from `sliceBytes` of the shard on first: there
   * somebody waits. Where nobody does (null) and the node is `alone` (see OriginAsk), it may come
   * in one request with others.
   */
  origin(
    way: OriginContext,
    filling: Filling,
    { sliceBytes, alone }: { sliceBytes: number | null; alone: boolean },
  ): Promise<OriginReadResult> {
    const shares =
      alone && sliceBytes === null && filling.fromBytes === 0 && filling.totalBytes !== null;
    return new Promise((resolve, reject) => {
      this.#atOrigin.add({
        upstream: way.upstreamHost,
        isVouched: this.#parts.vouching.isVouched(way.url),
        series: `${way.url} ${way.authorization ?? ''}`,
        index: filling.shard,
        shares,
        way,
        filling,
        sliceBytes,
        settle: { resolve, reject },
      });
    });
  }

  /** Sends one request, for shards that follow on each other; each is settled when it is there. */
  async #readTogether(together: readonly OriginRead[]): Promise<void> {
    const { pools, clock, observation } = this.#parts;
    const { way, filling } = together[0]!;
    const parts = together.map(({ filling: { slot, attempt, shard, fromBytes }, sliceBytes }) => ({
      slot,
      attempt,
      shard,
      fromBytes,
      sliceBytes: sliceBytes ?? 0,
    }));
    let startMs = clock.nowMs();
    const told: OriginReadResult[] = [];
    try {
      await pools.origin(
        { kind: 'origin', ...way, parts, totalBytes: filling.totalBytes, digest: filling.digest },
        (result) => {
          const {
            filling: { shard, fromBytes },
            settle,
          } = together[told.length]!;
          const sizeBytes = result.kind === 'data' ? result.lengthBytes - fromBytes : -1;
          observation.probe?.line(
            'download',
            `/${way.url}`,
            shard * SHARD_BYTES + fromBytes,
            sizeBytes,
            (clock.nowMs() - startMs) * 1000,
          );
          startMs = clock.nowMs();
          told.push(result);
          settle.resolve(result);
        },
      );
    } catch (thrown) {
      for (const { settle } of together.slice(told.length)) settle.reject(thrown);
    }
    const [first] = told;
    const givenUp = this.#atOrigin.over(
      together,
      first === undefined ? 'left' : endOf(first, filling.fromBytes),
    );
    for (const {
      filling: { fromBytes },
      settle,
    } of givenUp)
      settle.resolve({
        ...(first as Extract<OriginReadResult, { kind: 'failed' }>),
        receivedBytes: fromBytes,
      });
  }
}

function endOf(result: OriginReadResult, fromBytes: number): RequestEnd {
  if (result.kind === 'data') return 'answered';
  const { code } = result.error;
  if (code === 'CANCELLED') return 'left';
  return result.receivedBytes === fromBytes &&
    (code === 'ORIGIN_TIMEOUT' || code === 'ORIGIN_UNREACHABLE')
    ? 'silent'
    : 'answered';
}

/** Host and port of a node's name, `address:port` or `[v6]:port`. */
export function addressOf(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(':');
  return {
    host: node.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(node.slice(colon + 1)),
  };
}
