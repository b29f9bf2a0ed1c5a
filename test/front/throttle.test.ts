import assert from 'node:assert/strict';
import { Throttle, type Throttled } from '../../lib/front/throttle.ts';
import { THROTTLE_BURST_MS, WRITE_STEP_BYTES } from '../../lib/front/limits.ts';
import { until } from '../telemetry/until.ts';

const NS_PER_MS = 1_000_000n;

describe('front/throttle', () => {
  let nowNs: bigint;
  beforeEach(() => (nowNs = 1_000_000_000n));

  const throttle = (
    limitMBps: number,
    shared = Throttle.createShared(),
    onWaited?: (us: number) => void,
  ): Throttle => new Throttle(shared, limitMBps, () => nowNs, onWaited);

  /** Bytes several buckets give over `ms`, asked every `stepNs`. */
  function taken(buckets: Throttle[], ms: number, stepNs: bigint): number {
    let bytes = 0;
    for (const endNs = nowNs + BigInt(ms) * NS_PER_MS; nowNs < endNs; nowNs += stepNs) {
      for (const bucket of buckets)
        for (let got = bucket.take(1 << 20); got > 0; got = bucket.take(1 << 20)) bytes += got;
    }
    return bytes;
  }

  it('gives everything and keeps nothing when there is no limit', () => {
    const free = throttle(0);
    assert.equal(free.enabled, false);
    assert.equal(free.take(5_000_000), 5_000_000);
    free.giveBack(1_000);
    assert.equal(new BigInt64Array(free.shared)[0], 0n);
  });

  it('keeps its rate within 5 %, however often it is asked', () => {
    for (const limit of [1, 100, 512, 5_000]) {
      for (const stepNs of [10_000n, NS_PER_MS, 7n * NS_PER_MS]) {
        const bucket = throttle(limit);
        taken([bucket], 100, stepNs);
        const bytes = taken([bucket], 5_000, stepNs);
        const due = limit * 5_000_000;
        assert.ok(
          Math.abs(bytes - due) <= Math.max(due * 0.05, WRITE_STEP_BYTES),
          `${limit} MB/s asked every ${stepNs} ns: ${bytes} instead of ${due}`,
        );
      }
    }
  });

  it('is one bucket for all threads', () => {
    const shared = Throttle.createShared();
    const threads = [throttle(100, shared), throttle(100, shared), throttle(100, shared)];
    taken(threads, 100, 100_000n);
    const bytes = taken(threads, 1_000, 100_000n);
    assert.ok(Math.abs(bytes - 1e8) <= 5e6, String(bytes));
  });

  it('saves up no more than its burst while idle', () => {
    const bucket = throttle(100);
    taken([bucket], 10, 100_000n);
    nowNs += 60_000n * NS_PER_MS;
    let bytes = 0;
    for (let got = bucket.take(1 << 20); got > 0; got = bucket.take(1 << 20)) bytes += got;
    const burst = 100_000 * THROTTLE_BURST_MS;
    assert.ok(bytes >= burst && bytes <= burst + WRITE_STEP_BYTES, String(bytes));
  });

  it('gives at most one step at a time, and back what was not sent', () => {
    const bucket = throttle(1);
    taken([bucket], 100, NS_PER_MS);
    nowNs += 500n * NS_PER_MS;
    assert.equal(bucket.take(1 << 20), WRITE_STEP_BYTES);
    const clock = new BigInt64Array(bucket.shared);
    const before = clock[0]!;
    nowNs = before + 1n;
    bucket.take(50_000);
    bucket.giveBack(50_000);
    assert.equal(clock[0], before);
  });

  /** A sender that always wants more, until it has sent `untilBytes`. */
  class Sender implements Throttled {
    sentBytes = 0;
    readonly order: string[];
    readonly #name: string;
    readonly #bucket: Throttle;
    readonly #untilBytes: number;
    constructor(name: string, bucket: Throttle, order: string[], untilBytes: number) {
      [this.#name, this.#bucket, this.order, this.#untilBytes] = [name, bucket, order, untilBytes];
    }

    resume(): void {
      while (this.sentBytes < this.#untilBytes) {
        const bytes = this.#bucket.take(1 << 20);
        if (bytes === 0) {
          this.#bucket.wait(this);
          return;
        }
        this.sentBytes += bytes;
        this.order.push(this.#name);
      }
    }
  }

  it('serves who waits in turn, one step each, so that nobody gets more', async () => {
    const bucket = throttle(100);
    const order: string[] = [];
    const senders = ['a', 'b', 'c'].map(
      (name) => new Sender(name, bucket, order, 30 * WRITE_STEP_BYTES),
    );
    taken([bucket], 50, 100_000n);
    for (const sender of senders) sender.resume();
    await until(
      () => {
        nowNs += NS_PER_MS;
        return senders.every((sender) => sender.sentBytes >= 30 * WRITE_STEP_BYTES);
      },
      'all to be sent',
      5_000,
    );
    const waited = order.slice(order.indexOf('b'));
    for (let at = 0; at + 3 <= waited.length; at += 3)
      assert.deepEqual(
        waited.slice(at, at + 3).sort(),
        ['a', 'b', 'c'],
        `steps ${at}..: ${waited.join('')}`,
      );
  });

  it('lets nobody who comes new slip by those who wait', async () => {
    const bucket = throttle(1);
    taken([bucket], 50, NS_PER_MS);
    const sender = new Sender('a', bucket, [], WRITE_STEP_BYTES);
    sender.resume();
    nowNs += 1_000n * NS_PER_MS;
    assert.equal(bucket.take(1_000), 0);
    await until(() => sender.sentBytes > 0, 'the one who waited');
    nowNs += 100n * NS_PER_MS;
    assert.ok(bucket.take(1_000) > 0);
  });

  it('tells how long each had to wait', async () => {
    const waits: number[] = [];
    const bucket = throttle(1, undefined, (us) => waits.push(us));
    taken([bucket], 50, NS_PER_MS);
    const sender = new Sender('a', bucket, [], WRITE_STEP_BYTES);
    sender.resume();
    nowNs += 70n * NS_PER_MS;
    await until(() => waits.length === 1, 'the wait to be over');
    assert.deepEqual(waits, [70_000]);
  });
});
