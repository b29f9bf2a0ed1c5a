import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  HEADER_BYTES,
  decodeHeader,
  decodeTableHead,
  encodeHeader,
  encodeTableHead,
} from '../../lib/cache/header.ts';
import type { ShardHeader } from '../../lib/cache/header.ts';
import { blobIdOf, shardFingerprint } from '../../lib/cache/key.ts';
import { shardLength } from '../../lib/shard.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { CHECKSUM_BYTES } from '../../lib/shard.ts';

const anyHeader = fc
  .record({
    key: fc.oneof(
      fc.webUrl(),
      fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((raw) => `sha256:${Buffer.from(raw).toString('hex')}`),
    ),
    totalBytes: fc.integer({ min: 1, max: 2 ** 42 }),
    pick: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    slot: fc.integer({ min: 0, max: 2 ** 24 }),
    generation: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    checksum: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  })
  .map(({ key, totalBytes, pick, slot, generation, checksum }): ShardHeader => {
    const shard = Math.floor(pick * Math.ceil(totalBytes / SHARD_BYTES));
    const lengthBytes = shardLength(totalBytes, shard);
    return {
      id: blobIdOf(key),
      shard,
      lengthBytes,
      totalBytes,
      offsetBytes: slot * SHARD_BYTES,
      extentBytes: SHARD_BYTES,
      generation,
      checksum,
    };
  });

describe('cache/header', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(anyHeader, (header) => {
        const bytes = encodeHeader(header);
        assert.equal(bytes.length, HEADER_BYTES);
        const read = decodeHeader(bytes, 0)!;
        assert.deepEqual(
          { ...read, checksum: [...read.checksum] },
          { ...header, checksum: [...header.checksum] },
        );
      }),
    );
  });

  it('takes an entry with any byte changed, or torn anywhere, for empty', () => {
    fc.assert(
      fc.property(
        anyHeader,
        anyHeader,
        fc.nat(HEADER_BYTES - 1),
        fc.integer({ min: 1, max: 255 }),
        (header, other, at, flip) => {
          const flipped = encodeHeader(header);
          flipped[at]! ^= flip;
          assert.equal(decodeHeader(flipped, 0), undefined);
          const torn = Buffer.concat([
            encodeHeader(header).subarray(0, at),
            encodeHeader(other).subarray(at),
          ]);
          const read = decodeHeader(torn, 0);
          if (read !== undefined)
            assert.ok(torn.equals(encodeHeader(header)) || torn.equals(encodeHeader(other)));
        },
      ),
    );
  });

  it('refuses a length that is not the length of that shard', () => {
    const header = {
      id: blobIdOf('u'),
      shard: 1,
      totalBytes: 3 * SHARD_BYTES,
      lengthBytes: 100,
      offsetBytes: 0,
      extentBytes: 4096,
      generation: 1,
      checksum: new Uint8Array(CHECKSUM_BYTES),
    };
    assert.equal(decodeHeader(encodeHeader(header), 0), undefined);
  });

  it('knows its own table from another version and from a foreign file', () => {
    assert.deepEqual(decodeTableHead(encodeTableHead(42)), { kind: 'ours', pid: 42 });
    const later = encodeTableHead(42);
    later.writeUInt32LE(7, 8);
    assert.deepEqual(decodeTableHead(later), { kind: 'other-version', version: 7 });
    assert.deepEqual(decodeTableHead(Buffer.from('DIRC')), { kind: 'foreign' });
    assert.deepEqual(decodeTableHead(Buffer.alloc(4096, 1)), { kind: 'foreign' });
  });

  it('files a digest under its own bytes, and any other key under its hash', () => {
    const hex = 'ab'.repeat(32);
    assert.equal(blobIdOf(`sha256:${hex}`), `1${hex}`);
    assert.match(blobIdOf('https://store.example/a/b'), /^2[0-9a-f]{64}$/);
    assert.notEqual(
      blobIdOf(`sha256:${hex}`).slice(1),
      blobIdOf(`sha256:${hex.toUpperCase()}`).slice(1),
    );
    assert.notEqual(shardFingerprint(blobIdOf('a'), 1), shardFingerprint(blobIdOf('a'), 2));
  });
});
