import { createHash } from 'node:crypto';
import type { FetchContext } from '../../swarm/types.ts';
import type { OriginContext } from '../../wire/origin-context.ts';

/** A way to the origin as the core sees it: an id that holds no secret. */
export interface OriginWay extends FetchContext {
  origin: OriginContext;
}

/** Computed once for each way, not for each shard: a hash costs as much as a thread message. */
const ways = new WeakMap<OriginContext, OriginWay>();

export function originWay(origin: OriginContext): OriginWay {
  let way = ways.get(origin);
  if (way === undefined) {
    const id = createHash('sha256')
      .update(`${origin.url}\n${origin.authorization ?? ''}`)
      .digest('base64');
    ways.set(origin, (way = { id, origin }));
  }
  return way;
}

/** A client's own way to the origin of a blob, if it has one, and the others that are known. */
export function originWays(
  own: OriginContext | null,
  known: readonly OriginContext[],
): OriginWay[] {
  if (own === null) return known.map(originWay);
  const others = known.filter(
    ({ url, authorization }) => url !== own.url || authorization !== own.authorization,
  );
  return [own, ...others].map(originWay);
}
