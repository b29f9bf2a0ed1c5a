import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { Command } from 'commander';
import { TABLE_HEAD_BYTES } from '../lib/cache/header.ts';
import { openDirect, openOwn } from '../lib/io/aligned.ts';
import { Arena } from '../lib/io/arena.ts';
import { allocateFile } from '../lib/io/slab-space.ts';
import { openSlabFiles } from '../lib/io/slab-files.ts';
import { CACHE_IO_DEPTH } from '../lib/cache/limits.ts';
import { SHARD_BYTES } from '../lib/limits.ts';
import { StoreRates, rawRate } from './disk/rates.ts';
import type { Rate } from './disk/rates.ts';

/*
 * Measures the raw throughput of the cache's disk and the share of it that the store reaches: `node
 * native-bench/disk.ts --dir D`. Raw and store alternate, and each figure is the median of the
 * runs, so that load from other programs affects both.
 */
/** Room in the slab for the shards, the table and the overheads. */
const SPARE_BYTES = 16 * SHARD_BYTES;

interface Row {
  access: 'direct' | 'buffered';
  op: 'write' | 'read';
  blockBytes: number;
  depth: number;
  raw: Rate;
  /**
   * Only at the shard's size, the only one of the store. `store` verifies no checksums; `checked`
   * does (first read after a restart).
   */
  store?: Rate;
  checked?: Rate;
  share?: number;
}

const options = new Command('disk')
  .description('raw ceilings of a disk, and the share of them the cache reaches')
  .option('--dir <dir>', 'a directory on the disk in question', tmpdir())
  .option('--megabytes <n>', 'bytes moved per figure, MiB', '256')
  .option('--runs <n>', 'runs per figure; the median counts', '3')
  .option(
    '--blocks <list>',
    'sizes of a job, KiB; the store is measured at that of a shard',
    `64,512,${SHARD_BYTES / 1024}`,
  )
  .option('--depths <list>', `jobs at once; a node's own is ${CACHE_IO_DEPTH}`, '1,2,3,4,8')
  .option('--access <list>', 'of direct, buffered', 'direct,buffered')
  .option('--json', 'one JSON object instead of the table')
  .parse()
  .opts<{
    dir: string;
    megabytes: string;
    runs: string;
    blocks: string;
    depths: string;
    access: string;
    json?: boolean;
  }>();

// libuv creates its pool at the first use and never grows it: depth 8 needs eight threads from the
// start.
if (process.env['UV_THREADPOOL_SIZE'] === undefined) {
  const again = spawnSync(process.execPath, process.argv.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, UV_THREADPOOL_SIZE: '8' },
  });
  process.exit(again.status ?? 1);
}

function median(rates: Rate[]): Rate {
  const sorted = [...rates].sort((a, b) => a.gigabytesPerSecond - b.gigabytesPerSecond);
  return sorted[Math.floor(sorted.length / 2)]!;
}

/**
 * The median of the shares of the runs. Both parts of a share are measured together, so this is
 * steadier than the share of the medians.
 */
function shareOf(store: Rate[], raw: Rate[]): number {
  const shares = store
    .map((each, run) => each.gigabytesPerSecond / raw[run]!.gigabytesPerSecond)
    .sort((a, b) => a - b);
  return shares[Math.floor(shares.length / 2)]!;
}

/**
 * Drops a file's pages from the page cache, so that a buffered read is cold. `dd` can call
 * posix_fadvise; Node cannot.
 */
function chill(path: string): void {
  spawnSync('sync', [path]);
  spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
}

const blocksBytes = options.blocks.split(',').map((kibibytes) => Number(kibibytes) * 1024);
const depths = options.depths.split(',').map(Number);
const fileBytes = Number(options.megabytes) * 1024 * 1024;
const runs = Number(options.runs);
const rows: Row[] = [];
await mkdir(options.dir, { recursive: true });
const dir = await mkdtemp(join(options.dir, 'shoal-disk-'));
const notes: string[] = [];
const log = {
  info: () => undefined,
  warn: (_: unknown, message: string) => void notes.push(message),
};
try {
  const arena = Arena.create(2 * Math.max(...depths) * SHARD_BYTES);
  for (let slot = 0; slot < arena.slotCount; slot++) {
    arena.tryLock(slot);
    arena.begin(slot);
    arena.bytes(slot).forEach((_, at, bytes) => (bytes[at] = (at * (slot + 7)) ^ (at >> 9)));
  }
  for (const access of ['direct', 'buffered'] as const)
    if (options.access.split(',').includes(access)) await measure(access, arena);
} finally {
  await rm(dir, { recursive: true });
}

