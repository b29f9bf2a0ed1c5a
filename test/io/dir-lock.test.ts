import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDir } from '../../lib/io/dir-lock.ts';

for (const [way, program] of [
  ['flock', 'flock'],
  ['a file', 'no-such-program'],
] as const) {
  describe(`io/dir-lock by ${way}`, () => {
    let dir: string;
    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), 'shoal-lock-'));
    });
    afterEach(() => rm(dir, { recursive: true }));

    it('is held by one, and free once released', async () => {
      const first = await lockDir(dir, program);
      assert.ok(first.kind === 'locked');
      assert.equal((await lockDir(dir, program)).kind, 'held');
      await first.release();
      const second = await lockDir(dir, program);
      assert.ok(second.kind === 'locked');
      await second.release();
      assert.deepEqual(await readdir(dir), []);
    });

    it('goes to one of many who ask at once', async () => {
      const locks = await Promise.all([1, 2, 3, 4, 5, 6].map(() => lockDir(dir, program)));
      const winners = locks.filter((lock) => lock.kind === 'locked');
      assert.equal(winners.length, 1);
      for (const lock of winners) await lock.release();
    });

    it('is free when its holder is gone, even if another process has its number', async () => {
      await writeFile(join(dir, 'lock'), `${process.pid} 1`);
      const lock = await lockDir(dir, program);
      assert.ok(lock.kind === 'locked');
      await lock.release();
    });
  });
}
