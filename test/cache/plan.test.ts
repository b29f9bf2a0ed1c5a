import assert from 'node:assert/strict';
import fc from 'fast-check';
import { blobIdOf } from '../../lib/cache/key.ts';
import { CachePlan } from '../../lib/cache/plan.ts';
import type { Entry } from '../../lib/cache/plan.ts';
import { CACHE_CELL_BYTES_MIN, CACHE_VICTIMS_MAX } from '../../lib/cache/limits.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { CHECKSUM_BYTES } from '../../lib/shard.ts';

const CHECKSUM = new Uint8Array(CHECKSUM_BYTES);
const CELLS_PER_SLOT = SHARD_BYTES / CACHE_CELL_BYTES_MIN;

function store(plan: CachePlan, key: string, lengthBytes: number): Entry {
  const { entry } = plan.reserve(blobIdOf(key), 0, lengthBytes, lengthBytes);
  assert.ok(entry !== null);
  assert.equal(plan.commit(entry, CHECKSUM), true);
  return entry;
}

describe('cache/plan', () => {
  it('makes room for a shard by giving up one shared slot, not small blobs everywhere', () => {
    const plan = new CachePlan(4, 4096);
    // Four slots full of small blobs; those not used again, every fourth, lie all over them.
    for (let blob = 0; blob < 4 * CELLS_PER_SLOT; blob++) {
      const entry = store(plan, `small ${blob}`, 4096);
      if (blob % 4 === 0) continue;
      plan.touch(entry);
      plan.touch(entry);
    }
    const { entry, evicted } = plan.reserve(blobIdOf('large'), 0, SHARD_BYTES, SHARD_BYTES);
    assert.ok(entry !== null);
    assert.ok(evicted.length <= CACHE_VICTIMS_MAX + CELLS_PER_SLOT, `${evicted.length} evicted`);
    assert.equal(plan.used, 4 * CELLS_PER_SLOT - evicted.length);
  });

  it('leaves a shared slot alone while anything in it is read', () => {
    const plan = new CachePlan(1, 4096);
    const entries = Array.from({ length: 200 }, (_, blob) => store(plan, `small ${blob}`, 4096));
    plan.pin(entries[150]!);
    assert.equal(plan.reserve(blobIdOf('large'), 0, SHARD_BYTES, SHARD_BYTES).entry, null);
    assert.equal(plan.find(entries[150]!.id, 0), entries[150]);
    plan.unpin(entries[150]!);
    assert.ok(plan.reserve(blobIdOf('large'), 0, SHARD_BYTES, SHARD_BYTES).entry !== null);
  });

  it('evicts when the table is full though the slab is not', () => {
    const plan = new CachePlan(8, 10);
    for (let blob = 0; blob < 30; blob++) store(plan, `small ${blob}`, 100);
    assert.equal(plan.used, 10);
    assert.equal(plan.evictions, 20);
  });

  it('keeps entries, index and slab in step through any sequence of operations', () => {
    const operation = fc.record({
      what: fc.constantFrom(
        'reserve',
        'reserve',
        'reserve',
        'commit',
        'abandon',
        'pin',
        'unpin',
        'drop',
        'touch',
      ),
      blob: fc.nat(8),
      shard: fc.nat(2),
      pick: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 150 }), (operations) => {
        const plan = new CachePlan(3, 12);
        const writing: Entry[] = [];
        const pinned: Entry[] = [];
        const known = new Set<Entry>();
        for (const { what, blob, shard, pick } of operations) {
          const id = blobIdOf(`blob ${blob}`);
          const lengthBytes = blob < 5 ? 3000 << blob : SHARD_BYTES;
          const found = plan.find(id, shard);
          if (what === 'reserve' && found === undefined) {
            const { entry } = plan.reserve(id, shard, 10 * SHARD_BYTES, lengthBytes);
            if (entry !== null) writing.push(entry);
            if (entry !== null) known.add(entry);
          } else if (what === 'commit' || what === 'abandon') {
            const entry = writing.splice(pick % Math.max(1, writing.length), 1)[0];
            if (entry !== undefined && what === 'commit') plan.commit(entry, CHECKSUM);
            if (entry !== undefined && what === 'abandon') plan.abandon(entry);
          } else if (what === 'pin' && found?.state === 'stored') {
            plan.pin(found);
            pinned.push(found);
          } else if (what === 'unpin') {
            const entry = pinned.splice(pick % Math.max(1, pinned.length), 1)[0];
            if (entry !== undefined) plan.unpin(entry);
          } else if (what === 'drop') {
            plan.drop(id);
            assert.equal(plan.totalOf(id), undefined);
          } else if (what === 'touch' && found?.state === 'stored') {
            plan.touch(found);
          }
          const held = new Set(
            [...known].filter((entry) => plan.find(entry.id, entry.shard) === entry),
          );
          for (const entry of [...writing, ...pinned]) held.add(entry);
          assert.equal(plan.used, held.size);
          assert.equal(
            plan.allocator.usedBytes,
            [...held].reduce((sum, entry) => sum + entry.extent.lengthBytes, 0),
          );
          assert.equal(new Set([...held].map((entry) => entry.number)).size, held.size);
          for (const entry of pinned)
            if (entry.state !== 'doomed') assert.equal(plan.find(entry.id, entry.shard), entry);
        }
      }),
      { numRuns: 300 },
    );
  });
});
