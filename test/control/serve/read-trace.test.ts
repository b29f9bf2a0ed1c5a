import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { ReadTrace } from '../../../lib/control/serve/read-trace.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { traceName } from '../../../lib/registry/identity.ts';
import { KEY, settled } from '../fixture.ts';
import { streamFixture } from './stream-fixture.ts';

const OTHER = `sha256:${'cd'.repeat(32)}`;

describe('control/read-trace', () => {
  it('tells which shards were read, in order, each once, of the last so many seconds', () => {
    const clock = new ManualClock();
    const trace = new ReadTrace(clock);
    trace.note(KEY, 9);
    clock.advance(60_000);
    trace.note(OTHER, 0);
    trace.note(KEY, 3);
    trace.note(KEY, 1);
    trace.note(OTHER, 0);
    assert.deepEqual(trace.last(30, 'salt'), {
      salt: 'salt',
      blobs: [{ name: traceName(KEY, 'salt') }, { name: traceName(OTHER, 'salt') }],
      reads: [
        [0, 3],
        [0, 1],
        [1, 0],
      ],
    });
    assert.equal(trace.last(61, 'salt').reads.length, 4);
  });

  it('knows only blobs with a digest, and so many shards', () => {
    const trace = new ReadTrace(new ManualClock(), 3);
    trace.note(`url:${'ab'.repeat(32)}`, 0);
    for (const shard of [0, 1, 2, 3]) trace.note(KEY, shard);
    assert.deepEqual(trace.last(1, 'salt').reads, [
      [0, 1],
      [0, 2],
      [0, 3],
    ]);
  });

  it('hears of the small reads of those who may read, and of no others', async () => {
    const at = streamFixture({ check: 'strict' });
    at.facts.sized(KEY, 100 * SHARD_BYTES, 'upstream');
    for (const [id, small, allowed] of [
      [1, true, true],
      [2, false, true],
      [3, true, false],
    ] as const) {
      at.open({ id, shard: id, untilShard: id, small, authorization: `Bearer ${id}` });
      await settled();
      at.answer(
        allowed
          ? { kind: 'granted', totalBytes: 100 * SHARD_BYTES }
          : { kind: 'failed', error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 } },
      );
      await settled();
      at.streams.close(id, true);
    }
    assert.deepEqual(at.trace.last(1, 'salt').reads, [[0, 1]]);
  });
});
