import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import Table from 'cli-table3';
import { Command } from 'commander';
import { SHARD_BYTES } from '../lib/limits.ts';
import { TimedReader } from './ondemand/timed-read.ts';
import { measurePreads } from './pread.ts';
import { Pattern } from './pread/pattern.ts';
import { parseTarget } from './pread/target.ts';
import { Random } from './sim/random.ts';
import { startShoal } from './vs/shoal-node.ts';

/*
 * Measures the latency of on-demand loading: `node native-bench/ondemand.ts`. A client reads 64 KiB
 * at random offsets, as overlaybd does, from an object store that behaves like OSS, through a node
 * with its access check on.
 *
 *   cold   one read at a time, each in a cold shard, next to a direct read of the same bytes on a
 *          kept connection; the figure is the whole read through the node minus the store's first
 *          byte
 *   first  the same with a new URL each time, so that reads also wait for the access check
 *   warm   reads at a fixed rate, all shards in memory
 */
const SEED = 11;
const READ_BYTES = 64 * 1024;

const options = new Command('ondemand')
  .description('latency of on-demand reads')
  .option('--reads <n>', 'cold reads', '88')
  .option('--firsts <n>', 'cold reads with a new URL each', '40')
  .option(
    '--pause <ms>',
    'between cold reads, so that the rest of a shard is not in the way of the next',
    '30',
  )
  .option('--megabytes <n>', 'size of the blob, MiB', '256')
  .option('--rate <n>', 'warm reads per second', '1000')
  .option('--seconds <n>', 'length of the warm part', '10')
  .option('--json', 'one JSON object instead of the table')
  .parse()
  .opts<{
    reads: string;
    firsts: string;
    pause: string;
    megabytes: string;
    rate: string;
    seconds: string;
    json?: boolean;
  }>();

const [reads, firsts, pauseMs, totalBytes] = [
  Number(options.reads),
  Number(options.firsts),
  Number(options.pause),
  Number(options.megabytes) * 2 ** 20,
];
const shards = totalBytes / SHARD_BYTES;
if (reads + firsts > shards)
  throw new Error(`--reads and --firsts: at most ${shards} together, one a shard`);
const random = new Random(SEED);
const pattern = new Pattern(SEED);
const holds = (bytes: Buffer, offsetBytes: number): boolean => pattern.holds(bytes, offsetBytes);
const dir = await mkdtemp(join(tmpdir(), 'shoal-ondemand-'));
const worker = new Worker(new URL('./ondemand/store-thread.ts', import.meta.url), {
  workerData: { seed: SEED, totalBytes, urls: firsts + 1 },
});
const [{ host, urls }] = (await once(worker, 'message')) as [{ host: string; urls: string[] }];
const node = await startShoal({
  name: 'node',
  dir,
  core: null,
  originUrl: `http://${host}`,
  objectBytes: totalBytes,
  accessCheck: 'strict',
});
try {
  const throughNode = (url: string): string =>
    `${node.url.slice(0, node.url.indexOf('/accelerator/'))}/accelerator/${url}`;
  const direct = await TimedReader.connect(parseTarget(urls[0]!, false), holds);
  const client = await TimedReader.connect(parseTarget(throughNode(urls[0]!), false), holds);
  // The size and the right are known and the code is compiled, as for a device in use.
  await client.read(0, 1);
  const order = shuffled(shards);
  const cold = await pairs(order.slice(0, reads), () => client, direct);
  const first = await pairs(
    order.slice(reads, reads + firsts),
    (at) => TimedReader.connect(parseTarget(throughNode(urls[1 + at]!), false), holds),
    direct,
  );
  for (let shard = 0; shard < shards; shard++) await client.read(shard * SHARD_BYTES, READ_BYTES);
  const { report } = await measurePreads({
    url: throughNode(urls[0]!),
    size: READ_BYTES,
    pattern: 'random',
    seconds: Number(options.seconds),
    warmup: 1,
    connections: 8,
    threads: 1,
    rate: Number(options.rate),
    verify: SEED,
  });
  client.destroy();
  direct.destroy();
  const result = {
    totalBytes,
    cold,
    first,
    warm: {
      ratePerSecond: report.requestsPerSecond,
      latencyUs: report.latencyUs,
      errors: report.errors,
      mismatches: report.mismatches,
    },
  };
  if (options.json === true) console.log(JSON.stringify(result));
  else print(result);
} finally {
  await node.process.stop();
  await worker.terminate();
  await rm(dir, { recursive: true, force: true });
}

interface Pairs {
  /** Latency of reads through the node minus the store's first byte just before, ms. */
  beyondMs: { p50: number; p90: number; p99: number };
  readMs: { p50: number; p90: number };
  storeFirstMs: { p50: number; p90: number };
}

/** Reads at a random offset in each shard of `among`, through the node and directly. */
async function pairs(
  among: number[],
  reader: (at: number) => TimedReader | Promise<TimedReader>,
  direct: TimedReader,
): Promise<Pairs> {
  const [beyond, read, store]: [number[], number[], number[]] = [[], [], []];
  for (const [at, shard] of among.entries()) {
    const offsetBytes = shard * SHARD_BYTES + random.below(SHARD_BYTES / READ_BYTES) * READ_BYTES;
    const through = await reader(at);
    await after(pauseMs);
    const { firstMs } = await direct.read(offsetBytes, READ_BYTES);
    const { lastMs } = await through.read(offsetBytes, READ_BYTES);
    beyond.push(lastMs - firstMs);
    read.push(lastMs);
    store.push(firstMs);
  }
  return {
    beyondMs: {
      p50: quantile(beyond, 0.5),
      p90: quantile(beyond, 0.9),
      p99: quantile(beyond, 0.99),
    },
    readMs: { p50: quantile(read, 0.5), p90: quantile(read, 0.9) },
    storeFirstMs: { p50: quantile(store, 0.5), p90: quantile(store, 0.9) },
  };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}

function shuffled(count: number): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let at = count - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

function print({
  cold,
  first,
  warm,
}: {
  cold: Pairs;
  first: Pairs;
  warm: {
    ratePerSecond: number;
    latencyUs: { p50: number; p99: number; p999: number };
    errors: number;
    mismatches: number;
  };
}): void {
  const head = [
    '64 KiB reads',
    'beyond store P50 ms',
    'P90',
    'P99',
    'read P50 ms',
    'P90',
    'store first byte P50 ms',
    'P90',
  ];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const [name, { beyondMs, readMs, storeFirstMs }] of [
    ['cold', cold],
    ['first of a URL', first],
  ] as const) {
    table.push([
      name,
      ...[
        beyondMs.p50,
        beyondMs.p90,
        beyondMs.p99,
        readMs.p50,
        readMs.p90,
        storeFirstMs.p50,
        storeFirstMs.p90,
      ].map((ms) => ms.toFixed(2)),
    ]);
  }
  console.log(table.toString());
  const { p50, p99, p999 } = warm.latencyUs;
  console.log(
    `warm at ${warm.ratePerSecond.toFixed(0)} reads/s: P50 ${p50.toFixed(0)} us, P99 ` +
      `${p99.toFixed(0)} us, P99.9 ${p999.toFixed(0)} us; ${warm.errors} errors, ` +
      `${warm.mismatches} wrong`,
  );
}
