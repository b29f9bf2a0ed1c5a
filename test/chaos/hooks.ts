import { registerHooks } from 'node:module';

const smallLru = new URL('small-lru.ts', import.meta.url).href;
const limits = new URL('../../lib/limits.ts', import.meta.url).href;

/**
 * Size of a shard within a simulation. Which bytes go where does not depend on it, but copying and
 * hashing shards of the real size takes most of the time of a simulation.
 */
const SHARD_BYTES = 128 * 1024;
const REAL_SHARD = 'export const SHARD_BYTES = 2 * 1024 * 1024;';

/** Import this before anything of lib. */
registerHooks({
  resolve(specifier, context, next) {
    return specifier === 'lru-cache' && context.parentURL !== smallLru
      ? { url: smallLru, shortCircuit: true }
      : next(specifier, context);
  },
  load(url, context, next) {
    const loaded = next(url, context);
    if (url !== limits) return loaded;
    const source = String(loaded.source);
    if (!source.includes(REAL_SHARD)) throw new Error('lib/limits.ts has no SHARD_BYTES as here');
    return {
      ...loaded,
      source: source.replace(REAL_SHARD, `export const SHARD_BYTES = ${SHARD_BYTES};`),
    };
  },
});
