import assert from 'node:assert/strict';
import { parseByteSize } from '../../lib/config/byte-size.ts';
import type { ShoalError } from '../../lib/errors.ts';
import { Latencies } from '../../native-bench/pread/latency.ts';
import { offsetsOf } from '../../native-bench/pread/offsets.ts';
import { parseTarget, shownUrl } from '../../native-bench/pread/target.ts';
import { processSeconds, threadSeconds } from '../../native-bench/processor-time.ts';
import { Random } from '../../native-bench/sim/random.ts';
import { compare, median } from '../../native-bench/vs/comparison.ts';
import type { PreadReport } from '../../native-bench/pread/report.ts';

describe('bench: latencies', () => {
  it('are precise to a thirtieth over their whole range, and add up', () => {
    const [one, other] = [new Latencies(), new Latencies()];
    for (let us = 1; us <= 100_000; us++) (us % 2 === 0 ? one : other).add(us);
    one.merge(other);
    assert.equal(one.total, 100_000);
    for (const share of [0.001, 0.5, 0.9, 0.99, 0.999]) {
      const due = share * 100_000;
      assert.ok(
        Math.abs(one.percentile(share) - due) <= due / 30,
        `${share}: ${one.percentile(share)}`,
      );
    }
  });

  it('are 0 without samples, and a single one is its own P99.9', () => {
    const few = new Latencies();
    assert.equal(few.percentile(0.99), 0);
    few.add(3);
    few.add(5_000_000);
    assert.equal(few.percentile(0.5), 3);
    assert.ok(Math.abs(few.percentile(0.999) - 5_000_000) < 170_000);
  });
});

describe('bench: offsets', () => {
  const SIZE = 65_536;
  const BLOCKS = 100;
  const draw = (pattern: 'random' | 'sequential' | 'zipf', count: number, index = 0): number[] => {
    const next = offsetsOf(pattern, SIZE, BLOCKS * SIZE + 17, new Random(9), { index, count: 4 });
    return Array.from({ length: count }, next);
  };

  it('are whole blocks inside the object', () => {
    for (const pattern of ['random', 'sequential', 'zipf'] as const) {
      for (const offset of draw(pattern, 1_000))
        assert.ok(
          offset % SIZE === 0 && offset >= 0 && offset + SIZE <= BLOCKS * SIZE,
          `${pattern} ${offset}`,
        );
    }
  });

  it('sequential: each connection starts at its own offset and wraps around', () => {
    assert.deepEqual(draw('sequential', 3, 1), [25 * SIZE, 26 * SIZE, 27 * SIZE]);
    assert.equal(new Set(draw('sequential', BLOCKS, 3)).size, BLOCKS);
    assert.equal(draw('sequential', 26, 3)[25], 0);
  });

  it('random: uniform; zipf: the frequency of rank r is proportional to 1/r', () => {
    const hits = (offsets: number[]): number[] =>
      [...Map.groupBy(offsets, (offset) => offset).values()]
        .map((same) => same.length)
        .sort((a, b) => b - a);
    const random = hits(draw('random', 20_000));
    assert.ok(random.length === BLOCKS && random[0]! < 300 && random.at(-1)! > 120, String(random));
    const zipf = hits(draw('zipf', 20_000));
    assert.ok(zipf.length === BLOCKS, String(zipf.length));
    // ln 2 / ln 101 of all reads go to the first rank, ln 1.5 / ln 101 to the second.
    assert.ok(
      Math.abs(zipf[0]! / 20_000 - 0.15) < 0.02 && Math.abs(zipf[1]! / 20_000 - 0.088) < 0.02,
      String(zipf.slice(0, 3)),
    );
  });

  it('of an object smaller than a read are its start', () => {
    assert.equal(offsetsOf('random', SIZE, 100, new Random(1), { index: 0, count: 1 })(), 0);
  });
});

describe('bench: what is given on the command line', () => {
  it('sizes', () => {
    for (const [text, bytes] of [
      ['65536', 65_536],
      ['64KiB', 65_536],
      ['2MiB', 2_097_152],
      ['1.5MB', 1_500_000],
      ['1 GiB', 2 ** 30],
      ['0', 0],
    ] as const)
      assert.equal(parseByteSize(text), bytes);
    for (const text of ['', 'lots', '-1', '1.5', '3 parsecs', '1e9'])
      assert.equal(parseByteSize(text), null, text);
  });

  it('keeps the path of a URL unchanged, and hides its query', () => {
    const target = parseTarget(
      'http://127.0.0.1:65001/accelerator/https://store.example:443//a/../b%2F?Signature=xyz',
      false,
    );
    assert.deepEqual(
      [target.host, target.port, target.rawPath],
      ['127.0.0.1', 65_001, '/accelerator/https://store.example:443//a/../b%2F?Signature=xyz'],
    );
    assert.equal(parseTarget('https://[::1]/x', true).host, '::1');
    assert.deepEqual(
      [
        parseTarget('https://node.example', true).port,
        parseTarget('https://node.example:80/', true).port,
        parseTarget('http://node.example', false).rawPath,
      ],
      [443, 80, '/'],
    );
    assert.equal(shownUrl('http://h/p?Signature=xyz'), 'http://h/p');
  });

  it('refuses an invalid URL without printing it', () => {
    for (const url of ['ftp://h/', 'nowhere', 'http://user:secret@h/', 'http://h/with space']) {
      assert.throws(
        () => parseTarget(url, false),
        (error: ShoalError) => error.code === 'USAGE' && !error.message.includes(url),
      );
    }
  });
});

describe('bench: processor time', () => {
  it('of this process is known and grows with work; of no process it is null', () => {
    const before = threadSeconds(process.pid).get('control') ?? 0;
    let sum = 0;
    for (const untilMs = performance.now() + 30; performance.now() < untilMs;)
      sum += Math.sqrt(sum);
    const after = threadSeconds(process.pid).get('control') ?? 0;
    assert.ok(after > before && Number.isFinite(sum), `${before} ${after}`);
    assert.ok(processSeconds(process.pid)! > 0);
    assert.equal(processSeconds(2 ** 30), null);
  });
});

describe('bench: comparison', () => {
  const report = (requestsPerSecond: number, cpuSecondsPerGB: number): PreadReport => ({
    url: 'http://h/',
    sizeBytes: 1,
    connections: 1,
    requestsPerSecond,
    gigabytesPerSecond: 1,
    cpuSecondsPerGB,
    latencyUs: { p50: 1, p99: 2, p999: 3 },
    errors: 0,
    mismatches: 0,
  });

  it('compares the runs of one turn with each other', () => {
    // The machine was twice as slow in the second turn: the ratio does not show it.
    const ours = [report(300, 0.2), report(150, 0.4), report(310, 0.2)];
    const theirs = [report(200, 0.3), report(100, 0.6), report(200, 0.3)];
    const [shoal, rival] = compare(
      new Map([
        ['Shoal', ours],
        ['other', theirs],
      ]),
      new Map(),
      false,
    );
    assert.deepEqual([shoal!.speedRatio, shoal!.cpuRatio], [1, 1]);
    assert.ok(
      Math.abs(rival!.speedRatio - 1.5) < 1e-9 && Math.abs(rival!.cpuRatio - 1.5) < 1e-9,
      JSON.stringify(rival),
    );
    assert.equal(shoal!.requestsPerSecond, 300);
  });

  it('median', () => {
    assert.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])], [2, 2.5, 7]);
  });
});
