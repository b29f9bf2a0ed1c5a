import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeTableHead } from '../../lib/cache/header.ts';
import { CacheStore } from '../../lib/cache/store.ts';
import { systemClock } from '../../lib/clock.ts';
import { ShoalError } from '../../lib/errors.ts';
import { Arena } from '../../lib/io/arena.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { openSlabFiles, slabGeometry } from '../../lib/io/slab-files.ts';
import type { SlabFiles } from '../../lib/io/slab-files.ts';
import { localSlabIo } from '../../lib/io/slab-local.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

const CAPACITY_BYTES = 8 * SHARD_BYTES;

describe('io/slab-files', () => {
  let dir: string;
  let lines: string[];
  let closers: (() => Promise<void>)[];
  const log = {
    info: (_: unknown, message: string) => void lines.push(message),
    warn: (_: unknown, message: string) => void lines.push(message),
  };
  const arena = Arena.create(2 * SHARD_BYTES);

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-cache-'));
    lines = [];
    closers = [];
  });

  afterEach(async () => {
    for (const close of closers) await close();
    await rm(dir, { recursive: true });
  });

  async function openFiles(
    capacityBytes = CAPACITY_BYTES,
    direct = false,
    at = dir,
  ): Promise<SlabFiles> {
    const files = await openSlabFiles({ dir: at, capacityBytes, direct, log });
    closers.push(() => files.close());
    return files;
  }

  async function openStore(
    capacityBytes = CAPACITY_BYTES,
    direct = false,
  ): Promise<{ files: SlabFiles; store: CacheStore }> {
    const files = await openFiles(capacityBytes, direct);
    return {
      files,
      store: CacheStore.open({ ...files, io: localSlabIo(files, arena), clock: systemClock, log }),
    };
  }

  async function save(
    store: CacheStore,
    key: string,
    shard: number,
    totalBytes: number,
  ): Promise<string> {
    assert.ok(arena.tryLock(0));
    const generation = arena.begin(0);
    const lengthBytes = Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
    arena.bytes(0, 0, lengthBytes).fill(shard + 1);
    return store.save(key, shard, 0, generation, {
      lengthBytes,
      totalBytes,
      checksum: checksumOf(arena.bytes(0, 0, lengthBytes)),
    });
  }

  async function diskBytes(): Promise<number> {
    let sum = (await stat(dir)).blocks * 512;
    for (const name of await readdir(dir)) sum += (await stat(join(dir, name))).blocks * 512;
    return sum;
  }

  const unusable =
    (words: RegExp) =>
    (error: unknown): boolean =>
      error instanceof ShoalError &&
      error.code === 'CACHE_DIR_UNUSABLE' &&
      words.test(error.message) &&
      !error.message.includes('\n');

  it('makes its directory, keeps within its capacity, and reopens with everything', async () => {
    dir = join(dir, 'deep', 'cache');
    for (const direct of [false, true]) {
      const { files, store } = await openStore(CAPACITY_BYTES, direct);
      for (let shard = 0; shard < 20; shard++)
        assert.equal(await save(store, `layer ${direct}`, shard, 20 * SHARD_BYTES), 'stored');
      assert.equal(await save(store, `tail ${direct}`, 0, 1000), 'stored');
      assert.ok((await diskBytes()) <= CAPACITY_BYTES, `${await diskBytes()} bytes`);
      await store.close();
      await files.close();
    }
    const { files, store } = await openStore();
    assert.equal(await store.load('layer true', 19, 1), 'ok');
    assert.ok(arena.bytes(1).every((byte) => byte === 20));
    assert.equal(await store.load('tail true', 0, 1), 'ok');
    assert.ok(store.stats().entries >= 8);
    assert.ok(files.entryCount * 128 <= slabGeometry(CAPACITY_BYTES).tableBytes);
    dir = join(dir, '..', '..');
  });

  it('cuts a slab and a table left by a larger capacity, keeping what fits', async () => {
    const large = await openStore(1000 * SHARD_BYTES);
    for (let shard = 0; shard < 10; shard++)
      await save(large.store, 'layer', shard, 10 * SHARD_BYTES);
    await large.store.close();
    await large.files.close();

    // One slot's worth goes to the table.
    const small = await openStore(5 * SHARD_BYTES);
    const kept = [...Array(10).keys()].filter(
      (shard) => small.store.has('layer', shard) !== undefined,
    );
    assert.deepEqual(kept, [0, 1, 2, 3]);
    await small.store.close();
    await small.files.close();
    const again = await openStore(5 * SHARD_BYTES);
    assert.equal(await again.store.load('layer', 3, 1), 'ok');
    assert.ok((await diskBytes()) <= 5 * SHARD_BYTES, `${await diskBytes()} bytes`);
  });

  it('keeps what there is when the capacity grows', async () => {
    const small = await openStore(2 * SHARD_BYTES);
    await save(small.store, 'a', 0, 5000);
    await small.store.close();
    await small.files.close();
    const large = await openStore(100 * SHARD_BYTES);
    assert.equal(await large.store.load('a', 0, 1), 'ok');
    assert.equal(large.files.slotCount, 99);
  });

  it('takes a share of a smaller disk, the same after a restart, none of a full one', async () => {
    let freeBytes = 30 * SHARD_BYTES;
    const open = async (): Promise<SlabFiles> => {
      const files = await openSlabFiles({
        dir,
        capacityBytes: 1000 * SHARD_BYTES,
        direct: false,
        log,
        freeBytesOf: () => Promise.resolve(freeBytes),
      });
      closers.push(() => files.close());
      return files;
    };
    const first = await open();
    assert.equal(first.slotCount, 24);
    assert.ok(lines.some((line) => line.includes('less free space')));
    await first.close();
    freeBytes = 6 * SHARD_BYTES;
    const second = await open();
    assert.equal(second.slotCount, 24);
    await second.close();
    await rm(join(dir, 'slab'));
    freeBytes = SHARD_BYTES;
    const none = await open();
    assert.equal(none.slotCount, 0);
    const store = CacheStore.open({
      ...none,
      io: localSlabIo(none, arena),
      clock: systemClock,
      log,
    });
    assert.equal(await save(store, 'a', 0, 100), 'skipped');
    assert.equal(store.stats().errors, 0);
  });

  it('refuses a second opener, names the first, and admits it when the first is gone', async () => {
    const first = await openFiles();
    await assert.rejects(openFiles(), unusable(new RegExp(`process ${process.pid} uses it`)));
    await first.close();
    await openFiles();
  });

  it('is free again as soon as its holder is killed', async () => {
    const module = new URL('../../lib/io/slab-files.ts', import.meta.url).href;
    const script = `const { openSlabFiles } = await import(${JSON.stringify(module)});
      const log = { info() {}, warn() {} };
      const dir = ${JSON.stringify(dir)};
      await openSlabFiles({ dir, capacityBytes: ${CAPACITY_BYTES}, direct: false, log });
      console.log('open'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await assert.rejects(openFiles(), unusable(new RegExp(`process ${child.pid} uses it`)));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await openFiles();
  });

  it('says in one line why a directory cannot be used', async () => {
    await writeFile(join(dir, 'file'), '');
    await assert.rejects(
      openFiles(CAPACITY_BYTES, false, join(dir, 'file', 'cache')),
      unusable(/ENOTDIR/),
    );
    await assert.rejects(
      openFiles(CAPACITY_BYTES, false, join(dir, 'file')),
      unusable(/EEXIST|ENOTDIR/),
    );
    await assert.rejects(openFiles(1000), unusable(/too small for one shard/));
    await assert.rejects(
      openFiles(CAPACITY_BYTES, false, '/proc/shoal'),
      unusable(/ENOENT|EACCES|EPERM/),
    );
  });

  it("never writes through a link, nor into a directory of its file's name", async () => {
    await writeFile(join(dir, 'precious'), 'mine');
    await symlink(join(dir, 'precious'), join(dir, 'slab'));
    await assert.rejects(openFiles(), unusable(/ELOOP/));
    assert.equal(await readFile(join(dir, 'precious'), 'utf8'), 'mine');
    await rm(join(dir, 'slab'));
    await mkdir(join(dir, 'slab'));
    await assert.rejects(openFiles(), unusable(/EISDIR/));
  });

  it('starts empty if the index is foreign (kept), of another version, or cut short', async () => {
    await writeFile(join(dir, 'index'), 'DIRC and something else');
    await writeFile(join(dir, 'other'), 'not ours');
    const files = await openFiles();
    assert.equal(await readFile(join(dir, 'index.unknown'), 'utf8'), 'DIRC and something else');
    assert.ok(lines.some((line) => line.includes('not a cache index')));
    await files.close();
    assert.equal(await readFile(join(dir, 'other'), 'utf8'), 'not ours');

    const later = encodeTableHead(1);
    later.writeUInt32LE(9, 8);
    await writeFile(join(dir, 'index'), later);
    const { files: reopened, store } = await openStore();
    assert.ok(lines.some((line) => line.includes('another format version')));
    assert.equal(store.stats().entries, 0);
    await save(store, 'a', 0, 100);
    await store.close();
    await reopened.close();

    const whole = await readFile(join(dir, 'index'));
    await writeFile(join(dir, 'index'), whole.subarray(0, 5000));
    assert.equal((await openStore()).store.totalOf('a'), 100);
  });
});
