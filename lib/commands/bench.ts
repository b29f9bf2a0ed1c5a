import type { Output } from './process-output.ts';

/** How a load generator walks through the object. */
export const preadPatterns = ['random', 'sequential', 'zipf'] as const;
export type PreadPattern = (typeof preadPatterns)[number];

/** Options of `shoal bench pread`. */
export interface PreadOptions {
  url: string;
  /** Bytes per read. */
  size: number;
  pattern: PreadPattern;
  /** Length of the measurement; the warm-up before it does not count. */
  seconds: number;
  warmup: number;
  connections: number;
  threads: number;
  /**
   * Reads per second over all connections, at fixed times; undefined: as fast as the answers come.
   */
  rate?: number;
  /** Seed of the pattern the object is made of; undefined: bytes are not looked at. */
  verify?: number;
  /** The server's process, for its processor time. */
  pid?: number;
  insecure?: boolean;
  json?: boolean;
}

/** A program of native-bench/ as the command line runs it; returns the exit code. */
interface Benchmark {
  runPread(options: PreadOptions, output: Output): Promise<number>;
}

const GENERATOR = new URL('../../native-bench/pread.ts', import.meta.url);

/**
 * `shoal bench pread`: loads a node, or any server of ranges, with reads. Returns the exit code: 0,
 * or 1 when a read failed or brought a wrong byte. Throws USAGE for a bad URL, ORIGIN_UNREACHABLE
 * or ORIGIN_BROKEN when the object cannot be read at all.
 */
export async function runBenchPread(options: PreadOptions, output: Output): Promise<number> {
  // By its place, not by an import: nothing in lib/ is built on native-bench/, it only runs it.
  const { runPread } = (await import(GENERATOR.href)) as Benchmark;
  return runPread(options, output);
}
