import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { BlobAnswerTools } from '../../lib/front/blob-answer.ts';
import { serveProxy } from '../../lib/front/proxy.ts';
import { emptySummary } from '../../lib/front/read-tally.ts';
import { FirstReads } from '../../lib/front/first-reads.ts';
import { WarmMemory } from '../../lib/front/warm.ts';
import { SlotSource } from '../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { STALE_WARNING } from '../../lib/registry/words.ts';
import type { OpenRequest } from '../../lib/workers/messages.ts';
import { until } from '../telemetry/until.ts';
import { frontFixture, type Answer, type FrontFixture } from './fixture.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const PATH = `/v2/app/blobs/${DIGEST}`;
const SMALL = randomBytes(1_000);
const [FIRST, SECOND] = [randomBytes(SHARD_BYTES), randomBytes(SHARD_BYTES)];
const TOTAL_BYTES = 2 * SHARD_BYTES;

type Over = Parameters<BlobAnswerTools['over']>[0];

describe('front/blob-answer', () => {
  let at: FrontFixture;
  let overs: Over[];
  let warmReads: [string, number, number][];
  let tiers: [string, number][];
  let firsts: string[];
  let nowMs: number;
  let port: number;

  beforeEach(async () => {
    at = frontFixture(3);
    [overs, warmReads, tiers, firsts, nowMs] = [[], [], [], [], 1_000];
    serveProxy(at.app, {
      arena: at.arena,
      followers: at.followers,
      turn: at.turn,
      link: at.link,
      throttle: null,
      warm: new WarmMemory(),
      nowMs: () => nowMs,
      watermark: (slot, fromBytes) => at.arena.sendableTo(slot, fromBytes),
      route: { prefix: 'accelerator', registries: [{ upstream: 'https://r.example' }], allow: [] },
      started: () => undefined,
      draining: () => false,
      passed: () => undefined,
      refused: () => undefined,
      firstReads: new FirstReads(at.arena),
      tally: { add: () => undefined },
      warmRead: ({ name, offsetBytes, bytes }) => warmReads.push([name.key, offsetBytes, bytes]),
      over: (answer) => overs.push(answer),
      sent: (tier, bytes) => tiers.push([tier, bytes]),
      firstByte: (tier) => firsts.push(tier),
    });
    port = await at.listen();
  });
  afterEach(() => at.close());

  const get = (
    headers: Record<string, string> = {},
    method = 'GET',
    path = PATH,
  ): Promise<Answer> =>
    at.get(path, { method, headers: { authorization: 'Bearer t', ...headers } });
  const opened = (
    open: OpenRequest,
    place: { slot: number; generation: number },
    more: {
      totalBytes?: number | null;
      provenBytes?: number | null;
      cold?: boolean;
      grantMs?: number;
      stale?: boolean;
    } = {},
  ): void =>
    at.says({
      kind: 'opened',
      id: open.id,
      shard: open.shard,
      ...place,
      totalBytes: null,
      provenBytes: null,
      cold: false,
      grantMs: 0,
      stale: false,
      turnMs: 0,
      ...more,
    });

  it('says so when the right is an old one, the registry being down', async () => {
    for (const stale of [true, false]) {
      const answer = get();
      const open = await at.hears('open');
      opened(open, at.place(0, SMALL, 1_000), { stale });
      assert.equal((await answer).headers.warning, stale ? STALE_WARNING : undefined);
    }
  });

  it('sends nothing of a blob that has another size than what the right was proven for, whenever it hears of it', async () => {
    for (const method of ['GET', 'HEAD']) {
      for (const totalBytes of [1_000, null]) {
        const answer = get({}, method);
        const open = await at.hears('open');
        const place = at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
        if (totalBytes !== null) at.arena.setLength(0, 1_000, 1_000);
        opened(open, place, { totalBytes, provenBytes: 19, grantMs: 60_000 });
        at.arena.setLength(0, 1_000, 1_000);
        at.arrives(0, SMALL);
        const { status, headers, body } = await answer;
        assert.deepEqual(
          [status, headers['content-range'], body.length < 200],
          [502, undefined, true],
        );
      }
    }
    assert.deepEqual(
      [tiers, overs.map(({ error }) => error)],
      [[], Array.from({ length: 4 }, () => 'DIGEST_MISMATCH')],
    );
  });

  it('counts the time that a right lasts from when it was told, however long the first byte takes', async () => {
    const answer = get();
    const open = await at.hears('open');
    const place = at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    opened(open, place, { grantMs: 60_000 });
    // So that the front has heard it.
    await at.get('/nothing');
    nowMs += 25_000;
    at.arena.setLength(0, 1_000, 1_000);
    at.arrives(0, SMALL);
    await answer;
    nowMs += 35_000;
    const again = get();
    const { id } = await at.hears('open');
    opened({ ...open, id }, place);
    await again;
  });

  it('asks control with all it knows, and answers from the place it is told', async () => {
    const answer = get();
    const open = await at.hears('open');
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
    opened(open, at.place(0, SMALL, 1_000));
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
    assert.deepEqual(await at.hears('close'), {
      kind: 'close',
      id: open.id,
      whole: true,
      sentBytes: 1_000,
      read: {
        sources: { arena: 0, runtime: 0, disk: 1_000, peer: 0, origin: 0 },
        waitedMs: { access: 0, turn: 0, throttle: 0, disk: 0, peer: 0, origin: 0 },
      },
    });
    const { name, ...over } = overs[0]!;
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

  it('waits for the size when control does not know it yet', async () => {
    const answer = get();
    const open = await at.hears('open');
    const place = at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    opened(open, place, { cold: true });
    at.arena.setSource(0, SlotSource.peer);
    at.arena.setLength(0, 1_000, 1_000);
    at.arrives(0, SMALL);
    assert.ok((await answer).body.equals(SMALL));
    assert.deepEqual([firsts, overs[0]!.tier], [['peer'], 'peer']);
    assert.ok(tiers.every(([tier]) => tier === 'peer'));
  });

  it('begins with the first shard, though what is read ahead has a place already and no byte yet', async () => {
    const socket = connect(port, '127.0.0.1');
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: r.example\r\n\r\n`);
    const open = await at.hears('open');
    const other = get();
    const { id } = await at.hears('open');
    const [first, second] = [0, 1].map((slot) =>
      at.place(slot, Buffer.alloc(0), TOTAL_BYTES, { lengthBytes: SHARD_BYTES }),
    );
    opened(open, first!, { totalBytes: TOTAL_BYTES, cold: true });
    at.says({
      kind: 'granted',
      id: open.id,
      shard: 1,
      ...second!,
      checksum: null,
      totalBytes: TOTAL_BYTES,
      cold: true,
    });
    at.says({ kind: 'refused', id, error: { code: 'ORIGIN_TIMEOUT', message: 'late' } });
    assert.equal((await other).status, 504, 'so the front has heard all that was said before');
    at.arrives(0, SMALL);
    await until(() => received.includes(SMALL), 'the first bytes of the first shard', 2_000);
    at.arrives(0, FIRST.subarray(SMALL.length));
    at.arrives(1, SECOND);
    await until(() => received.length > TOTAL_BYTES, 'the rest', 2_000);
    assert.ok(received.subarray(-SHARD_BYTES).equals(SECOND));
    assert.equal((await at.hears('want')).placed, true, 'the place told before is known');
    socket.destroy();
  });

  const ranges: [string, string, number, number | null, number, string][] = [
    ['a closed range', 'bytes=100-199', 0, 0, 206, `bytes 100-199/${TOTAL_BYTES}`],
    [
      'an open range',
      `bytes=${SHARD_BYTES}-`,
      1,
      null,
      206,
      `bytes ${SHARD_BYTES}-${TOTAL_BYTES - 1}/${TOTAL_BYTES}`,
    ],
    [
      'a range over two shards',
      `bytes=${SHARD_BYTES - 1}-${SHARD_BYTES}`,
      0,
      1,
      206,
      `bytes ${SHARD_BYTES - 1}-${SHARD_BYTES}/${TOTAL_BYTES}`,
    ],
    [
      'the end by its length',
      'bytes=-5',
      0,
      null,
      206,
      `bytes ${TOTAL_BYTES - 5}-${TOTAL_BYTES - 1}/${TOTAL_BYTES}`,
    ],
    [
      'a range past the end',
      `bytes=${TOTAL_BYTES - 1}-${5 * SHARD_BYTES - 1}`,
      1,
      4,
      206,
      `bytes ${TOTAL_BYTES - 1}-${TOTAL_BYTES - 1}/${TOTAL_BYTES}`,
    ],
    ['several ranges, as the whole', 'bytes=0-1,5-6', 0, null, 200, ''],
  ];
  for (const [what, range, shard, untilShard, status, contentRange] of ranges) {
    it(`answers ${what}`, async () => {
      const answer = get({ range });
      const places = [at.place(0, FIRST, TOTAL_BYTES), at.place(1, SECOND, TOTAL_BYTES)];
      const open = await at.hears('open');
      assert.deepEqual([open.shard, open.untilShard], [shard, untilShard]);
      opened(open, places[shard]!, { totalBytes: TOTAL_BYTES });
      const other =
        shard === 0 &&
        (range === 'bytes=-5' || status === 200 || contentRange.includes(`${SHARD_BYTES - 1}-`));
      if (other) {
        const want = await at.hears('want');
        assert.deepEqual([want.shard, want.placed], [1, false]);
        at.says({
          kind: 'granted',
          id: open.id,
          shard: 1,
          ...places[1]!,
          checksum: null,
          totalBytes: TOTAL_BYTES,
          cold: false,
        });
      }
      const got = await answer;
      assert.equal(got.status, status);
      assert.equal(got.headers['content-range'] ?? '', contentRange);
      const [, from, to] = /(\d+)-(\d+)/.exec(contentRange) ?? [];
      const whole = Buffer.concat([FIRST, SECOND]);
      assert.ok(
        got.body.equals(from === undefined ? whole : whole.subarray(Number(from), Number(to) + 1)),
      );
    });
  }

  it('says 416 with the size, and the whole when If-Range does not fit', async () => {
    const outside = get({ range: 'bytes=1000-' });
    const first = await at.hears('open');
    const place = at.place(0, SMALL, 1_000);
    opened(first, place);
    const { status, headers } = await outside;
    assert.deepEqual([status, headers['content-range']], [416, 'bytes */1000']);
    for (const [etag, due] of [
      [`"${DIGEST}"`, 206],
      ['"other"', 200],
      [`W/"${DIGEST}"`, 200],
    ] as const) {
      const answer = get({ range: 'bytes=0-9', 'if-range': etag });
      opened(await at.hears('open'), place);
      assert.equal((await answer).status, due, etag);
    }
  });

  it('answers HEAD from the size alone', async () => {
    const answer = get({}, 'HEAD');
    const open = await at.hears('open');
    assert.equal(open.untilShard, 0);
    opened(open, at.place(0, Buffer.alloc(0), TOTAL_BYTES, { lengthBytes: SHARD_BYTES }), {
      totalBytes: TOTAL_BYTES,
    });
    const { status, headers, body } = await answer;
    assert.deepEqual(
      [status, headers['content-length'], body.length],
      [200, String(TOTAL_BYTES), 0],
    );
  });

  it('answers an empty blob', async () => {
    const answer = get();
    opened(await at.hears('open'), at.place(0, Buffer.alloc(0), 0));
    const { status, headers } = await answer;
    assert.deepEqual([status, headers['content-length']], [200, '0']);
  });

  it('says why a client may not read, and tells control that it is over', async () => {
    const answer = get();
    const open = await at.hears('open');
    at.says({
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
    assert.equal((await at.hears('close')).whole, false);
    assert.deepEqual(
      [overs[0]!.failed, overs[0]!.aborted, overs[0]!.error],
      [true, false, 'ORIGIN_REFUSED'],
    );
  });

  it('waits for its slice only, and tells control where that begins', async () => {
    const answer = get({ range: 'bytes=1500000-1565535' });
    const open = await at.hears('open');
    assert.deepEqual([open.shard, open.sliceBytes], [0, 1_500_000]);
    const place = at.place(0, FIRST.subarray(0, 10), TOTAL_BYTES, { lengthBytes: SHARD_BYTES });
    at.arena.bytes(0, 1_500_000).set(FIRST.subarray(1_500_000));
    opened(open, place);
    at.arena.setAhead(0, 1_500_000, 1_600_000);
    at.doorbells.ringAll();
    const { status, body } = await answer;
    assert.equal(status, 206);
    assert.ok(body.equals(FIRST.subarray(1_500_000, 1_565_536)));
  });

  it('begins once, when control tells another place while it waits for the first', async () => {
    const answer = get();
    const open = await at.hears('open');
    opened(open, at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 }));
    const other = at.place(1, FIRST.subarray(0, 1_000), 5_000, { lengthBytes: 5_000 });
    at.says({
      kind: 'granted',
      id: open.id,
      shard: 0,
      ...other,
      checksum: null,
      totalBytes: 5_000,
      cold: true,
    });
    await until(() => tiers.length > 0, 'the first bytes');
    at.arrives(0, FIRST.subarray(0, 100));
    at.arrives(1, FIRST.subarray(1_000, 5_000));
    assert.ok((await answer).body.equals(FIRST.subarray(0, 5_000)));
    assert.equal(overs.length, 1);
  });

  it('cuts the answer off when it fails in the middle, so that nobody takes it for whole', async () => {
    const answer = get();
    const open = await at.hears('open');
    opened(open, at.place(0, FIRST.subarray(0, 1_000), TOTAL_BYTES, { lengthBytes: SHARD_BYTES }));
    await until(() => tiers.length > 0, 'the first bytes');
    at.says({
      kind: 'refused',
      id: open.id,
      error: { code: 'CHECKSUM_MISMATCH', message: 'lied to' },
    });
    await assert.rejects(answer);
    assert.deepEqual([overs[0]!.error, overs[0]!.sentBytes], ['CHECKSUM_MISMATCH', 1_000]);
  });

  it('tells control when the client leaves, once', async () => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const open = await at.hears('open');
    socket.destroy();
    assert.deepEqual(await at.hears('close'), {
      kind: 'close',
      id: open.id,
      whole: false,
      sentBytes: 0,
      read: emptySummary(),
    });
    opened(open, at.place(0, SMALL, 1_000));
    await get({}, 'GET', '/nowhere');
    assert.deepEqual(
      overs.map(({ aborted, failed }) => [aborted, failed]),
      [[true, true]],
    );
    assert.equal(at.heard.filter((message) => message.kind === 'close').length, 1);
  });

  it('asks again when the slot was taken before it looked', async () => {
    const answer = get();
    const open = await at.hears('open');
    const stale = at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    at.place(0, SECOND, TOTAL_BYTES);
    opened(open, stale);
    const want = await at.hears('want');
    assert.deepEqual([want.id, want.shard, want.placed], [open.id, 0, false]);
    at.says({
      kind: 'granted',
      id: open.id,
      shard: 0,
      ...at.place(1, SMALL, 1_000),
      checksum: null,
      totalBytes: 1_000,
      cold: false,
    });
    assert.ok((await answer).body.equals(SMALL));
  });

  describe('warm', () => {
    let place: { slot: number; generation: number };
    beforeEach(async () => {
      const answer = get();
      place = at.place(0, SMALL, 1_000);
      opened(await at.hears('open'), place, { grantMs: 60_000 });
      await answer;
      await at.hears('close');
    });

    it('answers the same request again without asking control', async () => {
      const messages = at.heard.length;
      const [whole, part, size] = [
        await get(),
        await get({ range: 'bytes=10-19' }),
        await get({}, 'HEAD'),
      ];
      assert.ok(whole.body.equals(SMALL) && part.body.equals(SMALL.subarray(10, 20)));
      assert.equal(size.headers['content-length'], '1000');
      assert.equal(at.heard.length, messages);
      assert.deepEqual(warmReads, [
        [DIGEST, 0, 1_000],
        [DIGEST, 10, 10],
      ]);
    });

    it('asks control for another credential, another URL, and once the grant is over', async () => {
      for (const [headers, path] of [
        [{ authorization: 'Bearer other' }, PATH],
        [{}, `${PATH}?x=1`],
        [{}, PATH.replace('app', 'other')],
      ] as const) {
        const answer = get(headers, 'GET', path);
        const open = await at.hears('open');
        at.says({
          kind: 'refused',
          id: open.id,
          error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 },
        });
        assert.equal((await answer).status, 403);
      }
      nowMs += 60_000;
      const answer = get();
      opened(await at.hears('open'), place);
      assert.equal((await answer).status, 200);
    });

    it('asks control where the shard is when it is no longer there, and never sends what lies there now', async () => {
      at.place(0, SECOND, TOTAL_BYTES);
      const answer = get();
      opened(await at.hears('open'), at.place(1, SMALL, 1_000));
      assert.ok((await answer).body.equals(SMALL));
    });
  });
});
