import assert from 'node:assert/strict';
import {
  COOL_DOWN_MS,
  COOL_DOWN_MS_MAX,
  QUARANTINE_MS,
  SLOW_MS,
  SLOW_STRIKES,
  TROUBLED_NODES_MAX,
} from '../../lib/swarm/limits.ts';
import { PeerHealth } from '../../lib/swarm/health.ts';

const health = (): PeerHealth => new PeerHealth(() => 0.5);

describe('swarm/health', () => {
  it('cools a failing node down, twice as long each time, within bounds', () => {
    const peers = health();
    let nowMs = 0;
    let expectedMs = COOL_DOWN_MS;
    for (let failure = 0; failure < 12; failure++) {
      assert.equal(peers.failed('a', nowMs), expectedMs);
      assert.equal(peers.usable('a', nowMs + expectedMs - 1), false);
      nowMs += expectedMs;
      assert.equal(peers.usable('a', nowMs), true);
      expectedMs = Math.min(COOL_DOWN_MS_MAX, expectedMs * 2);
    }
  });

  it('counts what fails together as one failure, and forgives after a success', () => {
    const peers = health();
    peers.failed('a', 0);
    peers.failed('a', 1);
    peers.failed('a', 2);
    assert.equal(peers.detail('a', 3).failures, 1);
    peers.succeeded('a');
    assert.deepEqual(peers.detail('a', 3), { condition: 'good', failures: 0, forMs: 0 });
  });

  it('calls a node slow only after several strikes in a row; it may still be used', () => {
    const peers = health();
    for (let strike = 1; strike < SLOW_STRIKES; strike++) peers.slow('a', 0);
    assert.equal(peers.good('a', 0), true);
    peers.succeeded('a');
    for (let strike = 0; strike < SLOW_STRIKES; strike++) peers.slow('a', 0);
    assert.deepEqual(
      [peers.good('a', 1), peers.usable('a', 1), peers.good('a', SLOW_MS)],
      [false, true, true],
    );
  });

  it('quarantines at the second lie, not at the first, and successes do not lift it', () => {
    const peers = health();
    assert.equal(peers.lied('a', 0), false);
    assert.equal(peers.condition('a', 1), 'cooling');
    assert.equal(peers.lied('a', 5000), true);
    peers.succeeded('a');
    peers.failed('a', 6000);
    assert.equal(peers.condition('a', 5000 + QUARANTINE_MS - 1), 'quarantined');
    assert.equal(peers.condition('a', 5000 + QUARANTINE_MS), 'good');
    assert.equal(peers.quarantines, 1);
  });

  it('releases a node once when its quarantine ends; good shards then count again', () => {
    const peers = health();
    for (let lie = 0; lie < 2; lie++) peers.lied('a', 0);
    assert.deepEqual(peers.release(QUARANTINE_MS - 1), []);
    assert.deepEqual(peers.release(QUARANTINE_MS), ['a']);
    assert.deepEqual(peers.release(QUARANTINE_MS + 1), []);
    for (let good = 0; good < 8; good++) peers.succeeded('a');
    assert.equal(peers.lied('a', QUARANTINE_MS + 2), false);
  });

  it('forgives one lie after several good shards', () => {
    const peers = health();
    peers.lied('a', 0);
    for (let good = 0; good < 4; good++) peers.succeeded('a');
    assert.equal(peers.lied('a', 60_000), false);
  });

  it('remembers no more nodes than its bound, and forgets who is gone', () => {
    const peers = health();
    for (let at = 0; at <= TROUBLED_NODES_MAX; at++) peers.failed(`n${at}`, 0);
    assert.equal(peers.usable('n0', 1), true);
    assert.equal(peers.usable(`n${TROUBLED_NODES_MAX}`, 1), false);
    peers.prune(() => false, 1);
    assert.equal(peers.usable(`n${TROUBLED_NODES_MAX}`, 1), true);
  });

  it('lets one try a node whose cool-down is over, and the others wait for how that ends', () => {
    const health = new PeerHealth(() => 0.5);
    const first = health.failed('a', 0);
    assert.equal(health.usable('a', first + 1), true);
    health.asked('a', first + 1);
    assert.equal(health.usable('a', first + 2), false, 'somebody is at it');
    assert.ok(health.failed('a', first + 2_000) > first, 'the trial failed: twice the cool-down');
    const later = first + 60_000;
    assert.equal(health.usable('a', later), true);
    health.asked('a', later);
    health.answered('a');
    assert.equal(health.usable('a', later + 1), true);
    assert.equal(health.hasFailed('a'), false);
    health.asked('a', later + 2);
    assert.equal(health.usable('a', later + 3), true, 'who has not failed is not on trial');
  });

  it('an answer does not free a liar', () => {
    const health = new PeerHealth(() => 0.5);
    health.lied('a', 0);
    health.answered('a');
    assert.equal(health.usable('a', 1), false);
  });
});
