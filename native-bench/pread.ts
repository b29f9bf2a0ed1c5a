import type { PreadOptions } from '../lib/commands/bench.ts';
import type { Output } from '../lib/commands/process-output.ts';
import { ShoalError } from '../lib/errors.ts';
import type { LoadPlan } from './pread/load.ts';
import { probeSize } from './pread/probe.ts';
import { renderReport, reportOf, type PreadReport } from './pread/report.ts';
import { parseTarget, shownUrl } from './pread/target.ts';
import { runLoads } from './pread/threads.ts';
import { processSeconds } from './processor-time.ts';

/** Time for threads to start and connections to open before the measurement. */
const START_MS = 300;

interface Measurement {
  report: PreadReport;
  /** The error of the first failed read. */
  problem: string | null;
}

/**
 * `shoal bench pread`: measures and prints. Returns the exit code: 1 if a read failed or returned a
 * wrong byte.
 */
export async function runPread(options: PreadOptions, output: Output): Promise<number> {
  const { report, problem } = await measurePreads(options);
  output.out(options.json === true ? `${JSON.stringify(report)}\n` : renderReport(report, problem));
  return report.errors + report.mismatches > 0 || report.requestsPerSecond === 0 ? 1 : 0;
}

/**
 * Runs the load. Throws USAGE for a bad URL or a missing process, ORIGIN_* if the object cannot be
 * read at all.
 */
export async function measurePreads(options: PreadOptions): Promise<Measurement> {
  const target = parseTarget(options.url, options.insecure ?? false);
  if (options.pid !== undefined && processSeconds(options.pid) === null)
    throw new ShoalError('USAGE', `--pid: there is no process ${options.pid}`);
  const totalBytes = await probeSize(target);
  const sizeBytes = Math.min(options.size, totalBytes);
  const threads = Math.min(options.threads, options.connections);
  const countFromMs = Date.now() + START_MS + options.warmup * 1000;
  const endMs = countFromMs + options.seconds * 1000;
  const plans = Array.from({ length: threads }, (_, thread): LoadPlan => ({
    target,
    totalBytes,
    sizeBytes,
    pattern: options.pattern,
    connections: Math.floor((options.connections + thread) / threads),
    ratePerSecond: options.rate === undefined ? null : options.rate / threads,
    verifySeed: options.verify ?? null,
    seed: thread + 1,
    countFromMs,
    endMs,
  }));
  const { pid } = options;
  let before: number | null = null;
  setTimeout(
    () => (before = pid === undefined ? null : processSeconds(pid)),
    countFromMs - Date.now(),
  );
  const tallies = await runLoads(plans);
  const after = pid === undefined ? null : processSeconds(pid);
  const cpuSeconds = before === null || after === null ? null : after - before;
  const report = reportOf(
    {
      url: shownUrl(options.url),
      sizeBytes,
      connections: options.connections,
      seconds: options.seconds,
      cpuSeconds,
    },
    tallies,
  );
  return { report, problem: tallies.find(({ problem }) => problem !== null)?.problem ?? null };
}
