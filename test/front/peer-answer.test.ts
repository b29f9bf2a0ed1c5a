import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Envelope } from '../../lib/wire/envelope.ts';
import { recallPath, WORDS_PATH } from '../../lib/wire/recall.ts';
import { statPath } from '../../lib/wire/stat.ts';
import { PROTOCOL_VERSION } from '../../lib/wire/version.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { until } from '../telemetry/until.ts';
import {
  ASK,
  askPath,
  CHECKSUM,
  KEY,
  PeerFrontFixture,
  SELF,
  SMALL,
  WALL_MS,
} from './peer-fixture.ts';

describe('front/peer-answer', () => {
  let at: PeerFrontFixture;
  beforeEach(async () => {
    at = new PeerFrontFixture();
    await at.listen();
  });
  afterEach(() => at.front.close());

  it('passes a signed request to control, with the origin it carries decrypted', async () => {
    const origin = {
      url: 'https://r.example/b',
      upstreamHost: 'r.example',
      authorization: 'Bearer t',
    };
    const answer = at.get(askPath(), { origin, requestId: 'request-1' });
    const { id, ...ask } = await at.front.hears('ask');
    assert.deepEqual(ask, {
      kind: 'ask',
      query: ASK,
      origin,
      requestId: 'request-1',
    });
    at.granted(id, at.front.place(0, SMALL, 1_000), {
      checksum: CHECKSUM,
      pathname: '/https://r.example/b',
    });
    const { status, headers, body } = await answer;
    assert.deepEqual(
      [status, headers['shoal-total'], headers['shoal-checksum'], headers['content-length']],
      [200, '1000', CHECKSUM, '1000'],
    );
    assert.ok(body.equals(SMALL));
    assert.deepEqual(await at.front.hears('close'), {
      kind: 'close',
      id,
      whole: true,
      sentBytes: 1_000,
    });
    assert.deepEqual(at.overs, [
      {
        pathname: '/https://r.example/b',
        offsetBytes: 0,
        sentBytes: 1_000,
        failed: false,
        startMs: 5,
      },
    ]);
    assert.deepEqual(at.answered, ['data']);
  });

  it('passes all other requests to control, with their sealed content', async () => {
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
      const answer = at.get(to, { ...enclosed, requestId: 'request-1' });
      const { id, ...asked } = await at.front.hears('rpc');
      const [askedPath, query = ''] = to.split('?');
      assert.deepEqual(asked, {
        kind: 'rpc',
        path: askedPath,
        query,
        origin: null,
        words: to === WORDS_PATH ? words : null,
        requestId: 'request-1',
      });
      at.front.says({
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
      [{ ...at.envelope.headers(SELF, askPath()), 'shoal-auth': '' }, 401, 'PEER_UNAUTHORIZED'],
      [at.envelope.headers(SELF, askPath({ shard: 1 })), 401, 'PEER_UNAUTHORIZED'],
      [stranger.headers(SELF, askPath()), 401, 'PEER_UNAUTHORIZED'],
      [late.headers(SELF, askPath()), 401, 'PEER_UNAUTHORIZED'],
      [at.envelope.headers('10.0.0.2:65002', askPath()), 421, 'PEER_ADDRESS'],
      [newer.headers(SELF, askPath()), 426, 'PEER_VERSION'],
    ] as const) {
      const answer = await at.front.get(askPath(), { headers });
      assert.equal(answer.status, status);
      assert.equal((JSON.parse(answer.body.toString()) as { code: string }).code, code);
      assert.deepEqual(at.refused.splice(0), [code]);
    }
    assert.deepEqual(at.front.heard, []);
  });

  it('refuses what is not a request between nodes', async () => {
    assert.equal((await at.get('/rpc/pread/nonsense')).status, 400);
    assert.equal((await at.get('/v2/')).status, 404);
    assert.deepEqual(at.front.heard, []);
  });

  it('answers as control says if there are no bytes to send', async () => {
    const verdicts = [
      [
        307,
        { kind: 'redirect', parents: ['a:1'], checksum: CHECKSUM, totalBytes: 9 },
        { parents: ['a:1'], checksum: CHECKSUM, totalBytes: 9 },
      ],
      [503, { kind: 'busy', retryMs: 40 }, { kind: 'busy', retryMs: 40 }],
      [404, { kind: 'miss' }, { kind: 'miss' }],
    ] as const;
    for (const [status, verdict, said] of verdicts) {
      const answer = at.get(askPath());
      const { id } = await at.front.hears('ask');
      at.front.says({
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
      assert.deepEqual(await at.front.hears('close'), {
        kind: 'close',
        id,
        whole: false,
        sentBytes: 0,
      });
    }
    assert.deepEqual(at.answered, ['redirect', 'busy', 'miss']);
  });

  it("sends the code of a registry's refusal, but not its headers", async () => {
    const error = {
      code: 'ORIGIN_REFUSED',
      message: 'no',
      status: 401,
      headers: { 'www-authenticate': 'Bearer' },
    } as const;
    const answer = at.get(askPath());
    at.front.says({ kind: 'refused', id: (await at.front.hears('ask')).id, error });
    const { status, body } = await answer;
    assert.equal(status, 424);
    assert.deepEqual(JSON.parse(body.toString()), { code: 'ORIGIN_REFUSED', message: 'no' });
  });

  it('sends the refusal even if the slot was released first', async () => {
    const answer = at.get(askPath());
    const { id } = await at.front.hears('ask');
    at.granted(id, at.front.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 }));
    let turns = 0;
    await until(() => ++turns > 3, 'the front to follow');
    at.front.place(0, SMALL, 1_000);
    at.front.doorbells.ringAll();
    await until(() => ++turns > 8, 'the front to notice');
    at.front.says({
      kind: 'refused',
      id,
      error: { code: 'ORIGIN_REFUSED', message: 'no', status: 404 },
    });
    assert.equal((await answer).status, 424);
  });

  it('answers "busy" while another shard has the line, and sends when it has not', async () => {
    const needed = at.uploads.begin(-1, 1);
    assert.equal(needed.take(1), 1);
    for (const kind of ['busy', 'data']) {
      const answer = at.get(askPath({ holdMs: kind === 'busy' ? 1 : 10_000 }));
      const { id } = await at.front.hears('ask');
      at.granted(id, at.front.place(0, SMALL, 1_000));
      if (kind === 'data') needed.end();
      const { status, body } = await answer;
      assert.deepEqual([status, body.length > 500], kind === 'busy' ? [503, false] : [200, true]);
      await at.front.hears('close');
    }
    assert.deepEqual(at.answered, ['busy', 'data']);
  });

  it("refuses an offset past the shard's end", async () => {
    const answer = at.get(askPath({ fromBytes: 1_001 }));
    at.granted((await at.front.hears('ask')).id, at.front.place(0, SMALL, 1_000));
    assert.equal((await answer).status, 400);
  });

  it('tells control that a child has disconnected', async () => {
    const socket = connect({ host: '127.0.0.1', port: at.port });
    const headers = Object.entries(at.envelope.headers(SELF, askPath()))
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    socket.write(`GET ${askPath()} HTTP/1.1\r\n${headers}\r\n`);
    const { id } = await at.front.hears('ask');
    socket.destroy();
    assert.deepEqual(await at.front.hears('close'), {
      kind: 'close',
      id,
      whole: false,
      sentBytes: 0,
    });
  });

  it('answers "miss" while the node drains', async () => {
    at.draining = true;
    assert.equal((await at.get(askPath())).status, 404);
    assert.deepEqual(at.front.heard, []);
  });
});
