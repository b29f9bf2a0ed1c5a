import assert from 'node:assert/strict';
import { STALLED_MS } from '../../lib/control/limits.ts';
import { blobsInFlight, stallsOf, warningsOf } from '../../lib/control/status-inputs.ts';
import { SlotSource } from '../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { KEY, Listener, OTHER_KEY, OPTIONS, loaderFixture, settled } from './fixture.ts';

/** Of a blob that nobody reads, such as one that is preheated. */
const NO_READS = { sentBytes: 0, clients: 0, nodes: 0 };

describe('control/status-inputs', () => {
  it('counts each shard of a blob under way once: on disk, in memory or arriving', async () => {
    const at = loaderFixture({ disk: true });
    const shown = (): unknown => blobsInFlight({ ...at, reads: () => [] });
    const totalBytes = 4 * SHARD_BYTES + 100;
    assert.deepEqual(shown(), []);
    at.facts.sized(KEY, totalBytes, 'upstream');
    for (const shard of [0, 2]) {
      at.loader.want(KEY, shard, OPTIONS, new Listener());
      await settled();
    }
    await at.deliver(0, totalBytes);
    // Complete in memory and stored by now; its last shard came from disk before.
    at.store.put(KEY, 0, totalBytes);
    at.store.put(KEY, 4, totalBytes, 100);
    const slot = at.loader.find(KEY, 2)!.slot;
    at.arena.setSource(slot, SlotSource.peer);
    at.arena.setReceived(slot, 1000);
    assert.deepEqual(shown(), [
      {
        blob: KEY,
        receivedBytes: SHARD_BYTES + 100 + 1000,
        totalBytes,
        source: 'peer',
        ...NO_READS,
      },
    ]);
    await at.deliver(2, totalBytes);
    assert.deepEqual(shown(), []);
  });

  it('says that threads or memory are held up, and not that something waits for a moment', () => {
    const stalls = (threadMs: number, memoryMs: number): string[] =>
      stallsOf({ pools: { stalledMs: () => threadMs }, residency: { stalledMs: memoryMs } });
    assert.deepEqual(stalls(STALLED_MS - 1, STALLED_MS - 1), []);
    assert.match(stalls(STALLED_MS + 2_000, 0).join(), /^reads .* 12 s for a transfer thread/);
    assert.match(stalls(0, STALLED_MS + 3_000).join(), /^shards .* 13 s for memory/);
  });

  it('warns of what holds up registries, which does not end the service of what is cached', () => {
    const warnings = (dnsMs: number, originMs: number): string[] =>
      warningsOf({ pools: { dnsSilentMs: () => dnsMs }, originStalledMs: () => originMs });
    assert.deepEqual(warnings(STALLED_MS - 1, STALLED_MS - 1), []);
    assert.match(warnings(STALLED_MS + 2_000, 0).join(), /^no DNS server .* for 12 s/);
    assert.match(warnings(0, STALLED_MS + 3_000).join(), /^reads .* have waited 13 s for a turn/);
  });

  it('says what has come of a blob whose size is not known yet', async () => {
    const at = loaderFixture({ disk: true });
    at.loader.want(OTHER_KEY, 0, OPTIONS, new Listener());
    await settled();
    at.arena.setReceived(at.loader.find(OTHER_KEY, 0)!.slot, 5);
    at.arena.setSource(at.loader.find(OTHER_KEY, 0)!.slot, SlotSource.origin);
    assert.deepEqual(blobsInFlight({ ...at, reads: () => [] }), [
      { blob: OTHER_KEY, receivedBytes: 5, totalBytes: null, source: 'origin', ...NO_READS },
    ]);
  });

  it('looks at what is in memory, not at every shard of every blob', async () => {
    const at = loaderFixture({ slots: 40, disk: true });
    let lookups = 0;
    at.loader.onDisk = () => ({ count: 5_000, has: () => (lookups += 1) < 0 });
    for (let blob = 0; blob < 40; blob++) {
      const key = `sha256:${String(blob).padStart(64, '0')}`;
      at.facts.sized(key, 20e9, 'upstream');
      at.loader.want(key, 0, OPTIONS, new Listener());
    }
    await settled();
    assert.equal(blobsInFlight({ ...at, reads: () => [] }).length, 40);
    assert.ok(lookups <= 80, `${lookups} look-ups for 40 blobs of 10,000 shards`);
  });
});
