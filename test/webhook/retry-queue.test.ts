import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { RetryQueue } from '../../lib/webhook/retry-queue.ts';
import { turns } from '../kube/turns.ts';

describe('the retry queue', () => {
  const clock = new ManualClock();
  let started: string[];
  let finish: Map<string, { resolve: () => void; reject: (error: Error) => void }>;
  let errors: string[];
  let queue: RetryQueue;

  beforeEach(() => {
    [started, finish, errors] = [[], new Map(), []];
    queue = new RetryQueue({
      work: (key) => {
        started.push(key);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        finish.set(key, { resolve, reject });
        return promise;
      },
      onError: (key) => errors.push(key),
      clock,
      random: () => 1,
      atOnce: 2,
      retryMsMin: 100,
      retryMsMax: 300,
    });
  });
  const end = async (key: string, error?: Error): Promise<void> => {
    if (error === undefined) finish.get(key)!.resolve();
    else finish.get(key)!.reject(error);
    await turns(3);
  };

  it('bounds concurrency and keeps the order', async () => {
    for (const key of ['a', 'b', 'c', 'c', 'd']) queue.add(key);
    assert.deepEqual(started, ['a', 'b']);
    await end('a');
    assert.deepEqual(started, ['a', 'b', 'c']);
    await end('b');
    await end('c');
    await end('d');
    assert.deepEqual(started, ['a', 'b', 'c', 'd']);
    assert.equal(queue.size, 0);
  });

  it('processes a key again if it was added meanwhile, never twice at once', async () => {
    queue.add('a');
    queue.add('a');
    queue.add('a');
    assert.deepEqual(started, ['a']);
    await end('a');
    assert.deepEqual(started, ['a', 'a']);
    await end('a');
    assert.equal(queue.size, 0);
  });

  it('backs off after failures up to the limit, and resets after a success', async () => {
    queue.add('a');
    for (const pauseMs of [100, 200, 300, 300]) {
      await end('a', new Error('no'));
      const before = started.length;
      clock.advance(pauseMs - 1);
      assert.equal(started.length, before);
      clock.advance(1);
      assert.equal(started.length, before + 1, `after ${pauseMs} ms`);
    }
    await end('a');
    queue.add('a');
    await end('a', new Error('no'));
    clock.advance(100);
    assert.deepEqual([started.length, errors.length], [7, 5]);
    await end('a');
  });

  it('processes a paused key at once when it is added again', async () => {
    queue.add('a');
    await end('a', new Error('no'));
    queue.add('a');
    assert.deepEqual(started, ['a', 'a']);
    await end('a');
    clock.advance(1_000);
    assert.equal(started.length, 2);
  });

  it('starts nothing after close', async () => {
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.close();
    await end('a', new Error('no'));
    queue.add('d');
    clock.advance(10_000);
    assert.deepEqual(started, ['a', 'b']);
  });
});
