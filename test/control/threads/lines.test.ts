import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { THREAD_PATIENCE_MS, THREAD_RESTART_MS } from '../../../lib/control/limits.ts';
import { startThread } from '../../../lib/control/threads/start-thread.ts';
import { Lines, ThreadLost } from '../../../lib/control/threads/lines.ts';
import { until } from '../../telemetry/until.ts';
import type { SampleJob } from './line-worker.ts';

describe('control/lines', () => {
  let lines: Lines<SampleJob>;
  let clock: ManualClock;
  /** What the next threads are started with, in order; `ok` when none is left. */
  let starts: ('ok' | 'fails' | 'refused')[];
  let losses: string[];

  function start(
    threads: number,
    jobsPerThreadMax: number,
    atStart = threads,
    isRepeatable = false,
  ): void {
    lines = new Lines({
      start(port) {
        const how = starts.shift() ?? 'ok';
        if (how === 'refused') throw new Error('EAGAIN');
        return startThread(new URL('line-worker.ts', import.meta.url), how, port);
      },
      threads: { atStart, all: threads },
      jobsPerThreadMax,
      isRepeatable: () => isRepeatable,
      clock,
      lost: (error) => losses.push(error.message),
    });
  }
  beforeEach(() => {
    clock = new ManualClock();
    [starts, losses] = [[], []];
  });
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

  it('says how long a job has waited although its share allows it', async () => {
    start(1, 1);
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    assert.equal(lines.stalledMs, 0);
    const both = [1, 2].map((value) => lines.run({ kind: 'echo', value }));
    clock.advance(3_000);
    assert.equal(lines.stalledMs, 3_000);
    await Promise.all(both);
    assert.equal(lines.stalledMs, 0);
  });

  it('starts another thread while all that run are busy, and not before', async () => {
    start(2, 64, 1);
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    for (let job = 0; job < 20; job++) await lines.run({ kind: 'thread', value: job });
    assert.equal(lines.threads, 1, 'one thread is enough for jobs that only wait');
    await until(() => {
      void lines.run({ kind: 'spin', value: 30 });
      return lines.threads === 2;
    }, 'a second thread');
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    const all = await Promise.all(
      Array.from({ length: 4 }, (_, value) => lines.run({ kind: 'thread', value })),
    );
    assert.equal(new Set(all.map((result) => (result as { thread: number }).thread)).size, 2);
  });

  it('starts the only thread with the first job', async () => {
    start(1, 4, 0);
    assert.equal(lines.threads, 0);
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
    await assert.rejects(lines.run({ kind: 'die' }), ThreadLost);
    assert.equal(await lines.run({ kind: 'echo', value: 'another' }), 'another');
    assert.deepEqual(losses, ['a thread exited with code 3']);
  });

  it('begins repeatable jobs again as often as their thread dies, for a bounded time', async () => {
    start(1, 8, 1, true);
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    const deadly = lines.run({ kind: 'die' }).catch((thrown: unknown) => thrown);
    clock.advance(THREAD_PATIENCE_MS / 2);
    const held = lines.run({ kind: 'hold' });
    await until(() => losses.length >= 3, 'the third death');
    clock.advance(THREAD_PATIENCE_MS / 2);
    assert.ok((await deadly) instanceof ThreadLost);
    assert.equal(await lines.run({ kind: 'echo', value: 'here' }), 'here');
    await lines.everywhere({ kind: 'release' });
    await held;
  });

  it('does not begin a job again that has already said something', async () => {
    start(1, 8, 1, true);
    await lines.everywhere({ kind: 'echo', value: 'ready' });
    const heard: unknown[] = [];
    const said = lines.run({ kind: 'say and die' }, (part) => heard.push(part));
    await assert.rejects(said, ThreadLost);
    assert.deepEqual([heard, losses.length], [['a word'], 1]);
  });

  for (const how of ['fails', 'refused'] as const)
    it(`keeps jobs while no thread can be started (${how}), and tries again`, async () => {
      starts = [how, how];
      start(1, 8);
      const answer = lines.run({ kind: 'echo', value: 'late' });
      const first = lines.runOnFirst({ kind: 'echo', value: 'first' }).catch((thrown) => thrown);
      await until(() => losses.length === 1, 'the first failure');
      clock.advance(THREAD_RESTART_MS);
      await until(() => losses.length === 2, 'the second failure');
      clock.advance(THREAD_RESTART_MS);
      assert.equal(await answer, 'late');
      if (how === 'refused') assert.equal(await first, 'first');
      else assert.ok((await first) instanceof ThreadLost);
    });
});
