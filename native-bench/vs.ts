import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { Command } from 'commander';
import { fetch } from 'undici';
import { BenchOrigin } from './origin.ts';
import { measurePreads } from './pread.ts';
import { Pattern } from './pread/pattern.ts';
import type { PreadReport } from './pread/report.ts';
import { compare, median, type Row } from './vs/comparison.ts';
import { drawRows } from './vs/picture.ts';
import { hasProgram, pinSelf } from './vs/pinned-process.ts';
import { startBare, startNginx, startRegistry, type Rival, type RivalStart } from './vs/rivals.ts';
import { startShoal } from './vs/shoal-node.ts';

/*
 * Shoal beside other servers of the same bytes: `npm run bench`. All servers run on one core and
 * the generator on another; they take turns, a run each, so that a busy machine hurts all alike. A
 * ratio is the median of the ratios of turns.
 */
const SEED = 1;
const SIZES_BYTES = [64 * 1024, 2 * 1024 * 1024];
/**
 * Connections per size: enough to keep one core busy, few enough that sockets and not queues are
 * measured.
 */
const CONNECTIONS = 16;

const options = new Command('vs')
  .description('Shoal beside nginx and docker-registry, warm reads on loopback')
  .option('--megabytes <n>', 'size of the object, MiB', '128')
  .option('--seconds <n>', 'length of a run', '3')
  .option('--runs <n>', 'runs per server and size; medians count', '5')
  .option('--tls', 'over TLS')
  .option(
    '--bare',
    'also the ceiling: uWebSockets.js with the object in memory and nothing of ours',
  )
  .option(
    '--two-fronts',
    'also Shoal with two front threads on two cores, the generator sharing them: believe ' +
      'its CPU-s/GB',
  )
  .option(
    '--against <program>',
    'only beside the node of another checkout or build, a directory with lib/shoal.js',
  )
  .option('--half-load', 'also latencies at half of what the first rival manages')
  .option('--svg <file>', 'draw the rows')
  .option('--json', 'one JSON object instead of the table')
  .parse()
  .opts<{
    megabytes: string;
    seconds: string;
    runs: string;
    tls?: boolean;
    bare?: boolean;
    twoFronts?: boolean;
    against?: string;
    halfLoad?: boolean;
    svg?: string;
    json?: boolean;
  }>();

const cores = availableParallelism();
const serverCore = cores > 1 && hasProgram('taskset') ? 0 : null;
if (serverCore !== null) pinSelf(1);
const tls = options.tls ?? false;
const totalBytes = Number(options.megabytes) * 2 ** 20;
const dir = await mkdtemp(join(tmpdir(), 'shoal-vs-'));
const origin = new BenchOrigin(SEED, totalBytes);
const rivals: Rival[] = [];
const rows: Row[] = [];
try {
  const originUrl = await origin.listen();
  const objectBytes = Buffer.alloc(totalBytes);
  new Pattern(SEED).fill(objectBytes, 0);
  const objectDir = join(dir, 'files');
  await mkdir(objectDir);
  await writeFile(join(objectDir, 'object'), objectBytes);
  const shoal = await startShoal({
    name: 'Shoal',
    dir,
    core: serverCore,
    originUrl,
    objectBytes: totalBytes,
    tls,
  });
  rivals.push(shoal);
  const files = tls
    ? { certFile: join(shoal.certDir, 'proxy.crt'), keyFile: join(shoal.certDir, 'proxy.key') }
    : null;
  const start: RivalStart = {
    dir,
    core: serverCore,
    objectDir,
    objectBytes,
    originUrl,
    tls: files,
  };
  if (options.against !== undefined)
    rivals.push(
      await startShoal({
        name: 'the other build',
        program: join(options.against, 'lib/shoal.js'),
        dir,
        core: serverCore,
        originUrl,
        objectBytes: totalBytes,
        tls,
      }),
    );
  if (isRival('nginx'))
    rivals.push(await startNginx(start, 'sendfile'), await startNginx(start, 'slice'));
  if (options.twoFronts === true)
    rivals.push(
      await startShoal({
        name: 'Shoal, two fronts',
        dir,
        core: serverCore === null ? null : '0-1',
        frontThreads: 2,
        originUrl,
        objectBytes: totalBytes,
        tls,
      }),
    );
  if (options.bare === true) rivals.push(await startBare(start, SEED));
  if (isRival('docker-registry')) rivals.push(await startRegistry(start));
  // The whole object once through each server, checked byte by byte: warm, and known to be right.
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  for (const rival of rivals) await readWhole(rival.url);
  for (const sizeBytes of SIZES_BYTES) rows.push(...(await race(sizeBytes)));
} finally {
  await Promise.all(rivals.map((rival) => rival.process.stop()));
  origin.close();
  await rm(dir, { recursive: true, force: true });
}

