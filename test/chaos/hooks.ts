import { registerHooks } from 'node:module';

const smallLru = new URL('small-lru.ts', import.meta.url).href;

/** Import this before anything of lib. */
registerHooks({
  resolve(specifier, context, next) {
    return specifier === 'lru-cache' && context.parentURL !== smallLru
      ? { url: smallLru, shortCircuit: true }
      : next(specifier, context);
  },
});
