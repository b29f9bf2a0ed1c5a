import { ShoalError } from '../../errors.ts';
import type { ShardId } from '../../swarm/types.ts';
import type { Fill, FillFromSwarm, FillWithHolders, FetchOptions } from '../shards/resident.ts';

interface HolderFillParts {
  /** Whether this node would have to get the shard from a root or the origin. */
  isOwner(shard: ShardId): boolean;
  /** See HolderSearch. */
  find(key: string): readonly string[] | Promise<readonly string[]>;
  /** See SwarmDriver. */
  fill: FillWithHolders;
}

/** Before an owner gets a shard from a root or the origin, it looks for holders of the blob. */
export function fillFromHolders({ isOwner, find, fill }: HolderFillParts): FillFromSwarm {
  return (resident, options, done, failed) => {
    const { key, shard: index } = resident;
    const isSought =
      key.startsWith('sha256:') && isOwner(options.onBehalf?.shard ?? { key, index });
    const holders = isSought ? find(key) : [];
    if (!(holders instanceof Promise)) return fill(resident, options, done, failed, holders);
    let filling: Fill | null = null;
    let isAbandoned = false;
    const offered: FetchOptions[] = [];
    void holders.then((found) => {
      if (isAbandoned) return;
      filling = fill(resident, options, done, failed, found);
      for (const other of offered) filling.offer(other);
    });
    return {
      abandon() {
        if (filling !== null) return filling.abandon();
        isAbandoned = true;
        failed(new ShoalError('CANCELLED', 'nobody wants the shard any more'));
      },
      offer(other) {
        if (filling === null) offered.push(other);
        else filling.offer(other);
      },
    };
  };
}
