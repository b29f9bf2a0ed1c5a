import assert from 'node:assert/strict';
import { READ_AHEAD_FROM, SIZE_QUESTIONS_MAX } from '../../lib/front/limits.ts';
import { connect } from 'node:net';
import { SlotSource } from '../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { STALE_WARNING } from '../../lib/registry/words.ts';
import { emptySummary } from '../../lib/front/read-tally.ts';
import { until } from '../telemetry/until.ts';
import { BlobFixture, DIGEST, FIRST, PATH, SECOND, SMALL, TOTAL_BYTES } from './blob-fixture.ts';

describe('front/blob-answer', () => {
  let f: BlobFixture;
  beforeEach(async () => (f = await new BlobFixture().listen()));
  afterEach(() => f.close());

  it('says so when the right is an old one, the registry being down', async () => {
    for (const stale of [true, false]) {
      const answer = f.get();
      const open = await f.at.hears('open');
      f.opened(open, f.at.place(0, SMALL, 1_000), { stale });
      assert.equal((await answer).headers.warning, stale ? STALE_WARNING : undefined);
    }
  });

  it('sends nothing of a blob whose size is not the one that the right covers', async () => {
    // Whenever it hears of that size.
    for (const method of ['GET', 'HEAD']) {
      for (const totalBytes of [1_000, null]) {
        const answer = f.get({}, method);
        const open = await f.at.hears('open');
        const place = f.at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
        if (totalBytes !== null) f.at.arena.setLength(0, 1_000, 1_000);
        f.opened(open, place, { totalBytes, provenBytes: 19, grantMs: 60_000 });
        f.at.arena.setLength(0, 1_000, 1_000);
        f.at.arrives(0, SMALL);
        const { id } = await f.at.hears('size');
        f.at.says({ kind: 'refused', id, error: { code: 'DIGEST_MISMATCH', message: 'no' } });
        const { status, headers, body } = await answer;
        assert.deepEqual(
          [status, headers['content-range'], body.includes(SMALL)],
          [502, undefined, false],
        );
      }
    }
    assert.deepEqual(
      [f.tiers, f.overs.map(({ error }) => error)],
      [[], Array.from({ length: 4 }, () => 'DIGEST_MISMATCH')],
    );
  });

  it('tells the size that the registry says, and takes what is here of that one', async () => {
    for (const method of ['GET', 'HEAD']) {
      const answer = f.get({}, method);
      const open = await f.at.hears('open');
      const lie = f.at.place(0, SMALL, 9_000_000_000);
      f.opened(open, lie, { totalBytes: 9_000_000_000, provenBytes: 1_000 });
      const { id } = await f.at.hears('size');
      f.at.arrives(0, Buffer.from('more of the lie'));
      f.at.says({ kind: 'sized', id, totalBytes: 1_000 });
      if (method === 'GET') {
        const { shard, placed } = await f.at.hears('want');
        assert.deepEqual([shard, placed], [0, false]);
        const place = f.at.place(1, SMALL, 1_000);
        f.at.says({
          ...{ kind: 'granted', id, shard: 0, ...place, checksum: null },
          ...{ totalBytes: 1_000, cold: true },
        });
      }
      const { status, headers, body } = await answer;
      assert.deepEqual([status, headers['content-length']], [200, '1000']);
      assert.equal(body.equals(method === 'GET' ? SMALL : Buffer.alloc(0)), true);
    }
    assert.equal(f.at.heard.filter(({ kind }) => kind === 'size').length, 2);
  });

  it('ends a read whose sources contradict its registry again and again', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    f.opened(open, f.at.place(0, SMALL, 4), { totalBytes: 4, provenBytes: 1_000 });
    for (let asked = 1; asked <= SIZE_QUESTIONS_MAX; asked++) {
      const { id } = await f.at.hears('size');
      f.at.says({ kind: 'sized', id, totalBytes: 1_000 });
      await f.at.hears('want');
      const place = f.at.place(asked % 2, SMALL, 4);
      f.at.says({
        ...{ kind: 'granted', id, shard: 0, ...place, checksum: null },
        ...{ totalBytes: 4, cold: true },
      });
    }
    assert.equal((await answer).status, 502);
    assert.equal(f.overs[0]!.error, 'DIGEST_MISMATCH');
  });

  it('counts a right from the moment it was granted, however late the first byte', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    const place = f.at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    f.opened(open, place, { grantMs: 60_000 });
    // So that the front has heard it.
    await f.at.get('/nothing');
    f.nowMs += 25_000;
    f.at.arena.setLength(0, 1_000, 1_000);
    f.at.arrives(0, SMALL);
    await answer;
    f.nowMs += 35_000;
    const again = f.get();
    const { id } = await f.at.hears('open');
    f.opened({ ...open, id }, place);
    await again;
  });

  it('asks control with all it knows, and answers from the place it is told', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    assert.deepEqual(
      [
        open.blob.key,
        open.blob.url,
        open.blob.repository,
        open.authorization,
        open.shard,
        open.untilShard,
      ],
      [DIGEST, `https://r.example${PATH}`, 'app', 'Bearer t', 0, null],
    );
    assert.match(open.requestId, /^[0-9a-f]{16}$/);
    f.opened(open, f.at.place(0, SMALL, 1_000));
    const { status, headers, body } = await answer;
    assert.equal(status, 200);
    assert.ok(body.equals(SMALL));
    assert.deepEqual(
      [
        headers['content-length'],
        headers['accept-ranges'],
        headers['docker-content-digest'],
        headers['etag'],
        headers['content-type'],
        headers['content-range'],
        headers['content-encoding'],
      ],
      ['1000', 'bytes', DIGEST, `"${DIGEST}"`, 'application/octet-stream', undefined, undefined],
    );
    assert.deepEqual(await f.at.hears('close'), {
      kind: 'close',
      id: open.id,
      whole: true,
      sentBytes: 1_000,
      read: {
        sources: { arena: 0, runtime: 0, disk: 1_000, peer: 0, origin: 0 },
        waitedMs: { access: 0, turn: 0, throttle: 0, disk: 0, peer: 0, origin: 0 },
      },
    });
    const { name, ...over } = f.overs[0]!;
    assert.equal(name.key, DIGEST);
    assert.deepEqual(over, {
      offsetBytes: 0,
      sentBytes: 1_000,
      tier: 'arena',
      failed: false,
      aborted: false,
      error: null,
      startMs: 1_000,
    });
  });

  it('believes the size where there is no byte to send only with the whole shard', async () => {
    const answer = f.get({ range: 'bytes=2000-' });
    const open = await f.at.hears('open');
    const place = f.at.place(0, SMALL, 1_000, { releasedBytes: 0 });
    f.opened(open, place, { cold: true });
    // So that the front has heard it.
    await f.at.get('/nothing');
    assert.equal(f.overs.length, 0, 'the size is what one peer claims');
    f.at.arena.setLength(0, 3_000, 3_000);
    f.at.arrives(0, Buffer.alloc(3_000, 7));
    const { status, body } = await answer;
    assert.deepEqual([status, body.length], [206, 1_000]);
  });

  it('waits for the size when control does not know it yet', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    const place = f.at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    f.opened(open, place, { cold: true });
    f.at.arena.setSource(0, SlotSource.peer);
    f.at.arena.setLength(0, 1_000, 1_000);
    f.at.arrives(0, SMALL);
    assert.ok((await answer).body.equals(SMALL));
    assert.deepEqual([f.firsts, f.overs[0]!.tier], [['peer'], 'peer']);
    assert.ok(f.tiers.every(([tier]) => tier === 'peer'));
  });

  it('begins with the first shard, though a later one has a slot and no byte yet', async () => {
    const socket = connect(f.port, '127.0.0.1');
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: r.example\r\n\r\n`);
    const open = await f.at.hears('open');
    const other = f.get();
    const { id } = await f.at.hears('open');
    const [first, second] = [0, 1].map((slot) =>
      f.at.place(slot, Buffer.alloc(0), TOTAL_BYTES, { lengthBytes: SHARD_BYTES }),
    );
    f.opened(open, first!, { totalBytes: TOTAL_BYTES, cold: true });
    f.at.says({
      kind: 'granted',
      id: open.id,
      shard: 1,
      ...second!,
      checksum: null,
      totalBytes: TOTAL_BYTES,
      cold: true,
    });
    f.at.says({ kind: 'refused', id, error: { code: 'ORIGIN_TIMEOUT', message: 'late' } });
    assert.equal((await other).status, 504, 'so the front has heard all that was said before');
    f.at.arrives(0, SMALL);
    await until(() => received.includes(SMALL), 'the first bytes of the first shard', 2_000);
    f.at.arrives(0, FIRST.subarray(SMALL.length));
    f.at.arrives(1, SECOND);
    await until(() => received.subarray(-SHARD_BYTES).equals(SECOND), 'the rest', 2_000);
    assert.equal((await f.at.hears('want')).placed, true, 'the place told before is known');
    socket.destroy();
  });

  it('says why a client may not read, and tells control that it is over', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    f.at.says({
      kind: 'refused',
      id: open.id,
      error: {
        code: 'ORIGIN_REFUSED',
        message: 'no',
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="x"' },
      },
    });
    const { status, headers } = await answer;
    assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer realm="x"']);
    assert.equal((await f.at.hears('close')).whole, false);
    assert.deepEqual(
      [f.overs[0]!.failed, f.overs[0]!.aborted, f.overs[0]!.error],
      [true, false, 'ORIGIN_REFUSED'],
    );
  });

  it('waits for its slice only, and tells control where that begins', async () => {
    const from = Math.floor(0.7 * SHARD_BYTES);
    const answer = f.get({ range: `bytes=${from}-${from + 65_535}` });
    const open = await f.at.hears('open');
    assert.deepEqual([open.shard, open.sliceBytes], [0, from]);
    const place = f.at.place(0, FIRST.subarray(0, 10), TOTAL_BYTES, { lengthBytes: SHARD_BYTES });
    f.at.arena.bytes(0, from).set(FIRST.subarray(from));
    f.opened(open, place);
    f.at.arena.setAhead(0, from, from + 100_000);
    f.at.doorbells.ringAll();
    const { status, body } = await answer;
    assert.equal(status, 206);
    assert.ok(body.equals(FIRST.subarray(from, from + 65_536)));
  });

  it('begins once, when control tells another place while it waits for the first', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    f.opened(open, f.at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 }));
    const other = f.at.place(1, FIRST.subarray(0, 1_000), 5_000, { lengthBytes: 5_000 });
    f.at.says({
      kind: 'granted',
      id: open.id,
      shard: 0,
      ...other,
      checksum: null,
      totalBytes: 5_000,
      cold: true,
    });
    await until(() => f.tiers.length > 0, 'the first bytes');
    f.at.arrives(0, FIRST.subarray(0, 100));
    f.at.arrives(1, FIRST.subarray(1_000, 5_000));
    assert.ok((await answer).body.equals(FIRST.subarray(0, 5_000)));
    assert.equal(f.overs.length, 1);
  });

  it('cuts an answer that fails midway, so that nobody takes it for complete', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    f.opened(
      open,
      f.at.place(0, FIRST.subarray(0, 1_000), TOTAL_BYTES, { lengthBytes: SHARD_BYTES }),
    );
    await until(() => f.tiers.length > 0, 'the first bytes');
    f.at.says({
      kind: 'refused',
      id: open.id,
      error: { code: 'CHECKSUM_MISMATCH', message: 'lied to' },
    });
    await assert.rejects(answer);
    assert.deepEqual([f.overs[0]!.error, f.overs[0]!.sentBytes], ['CHECKSUM_MISMATCH', 1_000]);
  });

  it('tells control when the client leaves, once', async () => {
    const socket = connect({ host: '127.0.0.1', port: f.port });
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const open = await f.at.hears('open');
    socket.destroy();
    assert.deepEqual(await f.at.hears('close'), {
      kind: 'close',
      id: open.id,
      whole: false,
      sentBytes: 0,
      read: emptySummary(),
    });
    f.opened(open, f.at.place(0, SMALL, 1_000));
    await f.get({}, 'GET', '/nowhere');
    assert.deepEqual(
      f.overs.map(({ aborted, failed }) => [aborted, failed]),
      [[true, true]],
    );
    assert.equal(f.at.heard.filter((message) => message.kind === 'close').length, 1);
  });

  it('says when some of the first shard has come, but not for a small read', async () => {
    for (const isSmall of [true, false]) {
      const answer = f.get(isSmall ? { range: 'bytes=0-99' } : {});
      const open = await f.at.hears('open');
      const someBytes = READ_AHEAD_FROM * SHARD_BYTES;
      const [some, rest] = [FIRST.subarray(0, someBytes), FIRST.subarray(someBytes)];
      // Other nodes sent it: no byte is vouched for yet.
      const place = f.at.place(0, some, TOTAL_BYTES, {
        lengthBytes: SHARD_BYTES,
        releasedBytes: 0,
      });
      f.opened(open, place, { totalBytes: null });
      if (isSmall) {
        f.at.arrives(0, rest);
        assert.equal((await answer).body.length, 100);
        assert.ok(f.at.heard.every(({ kind }) => kind !== 'want'));
        continue;
      }
      const { id, shard, placed } = await f.at.hears('want');
      assert.deepEqual([id, shard, placed], [open.id, 0, true]);
      f.at.arrives(0, rest);
      await f.at.hears('want');
      f.at.says({
        kind: 'granted',
        id,
        shard: 1,
        ...f.at.place(1, SECOND, TOTAL_BYTES),
        checksum: null,
        totalBytes: TOTAL_BYTES,
        cold: true,
      });
      assert.equal((await answer).body.length, TOTAL_BYTES);
    }
  });

  it('says so, too, when the bytes go on to the client as they come', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    const parts = [0, READ_AHEAD_FROM / 2, READ_AHEAD_FROM, 1].map((part) => part * SHARD_BYTES);
    const piece = (index: number): Buffer => FIRST.subarray(parts[index], parts[index + 1]);
    const place = f.at.place(0, piece(0), TOTAL_BYTES, { lengthBytes: SHARD_BYTES });
    f.opened(open, place);
    await until(() => f.tiers.length > 0, 'the first bytes');
    assert.ok(f.at.heard.every(({ kind }) => kind !== 'want'));
    f.at.arrives(0, piece(1));
    const { id, shard, placed } = await f.at.hears('want');
    assert.deepEqual([id, shard, placed], [open.id, 0, true]);
    f.at.arrives(0, piece(2));
    assert.equal((await f.at.hears('want')).shard, 1);
    const second = f.at.place(1, SECOND, TOTAL_BYTES);
    const message = { id, shard: 1, ...second, checksum: null, totalBytes: TOTAL_BYTES };
    f.at.says({ kind: 'granted', ...message, cold: true });
    assert.equal((await answer).body.length, TOTAL_BYTES);
  });

  it('asks again when the slot was taken before it looked', async () => {
    const answer = f.get();
    const open = await f.at.hears('open');
    const stale = f.at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    f.at.place(0, SECOND, TOTAL_BYTES);
    f.opened(open, stale);
    const want = await f.at.hears('want');
    assert.deepEqual([want.id, want.shard, want.placed], [open.id, 0, false]);
    f.at.says({
      kind: 'granted',
      id: open.id,
      shard: 0,
      ...f.at.place(1, SMALL, 1_000),
      checksum: null,
      totalBytes: 1_000,
      cold: false,
    });
    assert.ok((await answer).body.equals(SMALL));
  });
});
