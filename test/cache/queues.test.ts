import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { HeaderWriter } from '../../lib/cache/header-writer.ts';
import { DiskStalled, IoQueue } from '../../lib/cache/io-queue.ts';
import type { HeaderJob } from '../../lib/cache/slab-io.ts';
import { ManualClock } from '../../lib/clock.ts';
import { CACHE_STALL_MS } from '../../lib/cache/limits.ts';

describe('cache/io-queue', () => {
  it('runs at most its depth at once, reads first, but always one waiting write', async () => {
    const queue = new IoQueue(3, new ManualClock());
    const started: string[] = [];
    const ends: (() => void)[] = [];
    const begin = (name: string): Promise<void> =>
      queue.run(name.startsWith('r') ? 'read' : 'write', () => {
        started.push(name);
        return new Promise<void>((end) => ends.push(end));
      });
    const all = ['w1', 'w2', 'w3', 'w4', 'r1', 'r2', 'r3', 'w5'].map(begin);
    await turn();
    assert.deepEqual(started, ['w1', 'w2', 'w3']);
    for (let finished = 0; finished < all.length; finished++) {
      ends.shift()!();
      await turn();
    }
    await Promise.all(all);
    assert.deepEqual(started.slice(3), ['r1', 'r2', 'w4', 'r3', 'w5']);
  });

  it('goes on after a job that failed', async () => {
    const queue = new IoQueue(1, new ManualClock());
    await assert.rejects(queue.run('read', () => Promise.reject(new Error('EIO'))));
    await assert.rejects(
      queue.run('read', () => {
        throw new Error('at once');
      }),
    );
    assert.equal(await queue.run('write', () => Promise.resolve(3)), 3);
  });
});

describe('cache/io-queue before a disk that hangs', () => {
  it('refuses what waits and what comes, until the disk answers after all', async () => {
    const clock = new ManualClock();
    const queue = new IoQueue(1, clock);
    let answer: (text: string) => void = () => undefined;
    const hanging = queue.run('read', () => new Promise<string>((resolve) => (answer = resolve)));
    const behind = queue.run('write', () => Promise.resolve('never begun'));
    await turn();
    clock.advance(CACHE_STALL_MS);
    await assert.rejects(behind, DiskStalled);
    await assert.rejects(
      queue.run('read', () => Promise.resolve('nor this')),
      DiskStalled,
    );
    answer('late');
    assert.equal(await hanging, 'late');
    assert.equal(await queue.run('read', () => Promise.resolve('again')), 'again');
  });

  it('judges each job by when it began, with one timer for all', async () => {
    const clock = new ManualClock();
    let timers = 0;
    const queue = new IoQueue(2, {
      wallMs: () => clock.wallMs(),
      nowMs: () => clock.nowMs(),
      after: (delayMs, fire) => {
        timers++;
        return clock.after(delayMs, fire);
      },
    });
    for (let job = 0; job < 100; job++) await queue.run('write', () => Promise.resolve());
    assert.equal(timers, 1);
    clock.advance(CACHE_STALL_MS - 1);
    void queue.run('read', () => new Promise<void>(() => undefined));
    await turn();
    clock.advance(CACHE_STALL_MS / 2);
    void queue.run('read', () => new Promise<void>(() => undefined));
    const behind = queue.run('read', () => Promise.resolve('never begun'));
    await turn();
    clock.advance(CACHE_STALL_MS / 2 - 1);
    assert.equal(queue.waiting('read'), 1);
    clock.advance(1);
    await assert.rejects(behind, DiskStalled);
    assert.equal(timers, 3);
  });
});

describe('cache/header-writer', () => {
  it("writes an entry's versions in order, without those that became outdated", async () => {
    const written: string[] = [];
    let finish = (): void => undefined;
    const writer = new HeaderWriter(({ entry, bytes }: HeaderJob) => {
      written.push(`${entry}:${bytes[0]}`);
      return new Promise((resolve) => (finish = resolve));
    });
    const writes = [
      [1, 1],
      [1, 2],
      [1, 3],
      [2, 1],
    ].map(([entry, version]) => writer.write(entry!, Uint8Array.of(version!)));
    for (let step = 0; step < 3; step++) {
      finish();
      await turn();
    }
    await Promise.all(writes);
    assert.deepEqual(written, ['1:1', '1:3', '2:1']);
  });

  it('tells those whose version failed, and goes on', async () => {
    let calls = 0;
    const writer = new HeaderWriter(() =>
      calls++ === 0 ? Promise.reject(new Error('EROFS')) : Promise.resolve(),
    );
    await assert.rejects(writer.write(1, Uint8Array.of(1)), /EROFS/);
    await writer.write(1, Uint8Array.of(2));
  });
});