/** Whether another program is to be compared, and is here. */
function isRival(program: string): boolean {
  return options.against === undefined && hasProgram(program);
}

async function race(sizeBytes: number): Promise<Row[]> {
  const runs = new Map(rivals.map((rival): [string, PreadReport[]] => [rival.name, []]));
  for (let run = 0; run < Number(options.runs); run++) {
    for (const rival of rivals) runs.get(rival.name)!.push(await measure(rival, sizeBytes));
  }
  const halfLoad = new Map<string, PreadReport[]>();
  if (options.halfLoad === true && rivals.length > 1) {
    const rate = Math.max(
      1,
      Math.floor(median(runs.get(rivals[1]!.name)!.map((report) => report.requestsPerSecond)) / 2),
    );
    for (const { name } of rivals) halfLoad.set(name, []);
    for (let run = 0; run < Number(options.runs); run++) {
      for (const rival of rivals)
        halfLoad.get(rival.name)!.push(await measure(rival, sizeBytes, rate));
    }
  }
  return compare(runs, halfLoad, tls);
}

async function measure(rival: Rival, sizeBytes: number, rate?: number): Promise<PreadReport> {
  const seconds = Number(options.seconds);
  const load = {
    url: rival.url,
    size: sizeBytes,
    pattern: 'random',
    seconds,
    warmup: 0,
    connections: CONNECTIONS,
    threads: 1,
    pid: rival.process.pid,
    insecure: true,
  } as const;
  const { report, problem } = await measurePreads(rate === undefined ? load : { ...load, rate });
  if (problem !== null) console.error(`${rival.name}: ${problem}`);
  return report;
}

async function readWhole(url: string): Promise<void> {
  const pattern = new Pattern(SEED);
  let atBytes = 0;
  for await (const chunk of (await fetch(url)).body ?? []) {
    if (!pattern.holds(Buffer.from(chunk as Uint8Array), atBytes))
      throw new Error(`${url}: wrong bytes at ${atBytes}`);
    atBytes += (chunk as Uint8Array).length;
  }
  if (atBytes !== totalBytes) throw new Error(`${url}: ${atBytes} of ${totalBytes} bytes`);
}

if (options.svg !== undefined) await writeFile(options.svg, drawRows(rows));
if (options.json === true) {
  console.log(
    JSON.stringify({
      cores,
      serverCore,
      totalBytes,
      connections: CONNECTIONS,
      seconds: Number(options.seconds),
      runs: Number(options.runs),
      rows,
    }),
  );
} else {
  const head = [
    'read',
    'server',
    'reads/s',
    'GB/s',
    'CPU-s/GB',
    'P99 us',
    'P99 us half load',
    'Shoal is faster',
    'Shoal is cheaper',
  ];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column < 2 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    const times = (ratio: number): string =>
      row.server === rivals[0]!.name ? '' : `${ratio.toFixed(2)} x`;
    table.push([
      `${row.sizeBytes / 1024} KiB${tls ? ' TLS' : ''}`,
      row.server,
      row.requestsPerSecond.toFixed(0),
      row.gigabytesPerSecond.toFixed(2),
      row.cpuSecondsPerGB.toFixed(3),
      row.p99Us,
      row.p99UsHalfLoad ?? '',
      times(row.speedRatio),
      times(row.cpuRatio),
    ]);
  }
  console.log(table.toString());
  const wrong = rows.filter((row) => row.errors + row.mismatches > 0);
  if (wrong.length > 0)
    console.log(`reads failed: ${wrong.map((row) => `${row.server} ${row.errors}`).join(', ')}`);
}
