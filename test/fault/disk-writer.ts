/**
 * A process to be killed: saves shards of a pattern into the cache at argv[2] and prints "blob
 * shard" once each is stored. argv[3]: capacity in bytes, argv[4]: "direct" or "buffered", argv[5]:
 * name of the run.
 */
import { CacheStore } from '../../lib/cache/store.ts';
import { systemClock } from '../../lib/clock.ts';
import { Arena } from '../../lib/io/arena.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { openSlabFiles } from '../../lib/io/slab-files.ts';
import { localSlabIo } from '../../lib/io/slab-local.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { fillPattern, sizeOfBlob } from './disk-pattern.ts';

const [, , dir, capacity, mode, run] = process.argv;
const log = { info: () => undefined, warn: () => undefined };
const files = await openSlabFiles({
  dir: dir!,
  capacityBytes: Number(capacity),
  direct: mode === 'direct',
  log,
});
const arena = Arena.create(4 * SHARD_BYTES);
const store = CacheStore.open({ ...files, io: localSlabIo(files, arena), clock: systemClock, log });

async function lane(slot: number): Promise<void> {
  for (let number = slot; ; number += arena.slotCount) {
    const blob = `${run}-${number}`;
    const totalBytes = sizeOfBlob(number);
    for (let shard = 0; shard * SHARD_BYTES < totalBytes; shard++) {
      arena.tryLock(slot);
      const generation = arena.begin(slot);
      const lengthBytes = Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
      const bytes = arena.bytes(slot, 0, lengthBytes);
      fillPattern(bytes, blob, shard);
      const answer = await store.save(blob, shard, slot, generation, {
        lengthBytes,
        totalBytes,
        checksum: checksumOf(bytes),
      });
      if (answer === 'stored') process.stdout.write(`${blob} ${shard}\n`);
    }
  }
}

await Promise.all(Array.from({ length: arena.slotCount }, (_, slot) => lane(slot)));
