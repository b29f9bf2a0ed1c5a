import assert from 'node:assert/strict';
import { LINE_TEST_BYTES, SHARD_BYTES } from '../../lib/limits.ts';
import { LineMeter, rateOf } from '../../lib/swarm/line-meter.ts';

/** Lets a line of `bytesPerMs` bring pieces of `bytes` until the test is over. */
function bring(bytesPerMs: number, bytes = 16 * 1024): { rate: number | null; tookMs: number } {
  const meter = new LineMeter(0);
  let nowMs = 0;
  let nextMs = bytes / bytesPerMs;
  for (let leftMs = meter.leftMs(0); leftMs > 0; leftMs = meter.leftMs(nowMs)) {
    if (nextMs <= nowMs + leftMs) {
      meter.came(bytes, (nowMs = nextMs));
      nextMs += bytes / bytesPerMs;
    } else nowMs += leftMs;
  }
  return { rate: rateOf(meter.result), tookMs: nowMs };
}

describe('swarm/line-meter', () => {
  it('measures a line of 1 to 1,000 Mbit/s within 250 ms after the first bytes', () => {
    for (const mbit of [1, 10, 25, 100, 1_000]) {
      const bytesPerMs = mbit * 125;
      const { rate, tookMs } = bring(bytesPerMs);
      assert.ok(rate !== null && Math.abs(rate / bytesPerMs - 1) < 0.1, `${mbit}: ${rate}`);
      assert.ok(tookMs <= 250 + (80 * 1024) / bytesPerMs, `${mbit}: ${tookMs} ms`);
    }
  });

  it('gives a line two seconds that has brought hardly anything', () => {
    const { rate, tookMs } = bring(31, 4 * 1024);
    assert.ok(rate !== null && Math.abs(rate / 31 - 1) < 0.1, `${rate}`);
    assert.equal(tookMs, 2_000);
  });

  it('tells no more of a fast line than that it is fast, so that all of them look alike', () => {
    const rates = [3e5, 1e6, 3e6].map((bytesPerMs) => bring(bytesPerMs, 64 * 1024).rate!);
    for (const rate of rates) assert.ok(SHARD_BYTES / rate < 13, `${rate}`);
    assert.ok(Math.max(...rates) / Math.min(...rates) < 1.1);
  });

  it('says nothing when nothing came, or when the senders left early', () => {
    assert.equal(rateOf({ receivedBytes: 0, tookMs: 0 }), null);
    assert.equal(rateOf({ receivedBytes: LINE_TEST_BYTES / 4, tookMs: 5 }), null);
  });
});
