import type { Clock } from '../clock.ts';
import type { Pools } from '../control/threads/pools.ts';
import { ShoalError } from '../errors.ts';
import { LocalContentStore, type ContentStore } from '../runtime-store/content-store.ts';
import { findContentStore } from '../runtime-store/places.ts';
import type { RuntimeLog } from '../runtime-store/report.ts';
import { RuntimeStore } from '../runtime-store/runtime-store.ts';

interface TierParts {
  slotCount: number;
  isCrowded(): boolean;
  pools: Pools;
  log: RuntimeLog;
  clock: Clock;
}

/**
 * The tier over the content store that `CacheConfig.runtimeStore` names, its reads and hashes done
 * by the node's threads; null: there is none.
 */
export async function openRuntimeStore(
  setting: string,
  parts: TierParts,
): Promise<RuntimeStore | null> {
  const dir = await findContentStore(setting);
  return dir === null ? null : runtimeStoreOver(new LocalContentStore(dir), parts);
}

/** The tier over `content`. */
export function runtimeStoreOver(content: ContentStore, parts: TierParts): RuntimeStore {
  const { pools, ...rest } = parts;
  return new RuntimeStore({
    ...rest,
    content,
    async read(job) {
      const result = await pools.run({ kind: 'fileRead', ...job });
      if (result.kind === 'failed') throw ShoalError.fromWire(result.error);
      return result.outcome;
    },
    hasher: {
      async update(key, path, offsetBytes, lengthBytes) {
        const result = await pools.digest({ kind: 'part', key, path, offsetBytes, lengthBytes });
        if (result.kind === 'unreadable') throw new ShoalError('DISK_FAILED', result.message);
        if (result.kind === 'gone') throw hashLost();
        return result.kind === 'part' ? result.checksum : null;
      },
      async finish(key, totalBytes) {
        const result = await pools.digest({ kind: 'finish', key, totalBytes });
        if (result.kind === 'gone') throw hashLost();
        return result.kind === 'done' ? `sha256:${result.digest}` : '';
      },
      forget: (key) => void pools.digest({ kind: 'forget', key }),
    },
  });
}

/** The file is hashed again with the next scan. */
function hashLost(): ShoalError {
  return new ShoalError('INTERNAL', 'the digest thread ended in the middle of a file');
}
