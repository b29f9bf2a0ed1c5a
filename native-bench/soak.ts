import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { Command } from 'commander';
import { fetch } from 'undici';
import { BenchOrigin } from './origin.ts';
import { measurePreads } from './pread.ts';
import { judge, type Sample } from './soak/verdict.ts';
import { residentBytes } from './processor-time.ts';
import { startShoal } from './vs/shoal-node.ts';

/*
 * Runs a node at full load for a long time: `node native-bench/soak.ts --minutes 10`. Two loads run
 * at once, and every byte is verified: small random reads of one object, and sequential reads of
 * whole shards of objects that are new to the node or evicted from it. So origin, memory, disk and
 * eviction are all busy. Reports whether memory, descriptors and the event loops of the fronts
 * stayed constant; exits with 1 if not.
 */
const SEED = 1;
const OBJECT_BYTES = 192 * 2 ** 20;
/** More than the disk cache of CACHED_BYTES holds. */
const COLD_OBJECTS = 5;
const CACHED_BYTES = 400 * 2 ** 20;
const MEMORY_BYTES = 128 * 2 ** 20;
const CONNECTIONS = 16;
/** How long one object is read before the next. */
const ROUND_SECONDS = 5;
const SAMPLE_MS = 1_000;

const options = new Command('soak')
  .description('a node at full load: memory, descriptors, event-loop delay')
  .option('--minutes <n>', 'length; from 3 on the last is held against the second', '10')
  .option(
    '--rate <n>',
    'small reads per second at fixed times (without it: as fast as they are answered)',
  )
  .option('--json', 'one JSON object instead of the lines')
  .parse()
  .opts<{ minutes: string; rate?: string; json?: boolean }>();

const endMs = performance.now() + Number(options.minutes) * 60_000;
const dir = await mkdtemp(join(tmpdir(), 'shoal-soak-'));
const origin = new BenchOrigin(SEED, OBJECT_BYTES);
const samples: Sample[] = [];
const totals = { reads: 0, gigabytes: 0, errors: 0, mismatches: 0, problem: null as string | null };
const originUrl = await origin.listen();
const node = await startShoal({
  name: 'soaked',
  dir,
  core: null,
  originUrl,
  objectBytes: CACHED_BYTES,
  memoryBytes: MEMORY_BYTES,
});
try {
  const warm = load(
    () => node.url,
    64 * 1024,
    'random',
    options.rate === undefined ? undefined : Number(options.rate),
  );
  let object = 0;
  const cold = load(
    () => node.url.replace(/object$/, `cold-${object++ % COLD_OBJECTS}`),
    2 * 2 ** 20,
    'sequential',
  );
  await Promise.all([warm, cold, watch()]);
} finally {
  await node.process.stop();
  origin.close();
  await rm(dir, { recursive: true, force: true });
}

const verdict = judge(samples);
const failed = totals.errors + totals.mismatches > 0 || !verdict.ok;
if (options.json === true)
  console.log(
    JSON.stringify({ ...totals, originGigabytes: origin.bytesSent / 1e9, ...verdict, ok: !failed }),
  );
else {
  console.log(
    `${totals.reads} reads, ${totals.gigabytes.toFixed(1)} GB ` +
      `(${(origin.bytesSent / 1e9).toFixed(1)} GB from the origin), ${totals.errors} ` +
      `failed, ${totals.mismatches} with wrong bytes`,
  );
  if (totals.problem !== null) console.log(`first failure: ${totals.problem}`);
  for (const { what, ok } of verdict.lines) console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}`);
}
process.exitCode = failed ? 1 : 0;

/** Reads one object after the other until the time is over. */
async function load(
  url: () => string,
  size: number,
  pattern: 'random' | 'sequential',
  rate?: number,
): Promise<void> {
  while (performance.now() < endMs) {
    const seconds = Math.min(ROUND_SECONDS, Math.ceil((endMs - performance.now()) / 1000));
    const { report, problem } = await measurePreads({
      url: url(),
      size,
      pattern,
      seconds,
      warmup: 0,
      connections: CONNECTIONS,
      threads: 1,
      verify: SEED,
      ...(rate === undefined ? {} : { rate }),
    });
    totals.reads += report.requestsPerSecond * seconds;
    totals.gigabytes += report.gigabytesPerSecond * seconds;
    totals.errors += report.errors;
    totals.mismatches += report.mismatches;
    totals.problem ??= problem;
  }
  totals.reads = Math.round(totals.reads);
}

async function watch(): Promise<void> {
  const startMs = performance.now();
  while (performance.now() < endMs) {
    await after(SAMPLE_MS);
    const { pid } = node.process;
    samples.push({
      atSeconds: (performance.now() - startMs) / 1000,
      residentBytes: residentBytes(pid)?.nowBytes ?? Number.NaN,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      frontDelayP99Ms: await frontDelayMs(),
    });
  }
}

/** The 99th percentile of the front's event-loop delay in its last second, from the exporter. */
async function frontDelayMs(): Promise<number> {
  const text = await (await fetch(`${node.exporter}/metrics`)).text();
  const delays = [...text.matchAll(/^shoal_event_loop_delay_seconds\{([^}]*)\} (\S+)/gm)].filter(
    ([, labels = '']) => labels.includes('thread="front') && labels.includes('stat="p99"'),
  );
  return Math.max(...delays.map(([, , seconds]) => Number(seconds))) * 1000;
}
