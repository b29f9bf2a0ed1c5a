import assert from 'node:assert/strict';
import { EMPTY_HEADER, HEADER_BYTES, encodeHeader } from '../../lib/cache/header.ts';
import type { ShardHeader } from '../../lib/cache/header.ts';
import { blobIdOf } from '../../lib/cache/key.ts';
import { CachePlan } from '../../lib/cache/plan.ts';
import { recover } from '../../lib/cache/recovery.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { CHECKSUM_BYTES } from '../../lib/shard.ts';

const checksum = new Uint8Array(CHECKSUM_BYTES).fill(7);

function headerOf(key: string, more: Partial<ShardHeader> = {}): ShardHeader {
  return {
    id: blobIdOf(key),
    shard: 0,
    lengthBytes: 4096,
    totalBytes: 4096,
    offsetBytes: 0,
    extentBytes: 4096,
    generation: 1,
    checksum,
    ...more,
  };
}

function tableOf(...headers: (ShardHeader | null)[]): Buffer {
  return Buffer.concat(
    headers.map((header) => (header === null ? EMPTY_HEADER : encodeHeader(header))),
  );
}

describe('cache/recovery', () => {
  it('restores entries as unverified, and reuses neither their places nor their numbers', () => {
    const plan = new CachePlan(2, 8);
    const found = recover(
      tableOf(null, headerOf('a'), null, headerOf('b', { offsetBytes: 4096, generation: 5 })),
      plan,
    );
    assert.deepEqual(found, { restored: 2, rejected: 0, generation: 5, headers: [] });
    const entry = plan.find(blobIdOf('b'), 0)!;
    assert.deepEqual([entry.number, entry.verified, entry.state], [3, false, 'stored']);
    assert.deepEqual(plan.checksumOf(entry), checksum);
    const numbers = new Set([1, 3]);
    for (let shard = 0; shard < 6; shard++) {
      const { entry: reserved } = plan.reserve(blobIdOf('c'), shard, 10 * SHARD_BYTES, 4096);
      assert.ok(!numbers.has(reserved!.number));
      assert.ok(reserved!.extent.offsetBytes >= 8192);
      numbers.add(reserved!.number);
    }
  });

  it('believes the later of two headers that claim the same bytes, and empties the other', () => {
    const plan = new CachePlan(2, 8);
    const whole = headerOf('old', {
      lengthBytes: SHARD_BYTES,
      totalBytes: SHARD_BYTES,
      extentBytes: SHARD_BYTES,
      generation: 3,
    });
    const found = recover(
      tableOf(whole, headerOf('new', { offsetBytes: 8192, generation: 4 })),
      plan,
    );
    assert.equal(plan.find(blobIdOf('old'), 0), undefined);
    assert.ok(plan.find(blobIdOf('new'), 0));
    assert.deepEqual(found.headers, [{ entry: 0, bytes: EMPTY_HEADER }]);
  });

  it('believes the later of two headers for the same shard, and the later size of a blob', () => {
    const plan = new CachePlan(4, 8);
    const found = recover(
      tableOf(
        headerOf('a', { generation: 9 }),
        headerOf('a', { generation: 8, offsetBytes: 4096 }),
        headerOf('b', {
          generation: 7,
          offsetBytes: 8192,
          totalBytes: SHARD_BYTES + 4096,
          shard: 1,
        }),
        headerOf('b', { generation: 6, offsetBytes: 12_288 }),
      ),
      plan,
    );
    assert.equal(plan.find(blobIdOf('a'), 0)!.number, 0);
    assert.equal(plan.totalOf(blobIdOf('b')), SHARD_BYTES + 4096);
    assert.deepEqual([found.restored, found.rejected], [2, 2]);
    assert.equal(plan.allocator.usedBytes, 8192);
  });

  it('leaves out what lies past a slab that has become smaller', () => {
    const plan = new CachePlan(1, 8);
    assert.equal(recover(tableOf(headerOf('a', { offsetBytes: SHARD_BYTES })), plan).rejected, 1);
    assert.equal(plan.used, 0);
  });

  it('moves entries past the end of a shorter table, and loses none in a crash', () => {
    // It writes the new place first.
    const table = tableOf(
      headerOf('a'),
      null,
      null,
      headerOf('b', { offsetBytes: 4096, generation: 2 }),
    );
    const plan = new CachePlan(1, 2);
    const { headers, restored } = recover(table, plan);
    assert.equal(restored, 2);
    assert.equal(plan.find(blobIdOf('b'), 0)!.number, 1);
    assert.deepEqual(
      headers.map(({ entry, bytes }) => [entry, Buffer.compare(bytes, EMPTY_HEADER) === 0]),
      [
        [1, false],
        [3, true],
      ],
    );
    for (const { entry, bytes } of headers) {
      table.set(bytes, entry * HEADER_BYTES);
      const again = new CachePlan(1, 2);
      recover(table, again);
      assert.equal(again.find(blobIdOf('b'), 0)!.number, 1);
      assert.equal(again.used, 2);
    }
  });

  it('keeps the latest when a shorter table cannot hold them all', () => {
    const plan = new CachePlan(1, 1);
    const found = recover(
      tableOf(
        null,
        headerOf('a', { generation: 1 }),
        headerOf('b', { offsetBytes: 4096, generation: 2 }),
      ),
      plan,
    );
    assert.deepEqual([found.restored, found.rejected], [1, 1]);
    assert.ok(plan.find(blobIdOf('b'), 0));
  });

  it('reads the table of a full 200 GB cache in well under a second', function () {
    const slots = 100_000;
    const entries = slots * 4 + 4096;
    const table = Buffer.alloc(entries * HEADER_BYTES);
    const shardsOfBlob = 500;
    for (let slot = 0; slot < slots; slot++) {
      const header = headerOf(`blob ${Math.floor(slot / shardsOfBlob)}`, {
        shard: slot % shardsOfBlob,
        lengthBytes: SHARD_BYTES,
        totalBytes: shardsOfBlob * SHARD_BYTES,
        offsetBytes: slot * SHARD_BYTES,
        extentBytes: SHARD_BYTES,
        generation: slot + 1,
      });
      table.set(encodeHeader(header), ((slot * 7919) % entries) * HEADER_BYTES);
    }
    const before = process.cpuUsage();
    const { restored } = recover(table, new CachePlan(slots, entries));
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1000;
    assert.equal(restored, slots);
    // CPU time, since the machine may be busy with other work; 400-500 ms when it was written.
    assert.ok(cpuMs < 2000, `${cpuMs} ms`);
    this.test!.title += ` (${Math.round(cpuMs)} ms of CPU)`;
  });
});
