import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CacheStore } from '../../lib/cache/store.ts';
import { systemClock } from '../../lib/clock.ts';
import { Arena } from '../../lib/io/arena.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { openSlabFiles } from '../../lib/io/slab-files.ts';
import { localSlabIo } from '../../lib/io/slab-local.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { fillPattern, sizeOfBlob } from './disk-pattern.ts';

const CAPACITY_BYTES = 40 * SHARD_BYTES;
const log = { info: () => undefined, warn: () => undefined };

describe('fault: disk', () => {
  let dir: string;
  const arena = Arena.create(2 * SHARD_BYTES);
  const scratch = new Uint8Array(SHARD_BYTES);

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-fault-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  async function reopen(): Promise<{ store: CacheStore; close(): Promise<void> }> {
    const files = await openSlabFiles({ dir, capacityBytes: CAPACITY_BYTES, direct: false, log });
    const store = CacheStore.open({
      ...files,
      io: localSlabIo(files, arena),
      clock: systemClock,
      log,
    });
    return { store, close: () => store.close().then(() => files.close()) };
  }

  /** Loads a shard and holds it against its pattern; a wrong byte fails the test. */
  async function loadRight(store: CacheStore, blob: string, shard: number): Promise<boolean> {
    const known = store.has(blob, shard);
    if (known === undefined || (await store.load(blob, shard, 1)) === 'miss') return false;
    const wanted = scratch.subarray(0, known.lengthBytes);
    fillPattern(wanted, blob, shard);
    assert.equal(
      Buffer.compare(arena.bytes(1, 0, known.lengthBytes), wanted),
      0,
      `${blob} ${shard}`,
    );
    return true;
  }

  /**
   * Runs the writer until it has stored `shards`, kills it there and then, and returns what it had
   * reported.
   */
  async function writeAndKill(
    mode: string,
    run: string,
    shards: number,
  ): Promise<{ blob: string; shard: number }[]> {
    const script = new URL('disk-writer.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, dir, String(CAPACITY_BYTES), mode, run], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const stored: { blob: string; shard: number }[] = [];
    const lines = createInterface(child.stdout);
    lines.on('line', (line) => {
      const [blob, shard] = line.split(' ');
      stored.push({ blob: blob!, shard: Number(shard) });
      if (stored.length === shards) child.kill('SIGKILL');
    });
    await Promise.all([once(child, 'exit'), once(lines, 'close')]);
    assert.equal(child.signalCode, 'SIGKILL');
    return stored;
  }

  for (const mode of ['buffered', 'direct']) {
    it(`keeps every shard that was stored before a kill -9 (${mode})`, async () => {
      // 6 blobs take 5 whole slots and some cells: 30 shards are well below the capacity, so
      // nothing is evicted.
      const stored = await writeAndKill(mode, 'run', 30);
      const { store, close } = await reopen();
      for (const { blob, shard } of stored)
        assert.ok(await loadRight(store, blob, shard), `${blob} ${shard} is gone`);
      await close();
    });

    it(`serves no wrong byte after repeated kill -9, with a full cache (${mode})`, async () => {
      const runs: string[] = [];
      let right = 0;
      for (const shards of [90, 131, 77]) {
        runs.push(`run_${shards}`);
        await writeAndKill(mode, runs.at(-1)!, shards);
        const { store, close } = await reopen();
        right = 0;
        for (const run of runs) {
          for (let number = 0; number < 140; number++) {
            for (let shard = 0; shard * SHARD_BYTES < sizeOfBlob(number); shard++)
              if (await loadRight(store, `${run}-${number}`, shard)) right++;
          }
        }
        await close();
        let diskBytes = (await stat(dir)).blocks * 512;
        for (const name of await readdir(dir))
          diskBytes += (await stat(join(dir, name))).blocks * 512;
        assert.ok(diskBytes <= CAPACITY_BYTES, `${diskBytes} bytes on disk`);
      }
      assert.ok(right > 40, `only ${right} shards left`);
    });
  }

  it('detects changed bytes on disk and drops only that shard', async () => {
    const stored = await writeAndKill('buffered', 'run', 30);
    const file = await open(join(dir, 'slab'), 'r+');
    const page = Buffer.alloc(4096);
    await file.read(page, 0, 4096, 0);
    page[5]! ^= 0x40;
    await file.write(page, 0, 4096, 0);
    await file.close();
    const { store, close } = await reopen();
    let missing = 0;
    for (const { blob, shard } of stored) if (!(await loadRight(store, blob, shard))) missing++;
    assert.equal(missing, 1);
    assert.equal(store.stats().corrupt, 1);
    await close();
  });

  it('survives invalid descriptors: it misses and skips, and never rejects', async () => {
    const files = await openSlabFiles({ dir, capacityBytes: CAPACITY_BYTES, direct: false, log });
    const readOnly = await open(join(dir, 'slab'), 'r');
    const broken = { ...files, slabFd: readOnly.fd, directFd: null };
    const store = CacheStore.open({
      ...files,
      io: { ...localSlabIo(files, arena), write: localSlabIo(broken, arena).write },
      clock: systemClock,
      log,
    });
    arena.tryLock(0);
    const generation = arena.begin(0);
    const stored = {
      lengthBytes: 100,
      totalBytes: 100,
      checksum: checksumOf(arena.bytes(0, 0, 100)),
    };
    assert.equal(await store.save('a', 0, 0, generation, stored), 'skipped');
    assert.equal(await store.save('b', 0, 0, generation, stored), 'skipped');
    assert.deepEqual(
      [store.stats().errors, store.stats().suspended, store.stats().usedBytes],
      [1, true, 0],
    );
    await store.close();
    await readOnly.close();
    await files.close();
  });
});
