import { createHash } from 'node:crypto';
import type { OriginTarget } from '../../origin-target.ts';
import type { OriginRef } from '../../swarm/types.ts';

/** An origin as the swarm core sees it: an id that holds no secret. The core ignores `target`. */
export interface TargetRef extends OriginRef {
  target: OriginTarget;
}

/** Computed once for each target, not for each shard: a hash costs as much as a thread message. */
const refs = new WeakMap<OriginTarget, TargetRef>();

export function refOf(target: OriginTarget): TargetRef {
  let ref = refs.get(target);
  if (ref === undefined) {
    const id = createHash('sha256')
      .update(`${target.url}\n${target.authorization ?? ''}`)
      .digest('base64');
    refs.set(target, (ref = { id, target }));
  }
  return ref;
}

/** A client's own origin of a blob, if it has one, and the others that are known. */
export function refsOf(own: OriginTarget | null, known: readonly OriginTarget[]): TargetRef[] {
  if (own === null) return known.map(refOf);
  const others = known.filter(
    ({ url, authorization }) => url !== own.url || authorization !== own.authorization,
  );
  return [own, ...others].map(refOf);
}
