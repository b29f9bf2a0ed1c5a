import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import {
  preadPath,
  recallPath,
  statPath,
  WORDS_PATH,
  type PreadQuery,
} from '../../lib/wire/rpc.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { servePeers } from '../../lib/front/peer-answer.ts';
import { SlotSource } from '../../lib/io/arena.ts';
import { PEER_HOLD_MS, SHARD_BYTES } from '../../lib/limits.ts';
import { RECALL_IDS_MAX } from '../../lib/wire/limits.ts';
import { readFromPeer } from '../../lib/workers/peer/read.ts';
import { until } from '../telemetry/until.ts';
import { readJob, transferTools } from '../workers/peer/peer-server.ts';
import { frontFixture, type Answer, type FrontFixture } from './fixture.ts';

const KEY = `sha256:${'ab'.repeat(32)}`;
const WORD = 'cd'.repeat(32);
const SHARD = randomBytes(SHARD_BYTES);
const SMALL = randomBytes(1_000);
const WALL_MS = 1_700_000_000_000;

describe('front/peer-answer', () => {
  const secret = new ClusterSecret(Buffer.alloc(32, 1));
  let at: FrontFixture;
  let port: number;
  let draining: boolean;
  let answered: string[];
  let intruders: number;
  let tiers: [string, number][];
  let overs: unknown[];

  beforeEach(async () => {
    at = frontFixture(2);
    [draining, answered, intruders, tiers, overs] = [false, [], 0, [], []];
    servePeers(at.app, {
      arena: at.arena,
      followers: at.followers,
      turn: at.turn,
      link: at.link,
      secret,
      throttle: null,
      wallMs: () => WALL_MS,
      nowMs: () => 5,
      draining: () => draining,
      started: () => undefined,
      over: (op, over) => overs.push({ op, ...over }),
      sent: (tier, bytes) => tiers.push([tier, bytes]),
      answered: (kind) => answered.push(kind),
      intruder: () => intruders++,
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
      ...more,
    });
  const get = (to: string, headers: Record<string, string> = {}): Promise<Answer> =>
    at.get(to, {
      headers: {
        'shoal-auth': secret.sign('GET', to, WALL_MS, headers['shoal-origin']),
        ...headers,
      },
    });
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
    const answer = get(path(), {
      'shoal-origin': secret.seal(JSON.stringify(origin)),
      'shoal-request-id': 'request-1',
    });
    const { id, ...ask } = await at.hears('ask');
    assert.deepEqual(ask, {
      kind: 'ask',
      key: KEY,
      shard: 0,
      node: '10.0.0.9:65002',
      zone: 'a',
      role: 'parent',
      exclude: ['x:1'],
      hops: 2,
      load: 4,
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
        op: 'rpc:pread',
        pathname: '/https://r.example/b',
        offsetBytes: 0,
        sentBytes: 1_000,
        failed: false,
        startMs: 5,
      },
    ]);
    assert.deepEqual(answered, ['data']);
  });

  it('has control answer what registries said lately, and takes what it is told of them out of its seal', async () => {
    const ids = ['ab'.repeat(32), 'cd'.repeat(32)];
    const recall = get(recallPath(ids));
    const { id, ...asked } = await at.hears('recall');
    assert.deepEqual(asked, { kind: 'recall', ids });
    at.says({
      kind: 'answer',
      id,
      status: 200,
      headers: { 'Content-Type': 'application/json' },
      body: Buffer.from('{}'),
    });
    assert.deepEqual([(await recall).status, (await recall).body.toString()], [200, '{}']);
    const words = { [ids[0]!]: { word: { kind: 'grant' }, ageMs: 1, node: 'n:1' } };
    const sealed = secret.seal(JSON.stringify(words));
    const tell = (header: string): Promise<Answer> =>
      at.get(WORDS_PATH, {
        headers: {
          'shoal-auth': secret.sign('GET', WORDS_PATH, WALL_MS, sealed),
          'shoal-words': header,
        },
      });
    assert.equal((await tell(sealed)).status, 200);
    assert.deepEqual(await at.hears('words'), { kind: 'words', words });
    assert.equal((await tell(secret.seal('{}'))).status, 401, 'another seal than was signed');
    for (const text of ['', '[]', '{"x":1}', 'no json']) {
      const seal = secret.seal(text);
      assert.equal(
        (
          await at.get(WORDS_PATH, {
            headers: {
              'shoal-auth': secret.sign('GET', WORDS_PATH, WALL_MS, seal),
              'shoal-words': seal,
            },
          })
        ).status,
        400,
        text,
      );
    }
    for (const path of [
      '/rpc/recall/',
      '/rpc/recall/x',
      recallPath(Array.from({ length: RECALL_IDS_MAX + 1 }, () => ids[0]!)),
    ])
      assert.equal((await get(path)).status, 400, path);
    assert.equal((await at.get(recallPath(ids))).status, 401);
    assert.deepEqual(answered, ['recall', 'words']);
  });

  it('turns away what is not signed, or signed for another path, or by another cluster', async () => {
    const stranger = new ClusterSecret(Buffer.alloc(32, 2));
    for (const auth of [
      '',
      'x',
      secret.sign('GET', path({ shard: 1 }), WALL_MS),
      secret.sign('GET', path(), WALL_MS - 90_000),
      stranger.sign('GET', path(), WALL_MS),
    ]) {
      const { status, body } = await get(path(), { 'shoal-auth': auth });
      assert.equal(status, 401);
      assert.equal((JSON.parse(body.toString()) as { code: string }).code, 'PEER_UNAUTHORIZED');
    }
    assert.equal(
      (
        await at.get(
          statPath({ key: KEY, shard: 0, node: 'a:1', zone: null, parent: null, report: 'none' }),
        )
      ).status,
      401,
    );
    assert.equal(intruders, 6);
    assert.deepEqual(at.heard, []);
  });

  it('turns away what is no request between nodes', async () => {
    assert.equal((await get('/rpc/pread/nonsense')).status, 400);
    assert.equal((await get('/rpc/stat/nonsense')).status, 400);
    assert.equal((await get('/v2/')).status, 404);
    assert.deepEqual(at.heard, []);
  });

  it('takes a seal of somebody else for none, and one with something else in it', async () => {
    const origin = { url: 'https://r.example/b', upstreamHost: 'r.example', authorization: null };
    const texts = [
      '',
      '{',
      'null',
      '5',
      '[]',
      '{}',
      { ...origin, url: 5 },
      { ...origin, upstreamHost: null },
      { ...origin, authorization: {} },
      { ...origin, accept: 5 },
    ];
    const seals = [
      new ClusterSecret(Buffer.alloc(32, 2)).seal(JSON.stringify(origin)),
      ...texts.map((text) => secret.seal(typeof text === 'string' ? text : JSON.stringify(text))),
    ];
    for (const seal of seals) {
      const answer = get(path(), { 'shoal-origin': seal });
      const ask = await at.hears('ask');
      assert.equal(ask.origin, null);
      at.says({ kind: 'peer', id: ask.id, answer: { kind: 'miss' } });
      await answer;
    }
  });

  it('passes on what control says instead of sending', async () => {
    const verdicts = [
      [307, { kind: 'redirect', parents: ['a:1'], checksum: WORD, totalBytes: 9 }],
      [503, { kind: 'busy', retryMs: 40 }],
      [404, { kind: 'miss' }],
    ] as const;
    for (const [status, verdict] of verdicts) {
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
      assert.deepEqual(JSON.parse(got.body.toString()), verdict);
      assert.deepEqual(await at.hears('close'), { kind: 'close', id, whole: false, sentBytes: 0 });
    }
    assert.deepEqual(answered, ['redirect', 'busy', 'miss']);
  });

  it("passes on the origin's refusal as it is", async () => {
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
    assert.deepEqual(JSON.parse(body.toString()), error);
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
    socket.write(
      `GET ${path()} HTTP/1.1\r\nHost: x\r\nshoal-auth: ${secret.sign('GET', path(), WALL_MS)}\r\n\r\n`,
    );
    const { id } = await at.hears('ask');
    socket.destroy();
    assert.deepEqual(await at.hears('close'), { kind: 'close', id, whole: false, sentBytes: 0 });
  });

  it('sends children elsewhere while it drains', async () => {
    draining = true;
    assert.equal((await get(path())).status, 404);
    assert.deepEqual(at.heard, []);
  });

  it('answers a stat: the word, "busy", a miss or a refusal', async () => {
    const stat = statPath({
      key: KEY,
      shard: 3,
      node: '10.0.0.9:65002',
      zone: null,
      parent: 'p:1',
      report: 'slow',
    });
    const say = [
      [
        200,
        { kind: 'stat', totalBytes: 9, lengthBytes: 9, checksum: WORD },
        { totalBytes: 9, lengthBytes: 9, checksum: WORD },
      ],
      [503, { kind: 'peer', answer: { kind: 'busy', retryMs: 1 } }, { kind: 'busy', retryMs: 1 }],
      [404, { kind: 'peer', answer: { kind: 'miss' } }, { kind: 'miss' }],
      [
        424,
        { kind: 'refused', error: { code: 'ORIGIN_REFUSED', message: 'no' } },
        { code: 'ORIGIN_REFUSED', message: 'no' },
      ],
    ] as const;
    for (const [status, message, body] of say) {
      const answer = get(stat);
      const { id, ...asked } = await at.hears('stat');
      assert.deepEqual(asked, {
        kind: 'stat',
        key: KEY,
        shard: 3,
        node: '10.0.0.9:65002',
        zone: null,
        parent: 'p:1',
        report: 'slow',
      });
      at.says({ ...message, id } as never);
      const got = await answer;
      assert.equal(got.status, status);
      assert.deepEqual(JSON.parse(got.body.toString()), body);
    }
  });

  it('is understood by the reader on the other side, over one kept connection', async () => {
    const tools = transferTools();
    for (const [index, role] of (['owner', 'parent', 'root'] as const).entries()) {
      const to = path({ role });
      const reading = readFromPeer(
        readJob(
          { host: '127.0.0.1', port },
          { path: to, headers: { 'shoal-auth': secret.sign('GET', to, WALL_MS) } },
        ),
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
