import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { Envelope, type Enclosed } from '../../lib/wire/envelope.ts';
import { preadPath, type PreadQuery } from '../../lib/wire/pread.ts';
import { recallPath, WORDS_PATH } from '../../lib/wire/recall.ts';
import { statPath } from '../../lib/wire/stat.ts';
import { PROTOCOL_VERSION } from '../../lib/wire/version.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { Uploads } from '../../lib/front/uploads.ts';
import { servePeers } from '../../lib/front/peer-answer.ts';
import { SlotSource } from '../../lib/io/arena.ts';
import { PEER_HOLD_MS, SHARD_BYTES } from '../../lib/limits.ts';
import { readFromPeer } from '../../lib/workers/peer/read.ts';
import { until } from '../telemetry/until.ts';
import { readJob, transferTools } from '../workers/peer/peer-server.ts';
import { frontFixture, type Answer, type FrontFixture } from './fixture.ts';

const KEY = `sha256:${'ab'.repeat(32)}`;
const WORD = 'cd'.repeat(32);
const SHARD = randomBytes(SHARD_BYTES);
const SMALL = randomBytes(1_000);
const WALL_MS = 1_700_000_000_000;
const SELF = '10.0.0.1:65002';

describe('front/peer-answer', () => {
  const envelope = new Envelope({
    secret: new ClusterSecret(Buffer.alloc(32, 1)),
    self: SELF,
    wallMs: () => WALL_MS,
  });
  let at: FrontFixture;
  let port: number;
  let draining: boolean;
  let answered: string[];
  let refused: string[];
  let tiers: [string, number][];
  let overs: unknown[];

  beforeEach(async () => {
    at = frontFixture(2);
    [draining, answered, refused, tiers, overs] = [false, [], [], [], []];
    servePeers(at.app, {
      arena: at.arena,
      followers: at.followers,
      turn: at.turn,
      link: at.link,
      envelope,
      uploads: new Uploads(at.turn, () => 5),
      throttle: null,
      nowMs: () => 5,
      draining: () => draining,
      started: () => undefined,
      over: (over) => overs.push(over),
      sent: (tier, bytes) => tiers.push([tier, bytes]),
      answered: (kind) => answered.push(kind),
      refused: (code) => refused.push(code),
    });
    port = await at.listen();
  });
  afterEach(() => at.close());

  const path = (more: Partial<PreadQuery> = {}): string =>
    preadPath({
      key: KEY,
      shard: 0,
      fromBytes: 0,
      node: '10.0.0.9:65002',
      zone: 'a',
      role: 'parent',
      exclude: ['x:1'],
      hops: 2,
      load: 4,
      holdMs: 1000,
      shardMs: null,
      ...more,
    });
  const get = (to: string, enclosed: Enclosed = {}): Promise<Answer> =>
    at.get(to, { headers: envelope.headers(SELF, to, enclosed) });
  const granted = (
    id: number,
    place: { slot: number; generation: number },
    more: { checksum?: string | null; cold?: boolean; pathname?: string } = {},
  ): void =>
    at.says({
      kind: 'granted',
      id,
      shard: 0,
      ...place,
      checksum: null,
      totalBytes: null,
      cold: false,
      ...more,
    });

  it('hands a signed request to control, with the way to the origin out of its seal', async () => {
    const origin = {
      url: 'https://r.example/b',
      upstreamHost: 'r.example',
      authorization: 'Bearer t',
    };
    const answer = get(path(), { origin, requestId: 'request-1' });
    const { id, ...ask } = await at.hears('ask');
    assert.deepEqual(ask, {
      kind: 'ask',
      query: {
        key: KEY,
        shard: 0,
        fromBytes: 0,
        node: '10.0.0.9:65002',
        zone: 'a',
        role: 'parent',
        exclude: ['x:1'],
        hops: 2,
        load: 4,
        holdMs: 1000,
        shardMs: null,
      },
      origin,
      requestId: 'request-1',
    });
    granted(id, at.place(0, SMALL, 1_000), { checksum: WORD, pathname: '/https://r.example/b' });
    const { status, headers, body } = await answer;
    assert.deepEqual(
      [status, headers['shoal-total'], headers['shoal-checksum'], headers['content-length']],
      [200, '1000', WORD, '1000'],
    );
    assert.ok(body.equals(SMALL));
    assert.deepEqual(await at.hears('close'), { kind: 'close', id, whole: true, sentBytes: 1_000 });
    assert.deepEqual(overs, [
      {
        pathname: '/https://r.example/b',
        offsetBytes: 0,
        sentBytes: 1_000,
        failed: false,
        startMs: 5,
      },
    ]);
    assert.deepEqual(answered, ['data']);
  });

  it('has control answer everything but bytes, with what was sealed', async () => {
    const ids = ['ab'.repeat(32), 'cd'.repeat(32)];
    const words = JSON.stringify({ [ids[0]!]: { word: { kind: 'grant' }, ageMs: 1, node: 'n:1' } });
    const stat = statPath({
      key: KEY,
      shard: 3,
      node: '10.0.0.9:65002',
      zone: null,
      parent: 'p:1',
      report: 'slow',
    });
    for (const [to, enclosed] of [
      [stat, {}],
      [recallPath(ids), {}],
      [WORDS_PATH, { words }],
      ['/rpc/of-a-later-version?x=1', {}],
    ] as const) {
      const answer = get(to, { ...enclosed, requestId: 'request-1' });
      const { id, ...asked } = await at.hears('rpc');
      const [askedPath, query = ''] = to.split('?');
      assert.deepEqual(asked, {
        kind: 'rpc',
        path: askedPath,
        query,
        origin: null,
        words: to === WORDS_PATH ? words : null,
        requestId: 'request-1',
      });
      at.says({
        kind: 'answer',
        id,
        status: 503,
        headers: { 'Content-Type': 'application/json' },
        body: Buffer.from('{"kind":"busy"}'),
      });
      const { status, body } = await answer;
      assert.deepEqual([status, body.toString()], [503, '{"kind":"busy"}']);
    }
  });

  it('refuses a request that is not signed for this node, and reports it', async () => {
    const sealed = (parts: Partial<ConstructorParameters<typeof Envelope>[0]>): Envelope =>
      new Envelope({
        secret: new ClusterSecret(Buffer.alloc(32, 1)),
        self: '10.0.0.9:65002',
        wallMs: () => WALL_MS,
        ...parts,
      });
    const stranger = sealed({ secret: new ClusterSecret(Buffer.alloc(32, 2)) });
    const late = sealed({ wallMs: () => WALL_MS - 90_000 });
    const newer = sealed({ version: { major: PROTOCOL_VERSION.major + 1, minor: 0 } });
    for (const [headers, status, code] of [
      [{ ...envelope.headers(SELF, path()), 'shoal-auth': '' }, 401, 'PEER_UNAUTHORIZED'],
      [envelope.headers(SELF, path({ shard: 1 })), 401, 'PEER_UNAUTHORIZED'],
      [stranger.headers(SELF, path()), 401, 'PEER_UNAUTHORIZED'],
      [late.headers(SELF, path()), 401, 'PEER_UNAUTHORIZED'],
      [envelope.headers('10.0.0.2:65002', path()), 421, 'PEER_ADDRESS'],
      [newer.headers(SELF, path()), 426, 'PEER_VERSION'],
    ] as const) {
      const answer = await at.get(path(), { headers });
      assert.equal(answer.status, status);
      assert.equal((JSON.parse(answer.body.toString()) as { code: string }).code, code);
      assert.deepEqual(refused.splice(0), [code]);
    }
    assert.deepEqual(at.heard, []);
  });

  it('refuses what is not a request between nodes', async () => {
    assert.equal((await get('/rpc/pread/nonsense')).status, 400);
    assert.equal((await get('/v2/')).status, 404);
    assert.deepEqual(at.heard, []);
  });

  it('passes on what control says instead of sending', async () => {
    const verdicts = [
      [
        307,
        { kind: 'redirect', parents: ['a:1'], word: WORD, totalBytes: 9 },
        { parents: ['a:1'], checksum: WORD, totalBytes: 9 },
      ],
      [503, { kind: 'busy', retryMs: 40 }, { kind: 'busy', retryMs: 40 }],
      [404, { kind: 'miss' }, { kind: 'miss' }],
    ] as const;
    for (const [status, verdict, said] of verdicts) {
      const answer = get(path());
      const { id } = await at.hears('ask');
      at.says({
        kind: 'peer',
        id,
        answer: {
          ...verdict,
          ...('parents' in verdict ? { parents: [...verdict.parents] } : {}),
        } as never,
      });
      const got = await answer;
      assert.equal(got.status, status);
      assert.deepEqual(JSON.parse(got.body.toString()), said);
      assert.deepEqual(await at.hears('close'), { kind: 'close', id, whole: false, sentBytes: 0 });
    }
    assert.deepEqual(answered, ['redirect', 'busy', 'miss']);
  });

  it("tells another node the code of a refusal, and nothing that is for the registry's client", async () => {
    const error = {
      code: 'ORIGIN_REFUSED',
      message: 'no',
      status: 401,
      headers: { 'www-authenticate': 'Bearer' },
    } as const;
    const answer = get(path());
    at.says({ kind: 'refused', id: (await at.hears('ask')).id, error });
    const { status, body } = await answer;
    assert.equal(status, 424);
    assert.deepEqual(JSON.parse(body.toString()), { code: 'ORIGIN_REFUSED', message: 'no' });
  });

  it("passes on the refusal though the shard's slot was given up before the word of it came", async () => {
    const answer = get(path());
    const { id } = await at.hears('ask');
    granted(id, at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 }));
    let turns = 0;
    await until(() => ++turns > 3, 'the front to follow');
    at.place(0, SMALL, 1_000);
    at.doorbells.ringAll();
    await until(() => ++turns > 8, 'the bell to be heard');
    at.says({ kind: 'refused', id, error: { code: 'ORIGIN_REFUSED', message: 'no', status: 404 } });
    assert.equal((await answer).status, 424);
  });

  it('sends from the byte asked for, as it arrives, though clients may not see it yet', async () => {
    const answer = get(path({ fromBytes: 100 }));
    const { id } = await at.hears('ask');
    const place = at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    granted(id, place, { cold: true });
    at.arena.setSource(0, SlotSource.origin);
    at.arena.setLength(0, 1_000, 1_000);
    for (const [from, to] of [
      [0, 50],
      [50, 300],
      [300, 1_000],
    ] as const) {
      at.arena.bytes(0, from, to).set(SMALL.subarray(from, to));
      at.arena.setReceived(0, to);
      at.doorbells.ringAll();
      await until(
        () => tiers.reduce((sum, [, bytes]) => sum + bytes, 0) === Math.max(0, to - 100),
        `bytes up to ${to}`,
      );
    }
    assert.ok((await answer).body.equals(SMALL.subarray(100)));
    assert.deepEqual(new Set(tiers.map(([tier]) => tier)), new Set(['origin']));
  });

  it("sends who asks it as owner an owner's own bytes as they arrive, and others' only once they are checked", async () => {
    for (const role of ['owner', 'root'] as const) {
      const answer = get(path({ role }));
      const { id } = await at.hears('ask');
      const place = at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
      granted(id, place);
      tiers.length = 0;
      at.arena.setLength(0, 1_000, 1_000);
      const arrive = async (to: number, sentBytes: number): Promise<void> => {
        at.arena.bytes(0, 0, to).set(SMALL.subarray(0, to));
        at.arena.setReceived(0, to);
        at.doorbells.ringAll();
        let turns = 0;
        await until(
          () => tiers.reduce((sum, [, bytes]) => sum + bytes, 0) === sentBytes && ++turns > 4,
          `${sentBytes} bytes of ${to}`,
        );
      };
      at.arena.setOwned(0, true);
      await arrive(300, 300);
      at.arena.setOwned(0, false);
      await arrive(1_000, 300);
      at.arena.setReleased(0, 1_000);
      at.doorbells.ringAll();
      assert.ok((await answer).body.equals(SMALL));
    }
  });

  it('answers with nothing but the word when that is all that is missing', async () => {
    const answer = get(path({ fromBytes: 1_000 }));
    granted((await at.hears('ask')).id, at.place(0, SMALL, 1_000), { checksum: WORD });
    const { status, headers } = await answer;
    assert.deepEqual(
      [status, headers['content-length'], headers['shoal-checksum']],
      [200, '0', WORD],
    );
  });

  it("refuses a start past the shard's end", async () => {
    const answer = get(path({ fromBytes: 1_001 }));
    granted((await at.hears('ask')).id, at.place(0, SMALL, 1_000));
    assert.equal((await answer).status, 400);
  });

  it('says "busy" when it has no byte yet after a while, so that silence always means frozen', async () => {
    const startMs = performance.now();
    // One that has its first byte goes on meanwhile, as slow as it may be.
    const slow = get(path({ shard: 1 }));
    granted(
      (await at.hears('ask')).id,
      at.place(1, SMALL.subarray(0, 10), 1_000, { lengthBytes: 1_000 }),
    );
    const answer = get(path());
    const { id } = await at.hears('ask');
    granted(id, at.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 }));
    const { status, body } = await answer;
    assert.deepEqual([status, JSON.parse(body.toString())], [503, { kind: 'busy', retryMs: 1 }]);
    assert.ok(performance.now() - startMs >= PEER_HOLD_MS - 5);
    assert.equal((await at.hears('close')).whole, false);
    at.arrives(1, SMALL.subarray(10));
    assert.ok((await slow).body.equals(SMALL));
    assert.deepEqual(answered, ['data', 'busy']);
  });

  it('cuts the answer off when the shard is taken from under it', async () => {
    const answer = get(path());
    granted(
      (await at.hears('ask')).id,
      at.place(0, SHARD.subarray(0, 5_000), SHARD_BYTES, { lengthBytes: SHARD_BYTES }),
    );
    await until(() => tiers.length > 0, 'the first bytes');
    at.place(0, SMALL, 1_000);
    at.doorbells.ringAll();
    await assert.rejects(answer);
    assert.equal((await at.hears('close')).whole, false);
    assert.equal(
      tiers.reduce((sum, [, bytes]) => sum + bytes, 0),
      5_000,
    );
  });

  it('tells control that a child left', async () => {
    const socket = connect({ host: '127.0.0.1', port });
    const headers = Object.entries(envelope.headers(SELF, path()))
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    socket.write(`GET ${path()} HTTP/1.1\r\n${headers}\r\n`);
    const { id } = await at.hears('ask');
    socket.destroy();
    assert.deepEqual(await at.hears('close'), { kind: 'close', id, whole: false, sentBytes: 0 });
  });

  it('sends children elsewhere while it drains', async () => {
    draining = true;
    assert.equal((await get(path())).status, 404);
    assert.deepEqual(at.heard, []);
  });

  it('is understood by the reader on the other side, over one kept connection', async () => {
    const tools = transferTools();
    for (const [index, role] of (['owner', 'parent', 'root'] as const).entries()) {
      const to = path({ role });
      const reading = readFromPeer(
        readJob({ host: '127.0.0.1', port }, { path: to, headers: envelope.headers(SELF, to) }),
        tools,
      );
      const { id } = await at.hears('ask');
      granted(id, at.place(index % 2, SHARD, 3 * SHARD_BYTES), { checksum: WORD });
      const result = await reading;
      assert.ok(
        result.kind === 'data' && result.word === WORD && result.totalBytes === 3 * SHARD_BYTES,
      );
      assert.ok(SHARD.equals(tools.arena.bytes(0)));
    }
  });
});
