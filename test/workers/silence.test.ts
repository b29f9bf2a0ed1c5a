import assert from 'node:assert/strict';
import { LOOK_MS, PEER_SILENCE_MS } from '../../lib/limits.ts';
import { Silence } from '../../lib/workers/silence.ts';

describe('workers/silence', () => {
  let nowMs = 0;

  /** Looks every `everyMs`; the time until it is too long, up to a minute. */
  function untilTooLong(silence: Silence, everyMs: number): number {
    const startMs = nowMs;
    while (nowMs - startMs < 60_000) {
      nowMs += everyMs;
      if (silence.isTooLong) break;
    }
    return nowMs - startMs;
  }

  it('is too long after PEER_SILENCE_MS, counted from the last that was heard', () => {
    const silence = new Silence(() => nowMs);
    for (let looks = 0; looks < 500; looks++) {
      nowMs += LOOK_MS;
      assert.equal(silence.isTooLong, false);
      silence.heard();
    }
    const tookMs = untilTooLong(silence, LOOK_MS);
    assert.ok(tookMs > PEER_SILENCE_MS && tookMs <= PEER_SILENCE_MS + 2 * LOOK_MS, `${tookMs} ms`);
  });

  it("does not take this thread's own absence for it", () => {
    const silence = new Silence(() => nowMs);
    nowMs += 10 * PEER_SILENCE_MS;
    assert.equal(silence.isTooLong, false, 'what came meanwhile has not been read yet');
    assert.ok(
      untilTooLong(silence, 500) >= 10_000 - 500,
      'a thread that is away most of the time hears of little',
    );
  });
});
