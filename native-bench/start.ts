import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { encodeHeader } from '../lib/cache/header.ts';
import { blobIdOf } from '../lib/cache/key.ts';
import { openSlabFiles } from '../lib/io/slab-files.ts';
import { SHARD_BYTES } from '../lib/limits.ts';
import { residentBytes, threadSeconds } from './processor-time.ts';
import { freePort } from './vs/rivals.ts';
import { median } from './vs/comparison.ts';

/*
 * Measures the time from exec to the ready line with a full cache on disk, and the memory of an
 * idle node: `node native-bench/start.ts`. Alternates with an idle Node process, to show the
 * runtime's own share.
 */
const CLI = fileURLToPath(new URL('../lib/shoal.js', import.meta.url));
const READY_DEADLINE_MS = 30_000;

const options = new Command('start')
  .description('start to ready with a full cache, and idle memory')
  .option('--dir <dir>', 'a directory on the disk of the cache', tmpdir())
  .option('--gigabytes <n>', 'size of the cache, GiB', '4')
  .option('--runs <n>', 'starts; medians count', '7')
  .option(
    '--idle <n>',
    'seconds after ready at which memory is read: what the start left behind is given back by then',
    '30',
  )
  .option('--json', 'one JSON object instead of the lines')
  .parse()
  .opts<{ dir: string; gigabytes: string; runs: string; idle: string; json?: boolean }>();

const capacityBytes = Number(options.gigabytes) * 2 ** 30;
const dir = await mkdtemp(join(options.dir, 'shoal-start-'));
const cacheDir = join(dir, 'cache');
const readyMs: number[] = [];
const bareMs: number[] = [];
const idleBytes: number[] = [];
const cpuMs: number[] = [];
try {
  const shards = await fillTable();
  for (let run = 0; run < Number(options.runs); run++) {
    const startMs = performance.now();
    await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
    bareMs.push(performance.now() - startMs);
    await startOnce();
  }
  const report = {
    cacheBytes: capacityBytes,
    shards,
    runs: readyMs.length,
    readyMs: rounded(median(readyMs)),
    readyMsMax: rounded(Math.max(...readyMs)),
    cpuMs: rounded(median(cpuMs)),
    nodeMs: rounded(median(bareMs)),
    idleRssMB: rounded(median(idleBytes) / 1e6),
  };
  if (options.json === true) console.log(JSON.stringify(report));
  else {
    console.log(
      `start to ready  ${report.readyMs} ms (median of ${report.runs}; at most ` +
        `${report.readyMsMax} ms) with ${shards} shards in a cache of ${options.gigabytes} ` +
        'GiB',
    );
    console.log(`processor time  ${report.cpuMs} ms until then, all threads`);
    console.log(`Node alone      ${report.nodeMs} ms from exec to exit`);
    console.log(
      `idle            ${report.idleRssMB} MB resident ${options.idle} s later, of the ` +
        'arena what was touched (nothing)',
    );
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}

/**
 * A header table with a whole shard in every slot, like that of a node that has read more than the
 * cache holds. A start does not read the data.
 */
async function fillTable(): Promise<number> {
  const files = await openSlabFiles({
    dir: cacheDir,
    capacityBytes,
    direct: false,
    log: { info: () => undefined, warn: (_, message) => console.error(message) },
  });
  const shardsPerBlob = 64;
  for (let slot = 0; slot < files.slotCount; slot++) {
    const header = {
      id: blobIdOf(
        `sha256:${Math.floor(slot / shardsPerBlob)
          .toString(16)
          .padStart(64, '0')}`,
      ),
      shard: slot % shardsPerBlob,
      lengthBytes: SHARD_BYTES,
      totalBytes: shardsPerBlob * SHARD_BYTES,
      offsetBytes: slot * SHARD_BYTES,
      extentBytes: SHARD_BYTES,
      generation: slot + 1,
      checksum: new Uint8Array(32).fill(1),
    };
    await files.writeHeader({ entry: slot, bytes: encodeHeader(header) });
  }
  await files.close();
  return files.slotCount;
}

async function startOnce(): Promise<void> {
  const config = {
    DeployConfig: { node: '127.0.0.1', logDir: join(dir, 'log') },
    ProxyConfig: { port: await freePort() },
    P2PConfig: { port: await freePort() },
    CacheConfig: { dir: cacheDir, capacity: capacityBytes },
    ExporterConfig: { enable: true, port: await freePort() },
  };
  const file = join(dir, 'config.yaml');
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config));
  const startMs = performance.now();
  const node = spawn(
    process.execPath,
    [CLI, 'agent', '--config', file, '--json', '--exit-with-parent'],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let log = '';
  node.stderr.on('data', (text: Buffer) => (log += text.toString()));
  const ended = once(node, 'exit');
  try {
    const [line] = (await once(createInterface(node.stdout), 'line', {
      signal: AbortSignal.timeout(READY_DEADLINE_MS),
    })) as [string];
    readyMs.push(performance.now() - startMs);
    cpuMs.push(
      1000 * [...threadSeconds(node.pid!).values()].reduce((sum, seconds) => sum + seconds, 0),
    );
    if ((JSON.parse(line) as { ready: boolean }).ready !== true)
      throw new Error(`not a ready line: ${line}`);
    const recovered = /"shards":(\d+)/.exec(log)?.[1];
    if (recovered === undefined || Number(recovered) === 0)
      throw new Error(`the cache was not full: ${log}`);
    await after(Number(options.idle) * 1000);
    idleBytes.push(residentBytes(node.pid!)?.nowBytes ?? Number.NaN);
  } finally {
    node.kill('SIGTERM');
    await ended;
  }
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
