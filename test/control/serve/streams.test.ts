import assert from 'node:assert/strict';
import { originOf } from '../../../lib/control/serve/blob-origin.ts';
import { ShoalError } from '../../../lib/errors.ts';
import { ABORT_GRACE_MS, FINISH_SHARD_MS, FRESH_SLOT_MS } from '../../../lib/control/limits.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { settled, KEY, OTHER_KEY } from '../fixture.ts';
import { BLOB, streamFixture } from './stream-fixture.ts';

const GRANTED = { kind: 'granted', totalBytes: 900 } as const;
const REFUSED = {
  kind: 'failed',
  error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 },
} as const;

describe('control/streams', () => {
  it('opens a stream when it has both the right to read and a place, in any order', async () => {
    for (const accessFirst of [true, false]) {
      const at = streamFixture({ check: 'strict', slots: 1 });
      const taken = accessFirst ? await at.residency.acquire() : -1;
      at.open();
      await settled();
      assert.equal(at.replies.length, 0);
      if (accessFirst) {
        at.answer(GRANTED);
        await settled();
        assert.equal(at.replies.length, 0);
        at.arena.begin(taken);
        at.residency.discard(taken);
      } else {
        assert.equal(at.fills.length, 1, 'the shard is asked for while the right is checked');
        at.answer(GRANTED);
      }
      await settled();
      const { slot, generation } = at.fills[0]!.resident;
      assert.deepEqual(at.replies, [
        {
          kind: 'opened',
          id: 1,
          shard: 0,
          slot,
          generation,
          totalBytes: 900,
          provenBytes: 900,
          cold: true,
          grantMs: 60_000,
          stale: false,
          turnMs: 0,
        },
      ]);
    }
  });

  it('gives no place away to who may not read, though the shard be here', async () => {
    const at = streamFixture({ check: 'strict' });
    at.open();
    at.answer(GRANTED);
    await settled();
    await at.deliver(0, 900);
    at.streams.close(1, true);
    at.replies.length = 0;
    at.open({ id: 2, authorization: 'Bearer other' });
    await settled();
    assert.equal(at.replies.length, 0);
    at.answer(REFUSED);
    await settled();
    assert.deepEqual(
      at.replies.map((reply) => reply.kind),
      ['refused'],
    );
    assert.deepEqual(
      at.facts.origins(KEY).map(({ authorization }) => authorization),
      ['Bearer t'],
      'a refused credential is not used for others',
    );
  });

  it('says of each shard where in it somebody waits, or that nobody does yet', async () => {
    const at = streamFixture();
    at.facts.sized(KEY, 10 * SHARD_BYTES, 'upstream');
    at.open({ shard: 1, sliceBytes: 700 });
    await settled();
    at.streams.want(1, 1, true);
    await settled();
    assert.deepEqual(
      at.fills.slice(0, 3).map(({ resident, way }) => [resident.shard, way.sliceBytes]),
      [
        [1, 700],
        [2, null],
        [3, null],
      ],
    );
  });

  it('answers from what it remembers of the right, without asking', async () => {
    const at = streamFixture({ check: 'strict' });
    at.open();
    at.answer(GRANTED);
    await settled();
    at.open({ id: 2 });
    await settled();
    const opened = at.replies.filter((reply) => reply.kind === 'opened');
    assert.deepEqual(
      opened.map((reply) => reply.id),
      [1, 2],
    );
  });

  for (const status of [401, 403, 404])
    it(`does not take over the ${status} that another client's credential got`, async () => {
      const at = streamFixture({ check: 'strict' });
      at.open({ authorization: null });
      await settled();
      at.open({ id: 2, authorization: 'Bearer good' });
      at.answer(REFUSED);
      at.fills[0]!.failed(new ShoalError('ORIGIN_REFUSED', 'no', { status }));
      await settled();
      assert.deepEqual(
        at.replies.filter(({ kind }) => kind !== 'refused'),
        [],
      );
      assert.ok(at.replies.every((reply) => 'id' in reply && reply.id === 1));
      at.answer(GRANTED);
      await settled();
      const { slot, generation } = at.fills[1]!.resident;
      assert.deepEqual(at.replies.at(-1), {
        kind: 'opened',
        id: 2,
        shard: 0,
        slot,
        generation,
        totalBytes: 900,
        provenBytes: 900,
        cold: true,
        grantMs: 60_000,
        stale: false,
        turnMs: 0,
      });
    });

  it("asks once more when another client's origin failed, and not after its own", async () => {
    const own = originOf(BLOB, 'Bearer t', null);
    const other = { ...own, url: 'https://page.example/x', upstreamHost: 'page.example' };
    const cases = [
      ['DIGEST_MISMATCH', other, 2],
      ['ORIGIN_BROKEN', null, 2],
      ['ORIGIN_TIMEOUT', other, 2],
      ['ORIGIN_TIMEOUT', null, 1],
      ['DIGEST_MISMATCH', own, 1],
    ] as const;
    for (const [code, of, fetches] of cases) {
      const at = streamFixture();
      at.open();
      await settled();
      for (let times = 0; times < fetches; times++) {
        at.fills[times]!.failed(new ShoalError(code, 'no'), of);
        await settled();
      }
      assert.equal(at.fills.length, fetches, `${code} of ${of?.upstreamHost}`);
      assert.equal(at.replies.at(-1)?.kind, 'refused');
    }
  });

  it('asks once more when a fetch that it has joined used up its tries', async () => {
    const own = originOf(BLOB, 'Bearer t', null);
    const broken = new ShoalError('ORIGIN_BROKEN', 'the connection was closed');
    const at = streamFixture();
    at.open();
    await settled();
    at.open({ id: 2 });
    await settled();
    assert.equal(at.fills.length, 1);
    at.fills[0]!.failed(broken, own);
    await settled();
    const refused = (): unknown[] =>
      at.replies.flatMap((reply) => (reply.kind === 'refused' ? [reply.id] : []));
    assert.deepEqual([refused(), at.fills.length], [[1], 2]);
    at.fills[1]!.failed(broken, own);
    await settled();
    assert.deepEqual([refused(), at.fills.length], [[1, 2], 2]);
  });

  it('wants nothing any more once it is refused, whatever the front still asks for', async () => {
    const at = streamFixture();
    at.facts.sized(KEY, 40 * SHARD_BYTES, 'upstream');
    at.open();
    await settled();
    const ahead = at.fills.slice(1).map(({ resident }) => resident.shard);
    at.fills[0]!.failed(new ShoalError('ORIGIN_TIMEOUT', 'late'));
    at.streams.want(1, 0, false);
    await settled();
    assert.deepEqual(at.wanted(), [0, ...ahead]);
    at.clock.advance(ABORT_GRACE_MS);
    assert.ok(at.fills.slice(1).every(({ abandoned }) => abandoned));
  });

  it('passes on why the shard could not be had', async () => {
    const at = streamFixture();
    at.open();
    await settled();
    at.fills[0]!.failed(new ShoalError('ORIGIN_TIMEOUT', 'late'));
    assert.deepEqual(at.replies.at(-1), {
      kind: 'refused',
      id: 1,
      error: new ShoalError('ORIGIN_TIMEOUT', 'late').toWire(),
    });
  });

  it('tells the place of the next shard, and lets go of those behind', async () => {
    const at = streamFixture();
    at.facts.sized(KEY, 40 * SHARD_BYTES, 'upstream');
    at.open();
    await settled();
    at.streams.want(1, 0, true);
    await settled();
    await at.deliver(0, 40 * SHARD_BYTES);
    at.streams.want(1, 1, false);
    const next = at.fills[1]!.resident;
    assert.deepEqual(at.replies.at(-1), {
      kind: 'granted',
      id: 1,
      shard: 1,
      slot: next.slot,
      generation: next.generation,
      checksum: null,
      totalBytes: 40 * SHARD_BYTES,
      cold: true,
    });
    at.streams.want(1, 2, true);
    assert.equal(at.fills[1]!.abandoned, true, 'nobody else wants shard 1');
    assert.equal(at.fills[2]!.abandoned, false);
  });

  it('brings a shard again that was evicted before its reader came', async () => {
    const at = streamFixture({ slots: 2, openElsewhere: 10 });
    at.facts.sized(KEY, 2 * SHARD_BYTES, 'upstream');
    at.open({ untilShard: 1 });
    await settled();
    await at.deliver(0, 2 * SHARD_BYTES);
    at.streams.want(1, 1, true);
    await settled();
    await at.deliver(1, 2 * SHARD_BYTES);
    for (const save of at.store.saves) save.end();
    await settled();
    at.clock.advance(FRESH_SLOT_MS + 1);
    for (const slot of [await at.residency.acquire(), await at.residency.acquire()]) {
      at.arena.begin(slot);
      at.residency.discard(slot);
    }
    assert.equal(at.loader.find(KEY, 1), undefined);
    at.streams.want(1, 1, false);
    await settled();
    assert.deepEqual(at.wanted(), [0, 1, 1]);
    const { slot, generation } = at.fills[2]!.resident;
    const last = at.replies.at(-1);
    assert.ok(last?.kind === 'granted' && last.slot === slot && last.generation === generation);
  });

  it('tells a place again that the front has forgotten, without fetching', async () => {
    const at = streamFixture();
    at.open({ untilShard: 0 });
    await settled();
    at.answer(GRANTED);
    await at.deliver(0, 900);
    at.streams.want(1, 0, false);
    assert.deepEqual(
      at.replies.map((reply) => reply.kind),
      ['opened', 'granted'],
    );
    assert.equal(at.fills.length, 1);
  });

  it('stops what an aborted client wanted, brings to its end what a small read began', async () => {
    for (const whole of [false, true]) {
      const at = streamFixture();
      at.facts.sized(KEY, 4 * SHARD_BYTES, 'upstream');
      at.open();
      await settled();
      at.streams.want(1, 0, true);
      await settled();
      assert.equal(at.streams.close(1, whole), true);
      assert.deepEqual(
        at.fills.map((fill) => fill.abandoned),
        [false, whole, whole, whole],
      );
      at.clock.advance(ABORT_GRACE_MS);
      assert.deepEqual(
        at.fills.map((fill) => fill.abandoned),
        [!whole, true, true, true],
      );
      at.clock.advance(FINISH_SHARD_MS);
      assert.equal(at.fills[0]!.abandoned, true);
      assert.equal(at.streams.close(1, whole), false);
    }
  });

  it('keeps the reads of an aborted client for one that resumes there in time', async () => {
    const at = streamFixture();
    at.facts.sized(KEY, 4 * SHARD_BYTES, 'upstream');
    at.open();
    await settled();
    at.streams.want(1, 0, true);
    await settled();
    at.streams.close(1, false);
    at.clock.advance(ABORT_GRACE_MS - 1);
    at.open({ id: 2, shard: 1 });
    await settled();
    at.streams.want(2, 1, true);
    await settled();
    at.clock.advance(1);
    assert.deepEqual(
      at.fills.map((fill) => fill.abandoned),
      [true, false, false, false],
    );
    assert.equal(at.fills.length, 4, 'nothing is fetched twice');
  });

  it('makes a layer wait for its place, and gives the place up with the last stream', async () => {
    const at = streamFixture({ layers: 1 });
    at.open();
    at.open({ id: 2, blob: { ...BLOB, key: OTHER_KEY } });
    await settled();
    assert.deepEqual(
      at.fills.map((fill) => fill.resident.key),
      [KEY],
    );
    at.streams.close(1, true);
    await settled();
    assert.deepEqual(
      at.fills.map((fill) => fill.resident.key),
      [KEY, OTHER_KEY],
    );
  });

  it('forgets a stream that left while it waited for a place', async () => {
    const at = streamFixture({ layers: 1 });
    at.open();
    at.open({ id: 2, blob: { ...BLOB, key: OTHER_KEY } });
    at.streams.close(2, false);
    at.streams.close(1, true);
    await settled();
    assert.equal(at.fills.length, 1);
  });

  it('serves what is here without a place among the downloading layers', async () => {
    const at = streamFixture({ layers: 1 });
    at.store.put(OTHER_KEY, 0, 900, 900);
    at.open();
    at.open({ id: 2, blob: { ...BLOB, key: OTHER_KEY } });
    await settled();
    assert.deepEqual(
      at.store.loads.map(({ key }) => key),
      [OTHER_KEY],
    );
    at.answer(GRANTED);
    await settled();
    assert.deepEqual(
      at.replies.map((reply) => reply.kind),
      ['opened', 'opened'],
    );
  });

  it('lets a layer of which the first shard is here read ahead only with a place', async () => {
    const at = streamFixture({ layers: 1 });
    at.store.put(OTHER_KEY, 0, 8 * SHARD_BYTES);
    at.facts.sized(OTHER_KEY, 8 * SHARD_BYTES, 'upstream');
    at.open();
    await settled();
    at.open({ id: 2, blob: { ...BLOB, key: OTHER_KEY } });
    await settled();
    assert.deepEqual(
      at.fills.map((fill) => fill.resident.key),
      [KEY],
    );
    at.streams.want(2, 1, false);
    await settled();
    assert.deepEqual(
      at.fills.map((fill) => fill.resident.key),
      [KEY],
      'the stream itself waits as well',
    );
    at.streams.close(1, true);
    await settled();
    assert.deepEqual(
      at.fills
        .slice(1)
        .map((fill) => `${fill.resident.key}/${fill.resident.shard}`)
        .slice(0, 2),
      [`${OTHER_KEY}/1`, `${OTHER_KEY}/2`],
    );
  });
});
