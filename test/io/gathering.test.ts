import assert from 'node:assert/strict';
import { Gathering } from '../../lib/io/gathering.ts';
import { GATHER_BYTES_MAX, GATHER_BYTES_MIN, GATHER_RATE_WINDOW_MS } from '../../lib/io/limits.ts';
import { GATHER_MS } from '../../lib/limits.ts';

const BODY_BYTES = 1e9;

/** The choice after a second of a flow that brings `bytesPerMs` in reads of 5 ms. */
function choice(gathering: Gathering, bytesPerMs: number, leftBytes = BODY_BYTES): number {
  gathering.begin(0);
  let bytes = 0;
  for (let nowMs = 5; nowMs <= 1_000; nowMs += 5)
    bytes = gathering.next(bytesPerMs * 5, leftBytes, nowMs);
  return bytes;
}

describe('io/gathering', () => {
  it('gathers what the flow brings in GATHER_MS, within its bounds', () => {
    assert.equal(choice(new Gathering(), 1_000), 1_000 * GATHER_MS);
    assert.equal(choice(new Gathering(), 1e6), GATHER_BYTES_MAX);
    assert.equal(choice(new Gathering(), GATHER_BYTES_MIN / GATHER_MS / 2), 1);
  });

  it('gathers for as long as it is told with a body, and for the usual time with the next', () => {
    const gathering = new Gathering();
    gathering.begin(0, 5);
    for (let nowMs = 5; nowMs <= 100; nowMs += 5) gathering.next(5_000, BODY_BYTES, nowMs);
    assert.equal(gathering.next(5_000, BODY_BYTES, 105), 1_000 * 5);
    assert.equal(choice(gathering, 1_000), 1_000 * GATHER_MS);
  });

  it('never waits for more than is still to come', () => {
    const gathering = new Gathering();
    assert.equal(choice(gathering, 1e6, 100), 100);
    assert.equal(gathering.next(100, 0, 1_001), 1, 'the next response starts with its first byte');
    assert.equal(choice(gathering, 1e6, -5), 1);
  });

  it('follows a rate that changes, and keeps a choice within a factor of two', () => {
    const gathering = new Gathering();
    const first = choice(gathering, 1_000);
    assert.equal(choice(gathering, 1_500), first);
    assert.equal(choice(gathering, 5_000), 5_000 * GATHER_MS);
    assert.equal(choice(gathering, 10), 1);
  });

  it('starts the next body with the rate of the one before', () => {
    const gathering = new Gathering();
    const bytes = choice(gathering, 2_000);
    gathering.begin(5_000);
    assert.equal(gathering.next(100, BODY_BYTES, 5_000 + GATHER_RATE_WINDOW_MS / 2), bytes);
  });

  it('grows with each read of a body until its rate is known, while the reads are quick', () => {
    const gathering = new Gathering();
    gathering.begin(0);
    const wanted: number[] = [];
    let nowMs = 0;
    // A flow of 12 KB/ms; each read brings what was gathered, at least one packet.
    for (let reads = 0; nowMs < GATHER_RATE_WINDOW_MS; reads++) {
      const bytes = Math.max(6_000, wanted.at(-1) ?? 0);
      nowMs += bytes / 12_000;
      wanted.push(gathering.next(bytes, BODY_BYTES, nowMs));
      assert.ok(reads < 10, 'a read for each packet');
    }
    assert.deepEqual(wanted.slice(0, 5), [12_000, 24_000, 48_000, 96_000, 192_000]);
    assert.equal(wanted.at(-1), GATHER_BYTES_MAX);
    const slow = new Gathering();
    slow.begin(0);
    assert.equal(slow.next(6_000, BODY_BYTES, GATHER_MS - 1), 1);
    assert.equal(slow.next(100, BODY_BYTES, GATHER_MS), 1);
  });
});
