import assert from 'node:assert/strict';
import type { ShoalError } from '../../lib/errors.ts';
import { serveProxy } from '../../lib/front/proxy.ts';
import { FirstReads } from '../../lib/front/first-reads.ts';
import { WarmMemory } from '../../lib/front/warm.ts';
import { ORIGIN_BYTES_MAX } from '../../lib/wire/limits.ts';
import { frontFixture, type FrontFixture } from './fixture.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

describe('front/proxy', () => {
  let at: FrontFixture;
  let draining: boolean;
  let refusals: string[];
  let passes: unknown[];

  beforeEach(async () => {
    at = frontFixture(1);
    [draining, refusals, passes] = [false, [], []];
    const route = {
      prefix: 'accelerator',
      registries: [{ upstream: 'https://r.example' }],
      allow: ['*.aliyuncs.com'],
    };
    serveProxy(at.app, {
      arena: at.arena,
      followers: at.followers,
      turn: at.turn,
      link: at.link,
      throttle: null,
      tracing: false,
      warm: new WarmMemory(),
      nowMs: () => 5,
      watermark: (slot, fromBytes) => at.arena.sendableTo(slot, fromBytes),
      route: () => route,
      firstReads: new FirstReads(at.arena),
      tally: { add: () => undefined },
      warmRead: () => undefined,
      started: () => undefined,
      over: () => undefined,
      sent: () => undefined,
      firstByte: () => undefined,
      draining: () => draining,
      passed: (answer) => passes.push(answer),
      refused: (error: ShoalError) => refusals.push(error.code),
    });
    await at.listen();
  });
  afterEach(() => at.close());

  it('passes a request through with the headers that belong to it, and no others', async () => {
    const answer = at.get('/v2/app/manifests/latest?ns=r.example', {
      headers: {
        accept: 'application/json',
        authorization: 'Bearer t',
        'user-agent': 'x/1',
        cookie: 'c=1',
        'x-forwarded-for': '1.2.3.4',
      },
    });
    const { id, requestId, ...relay } = await at.hears('relay');
    assert.match(requestId, /^[0-9a-f]{16}$/);
    assert.deepEqual(relay, {
      kind: 'relay',
      method: 'GET',
      url: 'https://r.example/v2/app/manifests/latest',
      upstreamHost: 'r.example',
      what: 'manifest',
      scope: 'repo r.example/app',
      repository: 'app',
      reference: 'latest',
      headers: { accept: 'application/json', authorization: 'Bearer t', 'user-agent': 'x/1' },
    });
    at.says({
      kind: 'answer',
      id,
      status: 200,
      headers: {
        'content-type': 'application/x',
        'docker-content-digest': DIGEST,
        'content-length': '2',
      },
      body: new TextEncoder().encode('{}'),
    });
    const { status, headers, body } = await answer;
    assert.deepEqual(
      [
        status,
        headers['content-type'],
        headers['docker-content-digest'],
        headers['content-length'],
        body.toString(),
      ],
      [200, 'application/x', DIGEST, '2', '{}'],
    );
    assert.deepEqual(passes, [{ bodyBytes: 2, startMs: 5, status: 200, error: null }]);
  });

  it('joins an Accept of several lines, as skopeo and docker send it', async () => {
    const answer = at.get('/v2/app/manifests/latest', {
      headers: { accept: ['a/b', 'c/d;q=0.5'], authorization: 'Basic a' } as never,
    });
    const { id, headers } = await at.hears('relay');
    assert.deepEqual(headers, { accept: 'a/b, c/d;q=0.5', authorization: 'Basic a' });
    at.says({ kind: 'answer', id, status: 200, headers: {}, body: new Uint8Array(0) });
    await answer;
  });

  it('says why a request could not be relayed, and its request id in the log', async () => {
    const answer = at.get('/v2/app/manifests/latest', {
      headers: { 'shoal-request-id': 'pull-12345678' },
    });
    const { id, requestId } = await at.hears('relay');
    at.says({ kind: 'refused', id, error: { code: 'ORIGIN_TIMEOUT', message: 'late' } });
    const { status, headers } = await answer;
    assert.deepEqual(
      [status, requestId, headers['shoal-request-id']],
      [504, 'pull-12345678', 'pull-12345678'],
    );
    assert.deepEqual(passes, [{ bodyBytes: 0, startMs: 5, status: 504, error: 'ORIGIN_TIMEOUT' }]);
  });

  it('answers HEAD with the length the registry told', async () => {
    const answer = at.get('/v2/app/manifests/latest', { method: 'HEAD' });
    const { id, method } = await at.hears('relay');
    assert.equal(method, 'HEAD');
    at.says({
      kind: 'answer',
      id,
      status: 200,
      headers: { 'content-length': '1234' },
      body: new Uint8Array(0),
    });
    const { headers, body } = await answer;
    assert.deepEqual([headers['content-length'], body.length], ['1234', 0]);
  });

  it('passes on the token challenge', async () => {
    const answer = at.get('/v2/');
    const { id } = await at.hears('relay');
    at.says({
      kind: 'answer',
      id,
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="https://auth.example/token"' },
      body: new Uint8Array(0),
    });
    const { status, headers } = await answer;
    assert.deepEqual(
      [status, headers['www-authenticate']],
      [401, 'Bearer realm="https://auth.example/token"'],
    );
  });

  it('says why the registry could not be asked', async () => {
    const answer = at.get('/v2/app/tags/list');
    at.says({
      kind: 'refused',
      id: (await at.hears('relay')).id,
      error: { code: 'ORIGIN_UNREACHABLE', message: 'down' },
    });
    assert.equal((await answer).status, 502);
  });

  it('reads the raw URL under the prefix: nothing decoded, `//` and query kept', async () => {
    const url = 'https://bucket.oss.aliyuncs.com/a%2Fb//c/layer?Expires=1&Signature=a%2Bb%3D';
    const answer = at.get(`/accelerator/${url}`, { headers: { range: 'bytes=0-0' } });
    const open = await at.hears('open');
    assert.equal(open.blob.url, url);
    assert.deepEqual([open.shard, open.untilShard], [0, 0]);
    at.says({
      kind: 'refused',
      id: open.id,
      error: { code: 'ORIGIN_REFUSED', message: 'expired', status: 403 },
    });
    assert.equal((await answer).status, 403);
  });

  it('takes long tokens and signed URLs', async () => {
    const answer = at.get(`/accelerator/https://b.aliyuncs.com/x?token=${'s'.repeat(20_000)}`, {
      headers: { authorization: `Bearer ${'t'.repeat(20_000)}` },
    });
    const open = await at.hears('open');
    assert.equal(open.authorization!.length, 20_007);
    at.says({
      kind: 'refused',
      id: open.id,
      error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 },
    });
    await answer;
  });

  it('refuses with 431 what could not be sealed for another node', async () => {
    const token = 's'.repeat(ORIGIN_BYTES_MAX - 20_000);
    const headers = { authorization: `Bearer ${'t'.repeat(20_000)}` };
    const blob = `/accelerator/https://b.aliyuncs.com/x?token=${token}`;
    assert.equal((await at.get(blob, { headers })).status, 431);
    const manifest = `/v2/app/manifests/latest?x=${token}`;
    assert.equal((await at.get(manifest, { headers })).status, 431);
    assert.deepEqual(refusals, ['HEAD_TOO_LARGE', 'HEAD_TOO_LARGE']);
    assert.deepEqual(at.heard, []);
  });

  it("hands the client's own request id on, when it is well-formed", async () => {
    for (const [given, kept] of [
      ['pull-12345678', true],
      ['short', false],
      ['x'.repeat(65), false],
      ['a b c d e f g h', false],
    ] as const) {
      const answer = at.get(`/v2/app/blobs/${DIGEST}`, { headers: { 'shoal-request-id': given } });
      const open = await at.hears('open');
      assert.equal(open.requestId === given, kept, given);
      at.says({ kind: 'refused', id: open.id, error: { code: 'CANCELLED', message: 'enough' } });
      await answer;
    }
  });

  it('refuses by itself what it must not fetch', async () => {
    const cases: [string, string, number, string][] = [
      ['POST', '/v2/app/blobs/uploads/', 405, 'METHOD_UNSUPPORTED'],
      ['PUT', '/v2/app/manifests/latest', 405, 'METHOD_UNSUPPORTED'],
      ['GET', '/accelerator/http://169.254.169.254/latest/meta-data', 403, 'HOST_NOT_ALLOWED'],
      ['GET', '/v2/app/blobs/sha256:xyz', 400, 'DIGEST_INVALID'],
      ['GET', '/elsewhere', 404, 'PATH_UNKNOWN'],
      ['HEAD', '/elsewhere', 404, 'PATH_UNKNOWN'],
    ];
    for (const [method, path, status, code] of cases) {
      const got = await at.get(path, { method });
      assert.equal(got.status, status, path);
      assert.equal(got.headers.allow, status === 405 ? 'GET, HEAD' : undefined);
      assert.equal(refusals.at(-1), code);
    }
    assert.deepEqual(at.heard, []);
  });

  it('sends clients away while it drains, with a word when to come back', async () => {
    draining = true;
    const { status, headers } = await at.get('/v2/');
    assert.deepEqual([status, headers['retry-after']], [503, '1']);
    assert.deepEqual(refusals, ['DRAINING']);
    assert.deepEqual(at.heard, []);
  });
});
