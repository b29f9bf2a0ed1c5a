import assert from 'node:assert/strict';
import { Piscina } from 'piscina';
import { Lines } from '../../../lib/control/threads/lines.ts';
import type { LineStart } from '../../../lib/workers/line.ts';
import { until } from '../../telemetry/until.ts';
import type { SampleJob } from './line-worker.ts';

describe('control/lines', () => {
  let pool: Piscina<LineStart, void>;
  let lines: Lines<SampleJob>;

  function start(threads: number, jobsPerThreadMax: number, atStart = threads): void {
    pool = new Piscina({
      filename: new URL('line-worker.ts', import.meta.url).href,
      minThreads: 0,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    lines = new Lines(pool, { atStart, all: threads }, jobsPerThreadMax);
  }
  afterEach(() => lines.close());

  it('carries out jobs at once, each with its own result, over all threads', async () => {
    start(2, 4);
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, value) => lines.run({ kind: 'thread', value })),
    );
    assert.deepEqual(
      results.map((result) => (result as { value: number }).value),
      Array.from({ length: 20 }, (_, value) => value),
    );
    assert.equal(new Set(results.map((result) => (result as { thread: number }).thread)).size, 2);
    assert.equal(lines.queued, 0);
  });

  it('starts another thread while all that run are busy, and not before', async () => {
    start(2, 64, 1);
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    for (let job = 0; job < 20; job++) await lines.run({ kind: 'thread', value: job });
    assert.equal(pool.threads.length, 1, 'one thread is enough for jobs that only wait');
    await until(() => {
      void lines.run({ kind: 'spin', value: 30 });
      return pool.threads.length === 2;
    }, 'a second thread');
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    const all = await Promise.all(
      Array.from({ length: 4 }, (_, value) => lines.run({ kind: 'thread', value })),
    );
    assert.equal(new Set(all.map((result) => (result as { thread: number }).thread)).size, 2);
  });

  it('starts the only thread with the first job', async () => {
    start(1, 4, 0);
    assert.equal(pool.threads.length, 0);
    assert.equal(await lines.run({ kind: 'echo', value: 'here' }), 'here');
  });

  it('lets no more than so many at a thread, in order', async () => {
    start(1, 2);
    const held = [lines.run({ kind: 'hold' }), lines.run({ kind: 'hold' })];
    const ended: string[] = [];
    const waiting = ['a', 'b'].map((value) =>
      lines.run({ kind: 'echo', value }).then(() => ended.push(value)),
    );
    assert.equal(lines.queued, 2);
    await lines.everywhere({ kind: 'release' });
    await Promise.all([...held, ...waiting]);
    assert.deepEqual(ended, ['a', 'b']);
  });

  it('passes on what a job says before it is done, each in its own ear', async () => {
    start(1, 4);
    const heard: unknown[][] = [[], []];
    const results = await Promise.all(
      heard.map((ear, at) =>
        lines.run({ kind: 'parts', value: [at, at + 10] }, (part) => ear.push(part)),
      ),
    );
    assert.deepEqual(
      [results, heard],
      [
        ['over', 'over'],
        [
          [0, 10],
          [1, 11],
        ],
      ],
    );
  });

  it('moves what is to be moved', async () => {
    start(1, 2);
    assert.deepEqual(await lines.run({ kind: 'bytes', value: 5 }), {
      bytes: new Uint8Array(5).fill(5),
      wasMoved: null,
    });
    assert.deepEqual(await lines.run({ kind: 'moved?' }), true);
  });

  it('says of a fault what it was, and goes on', async () => {
    start(1, 2);
    await assert.rejects(lines.run({ kind: 'fault' }), /a fault of ours/);
    assert.equal(await lines.run({ kind: 'echo', value: 'still here' }), 'still here');
  });

  it('replaces a thread that died; only what it was at is lost', async () => {
    start(1, 8);
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    await assert.rejects(lines.run({ kind: 'die' }));
    assert.equal(await lines.run({ kind: 'echo', value: 'another' }), 'another');
  });
});
