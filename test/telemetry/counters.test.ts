import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { METER_ROWS_MAX } from '../../lib/telemetry/limits.ts';
import { Meter } from '../../lib/telemetry/counters.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import { createMeterWords, ROW_WORDS, rowStart } from '../../lib/telemetry/meter-layout.ts';
import { counterFamilies, type CounterName } from '../../lib/telemetry/metrics-list.ts';

describe('telemetry/counters', () => {
  it('sums traffic over the rows of all threads', () => {
    const board = new MeterBoard();
    const control = new Meter(board.shared, 0, 'control');
    const front = new Meter(board.shared, 1, 'front');
    control.record('download', 2_097_152, 267_172);
    front.record('download', 100, 5, true);
    front.recordBytes('download', 7);
    assert.deepEqual(board.traffic('download'), { operations: 2, failures: 1, bytes: 2_097_259 });
    assert.deepEqual(board.traffic('pread'), { operations: 0, failures: 0, bytes: 0 });
  });

  it('stays exact past 2^32 bytes', () => {
    const board = new MeterBoard();
    const meter = new Meter(board.shared, 0, 'control');
    meter.record('pread', 2 ** 40, 1);
    meter.record('pread', 1, 1);
    assert.equal(board.traffic('pread').bytes, 2 ** 40 + 1);
  });

  it('gives the maximum latency once, and starts again from 0', () => {
    const board = new MeterBoard();
    const meter = new Meter(board.shared, 3, 'front');
    meter.record('peer', 1, 900);
    meter.record('peer', 1, 1200.4);
    meter.record('peer', 1, 30);
    assert.equal(board.takeLatencyMaxUs().peer, 1200);
    assert.equal(board.takeLatencyMaxUs().peer, 0);
    meter.record('peer', 1, Number.POSITIVE_INFINITY);
    assert.equal(board.takeLatencyMaxUs().peer, 0x7fff_ffff);
  });

  it('keeps every counter in a word of its own', () => {
    const names = counterFamilies.flatMap((family) => Object.keys(family.series)) as CounterName[];
    const board = new MeterBoard();
    const meter = new Meter(board.shared, 0, 'control');
    names.forEach((name, index) => meter.count(name, index + 1));
    names.forEach((name, index) => assert.equal(board.counter(name), index + 1, name));
  });

  it("counts a value on a bucket's bound in that bucket, and one past the last as overflow", () => {
    const board = new MeterBoard();
    const meter = new Meter(board.shared, 0, 'control');
    for (const hops of [1, 2, 2, 33]) meter.observe('treeDepth', hops);
    const { buckets, sum } = board.histogram('treeDepth');
    assert.equal(buckets[0], 1);
    assert.equal(buckets[1], 2);
    assert.equal(buckets.at(-1), 1);
    assert.equal(sum, 38);
  });

  it('counts any sequence of observations in full', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e9, noNaN: true })), (values) => {
        const board = new MeterBoard(createMeterWords(1));
        const meter = new Meter(board.shared, 0, 'control');
        for (const value of values) meter.observe('fileread', value);
        assert.equal(
          board.histogram('fileread').buckets.reduce((a, b) => a + b, 0),
          values.length,
        );
      }),
    );
  });

  it('lays rows on cache lines of their own', () => {
    assert.equal((ROW_WORDS * 8) % 128, 0);
    assert.equal((rowStart(1) * 8) % 128, 0);
  });

  it('gives each pool thread a row of its own, and says when there is none left', () => {
    const board = new MeterBoard();
    const control = new Meter(board.shared, 0, 'control');
    const rows = Array.from({ length: METER_ROWS_MAX - 1 }, () =>
      Meter.claim(board.shared, 'transfer'),
    );
    assert.equal(new Set([control, ...rows].map((meter) => meter.row)).size, METER_ROWS_MAX);
    assert.equal(rows[0]!.row, METER_ROWS_MAX - 1);
    assert.equal(board.uncountedThreads(), 0);
    const extra = Meter.claim(board.shared, 'transfer');
    extra.record('disk', 5, 5);
    assert.equal(board.uncountedThreads(), 1);
    assert.equal(board.traffic('disk').bytes, 0);
    rows[4]!.record('disk', 9, 1);
    rows[4]!.release();
    const next = Meter.claim(board.shared, 'digest');
    next.record('disk', 1, 1);
    assert.equal(next.row, rows[4]!.row);
    assert.equal(board.traffic('disk').bytes, 10);
    assert.equal(
      board.threads().find((thread) => thread.kind === 'digest')?.thread,
      `digest-${next.row}`,
    );
  });

  it('loses nothing when threads count at the same time as control reads', async () => {
    const board = new MeterBoard();
    const each = 200_000;
    const source = `
      const { workerData } = require('node:worker_threads');
      import(workerData.module).then(({ Meter }) => {
        const meter = new Meter(workerData.shared, workerData.row, 'front');
        for (let i = 0; i < ${each}; i++) {
          meter.record('http', 3, i % 1000);
          meter.count('client.abort');
        }
      });`;
    const module = new URL('../../lib/telemetry/counters.ts', import.meta.url).href;
    const workers = [1, 2].map(
      (row) =>
        new Worker(source, { eval: true, workerData: { module, shared: board.shared, row } }),
    );
    let running = workers.length;
    let last = 0;
    let maximum = 0;
    const ended = Promise.all(
      workers.map(
        (worker) =>
          new Promise<void>((resolve, reject) => {
            worker.on('error', reject).on('exit', () => {
              running -= 1;
              resolve();
            });
          }),
      ),
    );
    while (running > 0) {
      const { bytes } = board.traffic('http');
      assert.ok(bytes >= last && bytes % 3 === 0);
      last = bytes;
      maximum = Math.max(maximum, board.takeLatencyMaxUs().http);
      await new Promise(setImmediate);
    }
    await ended;
    assert.deepEqual(board.traffic('http'), { operations: 2 * each, failures: 0, bytes: 6 * each });
    assert.equal(board.counter('client.abort'), 2 * each);
    assert.equal(Math.max(maximum, board.takeLatencyMaxUs().http), 999);
  });
});