async function measure(access: Row['access'], arena: Arena): Promise<void> {
  const rawPath = join(dir, `raw-${access}`);
  const plain = await openOwn(rawPath);
  await allocateFile(plain, rawPath, fileBytes, log);
  const file = access === 'direct' ? await openDirect(rawPath) : await open(rawPath, 'r+');
  if (file === undefined) return void notes.push('the filesystem refuses O_DIRECT');
  const cacheDir = join(dir, `cache-${access}`);
  const files = await openSlabFiles({
    dir: cacheDir,
    capacityBytes: fileBytes + SPARE_BYTES,
    direct: access === 'direct',
    log,
  });
  const readTable = async (): Promise<Buffer> =>
    (await readFile(join(cacheDir, 'index'))).subarray(TABLE_HEAD_BYTES);
  const cold = (path: string): void => void (access === 'buffered' && chill(path));
  // The first writes initialise allocated blocks. They are not counted, neither for raw nor for
  // store.
  await rawRate('write', file, arena, fileBytes, SHARD_BYTES, 4);
  for (const depth of access === 'direct' ? depths : [CACHE_IO_DEPTH]) {
    for (const blockBytes of blocksBytes) {
      const raw: Record<Row['op'], Rate[]> = { write: [], read: [] };
      const store: Record<Row['op'], Rate[]> = { write: [], read: [] };
      const checked: Rate[] = [];
      const shards = new StoreRates(files, arena, fileBytes / SHARD_BYTES, depth);
      if (blockBytes === SHARD_BYTES) await shards.saveAll();
      for (let run = 0; run < runs; run++) {
        raw.write.push(await rawRate('write', file, arena, fileBytes, blockBytes, depth));
        if (blockBytes === SHARD_BYTES) store.write.push(await shards.saveAll());
        cold(rawPath);
        raw.read.push(await rawRate('read', file, arena, fileBytes, blockBytes, depth));
        if (blockBytes !== SHARD_BYTES) continue;
        cold(join(cacheDir, 'slab'));
        store.read.push(await shards.loadAll());
        await shards.restart(readTable);
        cold(join(cacheDir, 'slab'));
        checked.push(await shards.loadAll());
      }
      await shards.close();
      for (const op of ['write', 'read'] as const) {
        const row: Row = { access, op, blockBytes, depth, raw: median(raw[op]) };
        if (blockBytes === SHARD_BYTES) {
          row.store = median(store[op]);
          row.share = shareOf(store[op], raw[op]);
          if (op === 'read') row.checked = median(checked);
        }
        rows.push(row);
      }
    }
  }
  await Promise.all([plain.close(), file.close(), files.close()]);
  await rm(cacheDir, { recursive: true });
  await rm(rawPath);
}

if (options.json === true) {
  console.log(JSON.stringify({ fileBytes, runs, rows, notes }));
} else {
  const table = new Table({
    head: [
      'access',
      'op',
      'block',
      'depth',
      'raw GB/s',
      'store GB/s',
      'share',
      'checked GB/s',
      'store CPU-s/GB',
    ],
    style: { head: [], border: [], compact: true },
  });
  for (const { access, op, blockBytes, depth, raw, store, share, checked } of rows) {
    const gigabytes = (some?: Rate): string => some?.gigabytesPerSecond.toFixed(2) ?? '';
    const percent = share === undefined ? '' : `${(share * 100).toFixed(0)} %`;
    const cpu = store?.cpuSecondsPerGB.toFixed(2) ?? '';
    table.push([
      access,
      op,
      `${blockBytes / 1024} KiB`,
      depth,
      gigabytes(raw),
      gigabytes(store),
      percent,
      gigabytes(checked),
      cpu,
    ]);
  }
  console.log(table.toString());
  for (const note of notes) console.log(note);
}
