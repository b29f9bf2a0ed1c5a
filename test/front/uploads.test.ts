import assert from 'node:assert/strict';
import { systemClock } from '../../lib/clock.ts';
import { setImmediate as immediate } from 'node:timers/promises';
import {
  UPLINK_WINDOW_MS,
  UPLOAD_ALIVE_BYTES,
  UPLOAD_ALIVE_MS,
  UPLOAD_STUCK_MS,
} from '../../lib/front/limits.ts';
import { Turn } from '../../lib/front/turn.ts';
import { type Upload, Uploads } from '../../lib/front/uploads.ts';
import { PEER_SILENCE_MS } from '../../lib/limits.ts';
import { PEER_PROGRESS_BYTES } from '../../lib/workers/limits.ts';

describe('front/uploads', () => {
  let nowMs: number;
  let uploads: Uploads;
  let turned: string[];
  beforeEach(() => {
    nowMs = 1000;
    turned = [];
    uploads = new Uploads(new Turn(), { nowMs: () => nowMs, after: systemClock.after });
  });

  const waits = (upload: Upload, name: string): void => {
    assert.equal(upload.take(10), 0, `${name} has to wait`);
    upload.wait({ turned: () => void turned.push(name) });
  };

  it('starts with the most needed shard; the next follows when it is over or empty', async () => {
    const [first, second, third] = [uploads.begin(1, 1), uploads.begin(2, 1), uploads.begin(3, 1)];
    assert.equal(first.take(10), 10);
    waits(third, 'third');
    waits(second, 'second');
    first.rest();
    await immediate();
    assert.equal(turned[0], 'second');
    assert.equal(second.take(10), 10);
    assert.equal(third.take(10), 0);
    first.end();
    second.end();
    third.end();
  });

  it('lets several share the line where it is fast', () => {
    const [first, second, fourth] = [uploads.begin(1, 3), uploads.begin(2, 3), uploads.begin(4, 3)];
    assert.equal(first.take(10), 10);
    assert.equal(second.take(10), 10);
    assert.equal(fourth.take(10), 0);
    for (const upload of [first, second, fourth]) upload.end();
  });

  it('is not held up by a receiver that takes nothing', () => {
    const [first, second] = [uploads.begin(1, 1), uploads.begin(2, 1)];
    assert.equal(first.take(10), 10);
    assert.equal(second.take(10), 0);
    nowMs += UPLOAD_STUCK_MS;
    assert.equal(second.take(10), 10);
    for (const upload of [first, second]) upload.end();
  });

  it('lets one more go where receivers take half of what the line brings', () => {
    const [first, second, third] = [uploads.begin(1, 1), uploads.begin(2, 1), uploads.begin(3, 1)];
    assert.equal(first.take(2), 2);
    first.giveBack(1); // the socket is full
    /** The first takes so much for a window; then whether the others may go. */
    const next = (bytesPerMs: number): number[] => {
      for (let ms = 0; ms < UPLINK_WINDOW_MS; ms += 10) {
        assert.equal(first.take(bytesPerMs * 10), bytesPerMs * 10);
        nowMs += 10;
      }
      return [second.take(1), third.take(1)];
    };
    assert.deepEqual(next(3000), [0, 0]);
    assert.deepEqual(next(3000), [0, 0]);
    assert.deepEqual(next(1500), [1, 0], 'the line has room for one');
    assert.deepEqual(next(2500), [1, 0], 'which stays beside the first');
    for (const upload of [first, second, third]) upload.end();
  });

  it('lets what has begun and waits send a sign of life now and then', () => {
    const [needed, begun] = [uploads.begin(1, 1), uploads.begin(2, 1)];
    assert.equal(begun.take(100_000), 100_000);
    assert.equal(needed.take(10), 10);
    for (let second = 0; second < 3; second++) {
      assert.equal(begun.take(100_000), 0);
      nowMs += UPLOAD_ALIVE_MS / 2;
      assert.equal(needed.take(10), 10);
      nowMs += UPLOAD_ALIVE_MS / 2;
      assert.equal(needed.take(10), 10);
      assert.equal(begun.take(100_000), UPLOAD_ALIVE_BYTES);
    }
    assert.ok(UPLOAD_ALIVE_BYTES >= PEER_PROGRESS_BYTES && UPLOAD_ALIVE_MS < PEER_SILENCE_MS);
    for (const upload of [needed, begun]) upload.end();
  });

  it('tells who may not begin when to ask again', async () => {
    const [needed, other] = [uploads.begin(1, 1), uploads.begin(2, 1)];
    assert.equal(needed.take(10), 10);
    assert.equal(other.mayBegin({ turned: () => void turned.push('other') }), false);
    nowMs += UPLOAD_ALIVE_MS;
    assert.equal(needed.take(10), 10);
    assert.equal(other.take(10), 0, 'what has not begun gives no sign of life');
    needed.end();
    await immediate();
    assert.deepEqual(turned, ['other']);
    assert.equal(other.mayBegin({ turned: () => undefined }), true);
    other.end();
  });
});
