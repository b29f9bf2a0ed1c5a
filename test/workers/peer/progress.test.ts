import assert from 'node:assert/strict';
import { LOOK_MS, PEER_SILENCE_MS } from '../../../lib/limits.ts';
import { UPLOAD_ALIVE_BYTES } from '../../../lib/front/limits.ts';
import { BUSY_PACE_MS, PEER_PROGRESS_BYTES } from '../../../lib/workers/limits.ts';
import { paced } from '../../../lib/workers/peer/exchange.ts';
import { Progress } from '../../../lib/workers/peer/progress.ts';

describe('workers/peer-exchange', () => {
  it('spaces requests to a node that is busy at once, not to one that held the request', () => {
    const busy = { kind: 'busy', retryMs: 1 };
    assert.equal(paced(busy, 1_000, 1_000).retryMs, BUSY_PACE_MS);
    assert.equal(paced(busy, 1_000, 1_000 + BUSY_PACE_MS + 1).retryMs, 1);
    assert.equal(paced({ ...busy, retryMs: 900 }, 1_000, 1_000).retryMs, 900);
    assert.deepEqual(paced({ kind: 'miss' }, 0, 0), { kind: 'miss' });
  });
});

describe('workers/peer-progress', () => {
  let nowMs = 0;

  /** Looks every `everyMs`; the time until it is too long, up to a minute. */
  function untilTooLong(progress: Progress, everyMs: number): number {
    const startMs = nowMs;
    while (nowMs - startMs < 60_000) {
      nowMs += everyMs;
      if (progress.hasStalled) break;
    }
    return nowMs - startMs;
  }

  it('stalls after PEER_SILENCE_MS without progress', () => {
    const progress = new Progress(() => nowMs);
    for (let looks = 0; looks < 500; looks++) {
      nowMs += LOOK_MS;
      assert.equal(progress.hasStalled, false);
      progress.came(PEER_PROGRESS_BYTES);
    }
    const tookMs = untilTooLong(progress, LOOK_MS);
    assert.ok(tookMs > PEER_SILENCE_MS && tookMs <= PEER_SILENCE_MS + 2 * LOOK_MS, `${tookMs} ms`);
  });

  it('does not count a drip of bytes as progress', () => {
    const progress = new Progress(() => nowMs);
    const startMs = nowMs;
    progress.head();
    while (!progress.hasStalled && nowMs - startMs < 60_000) {
      nowMs += LOOK_MS;
      progress.came(67);
    }
    assert.ok(nowMs - startMs <= 2 * PEER_SILENCE_MS, `${nowMs - startMs} ms`);
    assert.equal(progress.isDrip, true);
  });

  it('tells a drip from a sender that has no more bytes, and from one that sends slowly', () => {
    const silent = new Progress(() => nowMs);
    silent.head();
    silent.came(1_000);
    untilTooLong(silent, LOOK_MS);
    assert.equal(silent.isDrip, false);
    const slow = new Progress(() => nowMs);
    slow.head();
    for (let seconds = 0; seconds < 30; seconds++) {
      for (let looks = 0; looks < 1_000 / LOOK_MS; looks++) {
        nowMs += LOOK_MS;
        assert.equal(slow.hasStalled, false);
      }
      slow.came(UPLOAD_ALIVE_BYTES);
    }
  });

  it('does not count time in which this thread did not run', () => {
    const progress = new Progress(() => nowMs);
    nowMs += 10 * PEER_SILENCE_MS;
    assert.equal(progress.hasStalled, false, 'what came meanwhile has not been read yet');
    assert.ok(
      untilTooLong(progress, 500) >= 10_000 - 500,
      'a thread that is away most of the time hears of little',
    );
  });
});
