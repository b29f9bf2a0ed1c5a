import assert from 'node:assert/strict';
import { setImmediate as immediate } from 'node:timers/promises';
import { UPLOAD_STUCK_MS } from '../../lib/front/limits.ts';
import { Turn } from '../../lib/front/turn.ts';
import { type Upload, Uploads } from '../../lib/front/uploads.ts';

describe('front/uploads', () => {
  let nowMs: number;
  let uploads: Uploads;
  let turned: string[];
  beforeEach(() => {
    nowMs = 1000;
    turned = [];
    uploads = new Uploads(new Turn(), () => nowMs);
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
});
