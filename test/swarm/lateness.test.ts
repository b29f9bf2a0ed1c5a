import assert from 'node:assert/strict';
import type { FetchShared } from '../../lib/swarm/fetch-shared.ts';
import { Lateness } from '../../lib/swarm/lateness.ts';
import {
  ALIVE_BYTES_PER_MS,
  REST_LAST_FACTOR,
  TRICKLE_BYTES_PER_MS,
} from '../../lib/swarm/limits.ts';
import type { Progress } from '../../lib/swarm/progress.ts';
import type { Sources } from '../../lib/swarm/sources.ts';

const REST_MS = 1_000;

/** Whether a sender is left that has sent `bytesPerMs` for `sendingMs`. */
function isLeft(
  bytesPerMs: number,
  { sendingMs = REST_MS + 1, doOthersCome = false, isLast = false } = {},
): boolean {
  const shared = {
    nowMs: () => 0,
    random: () => 0,
    pace: {
      flowedSince: () => doOthersCome,
      restMs: REST_MS,
    },
  };
  const sources = { mayLeave: () => !isLast };
  const progress = { sendingMs, sentBytes: bytesPerMs * sendingMs };
  const lateness = new Lateness(
    shared as unknown as FetchShared,
    sources as unknown as Sources,
    progress as unknown as Progress,
    { key: 'k', index: 0 },
  );
  return lateness.isTrickle('a', 'owner');
}

describe('swarm/lateness: senders that hardly send', () => {
  it('are left if only signs of life come, after the time of two windows', () => {
    assert.equal(isLeft(ALIVE_BYTES_PER_MS - 2), true);
    assert.equal(isLeft(ALIVE_BYTES_PER_MS - 2, { sendingMs: REST_MS }), false);
  });

  it('are waited for if all may wait for a slow origin, and left if others come', () => {
    assert.equal(isLeft(TRICKLE_BYTES_PER_MS / 2), false);
    assert.equal(isLeft(TRICKLE_BYTES_PER_MS / 2, { doOthersCome: true }), true);
    assert.equal(isLeft(TRICKLE_BYTES_PER_MS, { doOthersCome: true }), false);
  });

  it('are given longer where only the origin is behind them', () => {
    const lastMs = REST_LAST_FACTOR * REST_MS;
    assert.equal(isLeft(1, { isLast: true, sendingMs: lastMs }), false);
    assert.equal(isLeft(1, { isLast: true, sendingMs: lastMs + 1 }), true);
  });
});
