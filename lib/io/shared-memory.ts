import { ShoalError } from '../errors.ts';

/**
 * Page-aligned memory that threads share, of whole WebAssembly pages (64 KiB). Throws LIMIT_TOO_LOW
 * when it cannot be had; `what` names it.
 */
export function sharedMemory(pages: number, what: string): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (thrown) {
    throw new ShoalError(
      'LIMIT_TOO_LOW',
      `cannot allocate ${what}: ${(thrown as Error).message}; lower CacheConfig.memory, or raise ` +
        'the memory limit of the process (ulimit -v)',
      { cause: thrown },
    );
  }
}
