import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { SCRUB_ROUND_MS } from '../../../lib/control/limits.ts';
import { Residency } from '../../../lib/control/shards/residency.ts';
import { Scrubber } from '../../../lib/control/shards/scrubber.ts';
import { Arena } from '../../../lib/io/arena.ts';
import { Doorbells } from '../../../lib/io/doorbell.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { settled } from '../fixture.ts';

describe('control/scrubber', () => {
  let clock: ManualClock;
  let arena: Arena;
  let residency: Residency;
  let entries: number;
  let reads: number;
  let outcome: 'ok' | 'miss' | 'idle';
  let told: string[];
  let scrubber: Scrubber;

  beforeEach(() => {
    clock = new ManualClock();
    arena = Arena.create(2 * SHARD_BYTES);
    residency = new Residency(arena, Doorbells.create(1), clock);
    [entries, reads, outcome, told] = [999, 0, 'ok', []];
    scrubber = new Scrubber({
      clock,
      arena,
      residency,
      store: {
        scrub: async () => {
          reads++;
          return outcome;
        },
        stats: () => ({ entries }) as never,
      },
      scrubbed: (result) => told.push(result),
    });
  });
  afterEach(() => scrubber.close());

  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settled();
  };

  it('reads every shard about once a round, and holds no slot in between', async () => {
    for (let turn = 0; turn < 5; turn++) await pass(SCRUB_ROUND_MS / 1_000);
    assert.equal(reads, 5);
    outcome = 'miss';
    await pass(SCRUB_ROUND_MS / 1_000);
    outcome = 'idle';
    await pass(SCRUB_ROUND_MS / 1_000);
    assert.deepEqual(told, ['ok', 'ok', 'ok', 'ok', 'ok', 'miss']);
    assert.equal(residency.usedSlots, 0);
  });

  it('reads nothing while reads wait for memory, nothing is stored, or it is closed', async () => {
    const slots = [await residency.acquire(), await residency.acquire()];
    await pass(SCRUB_ROUND_MS / 1_000 - 1_000);
    const waiting = residency.acquire();
    await pass(1_000);
    assert.equal(reads, 0);
    for (const slot of slots) {
      arena.begin(slot);
      residency.discard(slot);
    }
    arena.begin(await waiting);
    entries = 0;
    await pass(SCRUB_ROUND_MS / 1_000);
    assert.equal(reads, 0);
    entries = 5;
    scrubber.close();
    await pass(SCRUB_ROUND_MS);
    assert.equal(reads, 0);
  });
});
