import assert from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ShoalError } from '../../lib/errors.ts';
import { Arena } from '../../lib/io/arena.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { openDirect } from '../../lib/io/aligned.ts';
import { readExtent, writeDescriptor, writeExtent, writePinned } from '../../lib/io/slab.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

function filled(arena: Arena, slot: number, seed: number): number {
  assert.ok(arena.tryLock(slot));
  const generation = arena.begin(slot);
  const bytes = arena.bytes(slot);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + seed) & 0xff;
  return generation;
}

for (const direct of [false, true]) {
  describe(`io/slab, ${direct ? 'O_DIRECT' : 'buffered'}`, () => {
    let dir: string;
    let file: FileHandle;
    const arena = Arena.create(4 * SHARD_BYTES);

    before(async function () {
      dir = await mkdtemp(join(tmpdir(), 'shoal-slab-'));
      const path = join(dir, 'slab');
      file = await open(path, 'w+');
      await file.truncate(4 * SHARD_BYTES);
      if (!direct) return;
      await file.close();
      const opened = await openDirect(path);
      if (opened === undefined) return this.skip();
      file = opened;
    });

    after(async () => {
      await file.close().catch(() => undefined);
      await rm(dir, { recursive: true });
    });

    it('brings a whole shard to the disk and back into another slot', async () => {
      const generation = filled(arena, 0, 1);
      const job = { fileOffsetBytes: SHARD_BYTES, lengthBytes: SHARD_BYTES };
      assert.equal(await writeExtent(file.fd, arena, { ...job, slot: 0, generation }), 'written');
      assert.equal(
        await readExtent(file.fd, arena, { ...job, slot: 1, checksum: checksumOf(arena.bytes(0)) }),
        'ok',
      );
      assert.equal(Buffer.compare(arena.bytes(0), arena.bytes(1)), 0);
    });

    it('writes no further than the page a short shard ends in', async () => {
      const first = filled(arena, 0, 2);
      await writeExtent(file.fd, arena, {
        fileOffsetBytes: 0,
        lengthBytes: 3 * 4096,
        slot: 0,
        generation: first,
      });
      const second = filled(arena, 1, 3);
      await writeExtent(file.fd, arena, {
        fileOffsetBytes: 4096,
        lengthBytes: 100,
        slot: 1,
        generation: second,
      });
      assert.equal(
        await readExtent(file.fd, arena, {
          fileOffsetBytes: 0,
          lengthBytes: 3 * 4096,
          slot: 2,
          checksum: null,
        }),
        'ok',
      );
      assert.equal(Buffer.compare(arena.bytes(2, 0, 4096), arena.bytes(0, 0, 4096)), 0);
      assert.equal(Buffer.compare(arena.bytes(2, 4096, 4196), arena.bytes(1, 0, 100)), 0);
      assert.equal(Buffer.compare(arena.bytes(2, 8192, 12_288), arena.bytes(0, 8192, 12_288)), 0);
    });

    it('checks the bytes of the shard, not the scratch behind them', async () => {
      const generation = filled(arena, 0, 4);
      const checksum = checksumOf(arena.bytes(0, 0, 1000));
      const job = { fileOffsetBytes: 0, lengthBytes: 1000 };
      await writeExtent(file.fd, arena, { ...job, slot: 0, generation });
      assert.equal(await readExtent(file.fd, arena, { ...job, slot: 1, checksum }), 'ok');
      checksum[31]! ^= 1;
      assert.equal(await readExtent(file.fd, arena, { ...job, slot: 1, checksum }), 'corrupt');
    });

    it('writes nothing from a slot that holds another generation, and leaves no pin', async () => {
      const generation = filled(arena, 3, 5);
      const job = { fileOffsetBytes: 0, lengthBytes: 4096, slot: 3 };
      const write = (of: number): Promise<string> =>
        writePinned(arena, { ...job, generation: of }, () => {
          assert.ok(!arena.tryLock(3), 'pinned meanwhile');
          return writeExtent(file.fd, arena, { ...job, generation: of });
        });
      assert.equal(await write(generation - 1), 'gone');
      assert.equal(await write(generation), 'written');
      const lost = (): Promise<never> => Promise.reject(new Error('the thread ended'));
      await assert.rejects(writePinned(arena, { ...job, generation }, lost));
      assert.ok(arena.tryLock(3));
      arena.begin(3);
    });

    it('takes a slab that ends early for corrupt', async () => {
      const job = { fileOffsetBytes: 4 * SHARD_BYTES, lengthBytes: 4096, slot: 1, checksum: null };
      assert.equal(await readExtent(file.fd, arena, job), 'corrupt');
    });

    it("says DISK_FAILED with the system's reason", async () => {
      const generation = filled(arena, 0, 6);
      const failed = (error: unknown): boolean =>
        error instanceof ShoalError &&
        error.code === 'DISK_FAILED' &&
        error.message.includes('EBADF');
      await file.close();
      await assert.rejects(
        readExtent(file.fd, arena, { fileOffsetBytes: 0, lengthBytes: 1, slot: 1, checksum: null }),
        /out of range|DISK_FAILED|EBADF/,
      );
      await assert.rejects(
        writeExtent(2 ** 20, arena, { fileOffsetBytes: 0, lengthBytes: 1, slot: 0, generation }),
        failed,
      );
      assert.ok(arena.tryLock(0));
      arena.begin(0);
    });
  });
}

describe('io/slab', () => {
  it('writes past the page cache where it can, unless the disk is behind', () => {
    const job = { fileOffsetBytes: 0, lengthBytes: 1, slot: 0, generation: 1 };
    assert.equal(writeDescriptor({ slabFd: 3, directFd: 4 }, job), 4);
    assert.equal(writeDescriptor({ slabFd: 3, directFd: 4 }, { ...job, isBuffered: true }), 3);
    assert.equal(writeDescriptor({ slabFd: 3, directFd: null }, job), 3);
  });
});
