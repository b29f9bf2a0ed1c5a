import assert from 'node:assert/strict';
import { KEY, OTHER_KEY } from '../fixture.ts';
import {
  DIGEST,
  INDEX,
  INDEX_TYPE,
  MANIFEST,
  MANIFEST_TYPE,
  RelaysFixture,
  REMEMBERED,
  SCOPE,
  digestOf,
  manifestSaid,
  said,
  text,
} from './relays-fixture.ts';

describe('control/relays', () => {
  let at: RelaysFixture;
  beforeEach(() => (at = new RelaysFixture()));

  it('neither stores nor serves shared manifests for an unconfigured registry', async () => {
    at.isVouched = false;
    const body = new TextEncoder().encode('{}');
    at.result = said(200, { 'content-type': MANIFEST_TYPE }, body);
    await at.ask(digestOf(body), { authorization: 'Bearer t' });
    assert.deepEqual([[...at.kept.keys()], at.reads, at.told], [[], [], []]);
    at.kept.set(digestOf(body), body);
    await at.ask(digestOf(body), { authorization: 'Bearer t' });
    assert.deepEqual([at.asked.length, at.reads], [2, []], 'the registry is asked each time');
    at.recalled = {
      right: { isGranted: true, ageMs: 0 },
      manifest: { digest: digestOf(body), contentType: MANIFEST_TYPE, nodes: [] },
    };
    at.result = { kind: 'failed', error: { code: 'ORIGIN_UNREACHABLE', message: 'down' } };
    await assert.rejects(at.ask('latest', { authorization: 'Bearer t' }), {
      code: 'ORIGIN_UNREACHABLE',
    });
    assert.deepEqual(at.reads, []);
  });

  it('passes an answer on unchanged and remembers what it proves', async () => {
    at.result = manifestSaid();
    const answer = await at.ask('v1', { authorization: 'Basic a' });
    assert.deepEqual(answer, {
      status: 200,
      headers: { 'content-type': MANIFEST_TYPE, 'docker-content-digest': DIGEST },
      body: MANIFEST,
    });
    assert.equal(at.asked[0]!.isManifest, true);
    assert.deepEqual(at.told, [
      ['served', SCOPE, 'Basic a', [DIGEST, 'v1'], { digest: DIGEST, contentType: MANIFEST_TYPE }],
    ]);
    assert.equal(at.gate.mayHave(SCOPE, 'Basic a', KEY), true, 'the blobs of the manifest');
    assert.equal(at.gate.mayHave(SCOPE, null, KEY), false);
    assert.deepEqual([...at.kept.keys()], [DIGEST]);
  });

  it('serves a digest from the swarm once the registry has shown it to this client', async () => {
    at.result = said(200, {
      'content-type': MANIFEST_TYPE,
      'docker-content-digest': DIGEST,
      'content-length': String(MANIFEST.length),
    });
    await at.ask('v1', { method: 'HEAD', authorization: 'Basic a' });
    at.kept.set(DIGEST, MANIFEST);
    at.result = said(404);
    const answer = await at.ask(DIGEST, { authorization: 'Basic a' });
    assert.deepEqual(
      [
        answer.status,
        answer.headers['content-type'],
        answer.headers['docker-content-digest'],
        answer.headers['warning'],
        answer.body,
      ],
      [200, MANIFEST_TYPE, DIGEST, undefined, MANIFEST],
    );
    const head = await at.ask(DIGEST, { method: 'HEAD', authorization: 'Basic a' });
    assert.deepEqual(
      [head.headers['content-length'], head.body.length],
      [String(MANIFEST.length), 0],
    );
    assert.deepEqual(
      at.reads,
      [`${DIGEST} ${MANIFEST_TYPE}`, `${DIGEST} ${MANIFEST_TYPE}`],
      'the registry would be asked for that form',
    );
    assert.equal(at.asked.length, 1);
    for (const other of [
      { authorization: 'Basic b' },
      {},
      { authorization: 'Basic a', accept: INDEX_TYPE },
      { authorization: 'Basic a', headers: { 'if-none-match': '"x"' } },
    ])
      assert.equal((await at.ask(DIGEST, other)).status, 404);
    assert.equal(
      (await at.ask(OTHER_KEY, { authorization: 'Basic a' })).status,
      404,
      'the digest of a blob is not a manifest',
    );
    assert.deepEqual(at.counts, ['manifest.swarm', 'manifest.swarm']);
  });

  it('serves the manifests of an index from the swarm, or asks the registry for them', async () => {
    at.result = said(200, { 'content-type': INDEX_TYPE }, INDEX);
    await at.ask('v1');
    at.result = manifestSaid();
    assert.deepEqual((await at.ask(DIGEST)).body, MANIFEST);
    assert.equal(at.asked.length, 2);
    at.kept.set(DIGEST, MANIFEST);
    await at.ask(DIGEST);
    assert.equal(at.asked.length, 2);
    at.clock.advance(60_000);
    await at.ask(DIGEST);
    assert.equal(at.asked.length, 3, 'after accessTtl the registry is asked again');
  });

  it("takes a manifest's type from the registry or the manifest, not from an index", async () => {
    const untyped = text({ schemaVersion: 2, layers: [{ digest: OTHER_KEY, size: 1 }] });
    const digest = digestOf(untyped);
    at.kept.set(digest, untyped);
    at.result = said(
      200,
      { 'content-type': INDEX_TYPE },
      text({
        schemaVersion: 2,
        mediaType: INDEX_TYPE,
        manifests: [{ digest, mediaType: MANIFEST_TYPE, size: 1 }],
      }),
    );
    await at.ask('v1');
    assert.deepEqual(
      [(await at.ask(digest)).body, at.gate.mayHave(SCOPE, null, OTHER_KEY)],
      [untyped, false],
    );
    at.result = said(200, { 'content-type': MANIFEST_TYPE, 'docker-content-digest': digest });
    await at.ask(digest, { method: 'HEAD', headers: { 'if-none-match': '"x"' } });
    await at.ask(digest);
    assert.equal(at.gate.mayHave(SCOPE, null, OTHER_KEY), true);
  });

  it('always asks the registry for a tag', async () => {
    at.result = manifestSaid();
    for (let pull = 0; pull < 3; pull++) await at.ask('v1');
    assert.equal(at.asked.length, 3);
    assert.deepEqual(at.reads, []);
  });

  it("stores for a tag neither one client's choice of form nor a wrong digest", async () => {
    at.result = manifestSaid();
    await at.ask('v1', { accept: MANIFEST_TYPE });
    assert.deepEqual(at.told.shift(), [
      'served',
      SCOPE,
      null,
      [DIGEST],
      { digest: DIGEST, contentType: MANIFEST_TYPE },
    ]);
    at.result = said(
      200,
      { 'content-type': MANIFEST_TYPE, 'docker-content-digest': OTHER_KEY },
      MANIFEST,
    );
    await at.ask('v1');
    assert.deepEqual(at.told.shift(), ['served', SCOPE, null, ['v1'], null]);
    at.result = manifestSaid();
    await at.ask(OTHER_KEY);
    assert.deepEqual(at.told.shift(), ['served', SCOPE, null, [], null]);
  });

  for (const status of [401, 403, 404, 429]) {
    it(`passes ${status} on`, async () => {
      at.result = said(status, { 'retry-after': '1' });
      at.recalled = REMEMBERED;
      at.kept.set(DIGEST, MANIFEST);
      assert.equal((await at.ask('v1', { authorization: 'Basic a' })).status, status);
      assert.deepEqual(at.reads, []);
    });
  }

  it('ends a right when the registry refuses it', async () => {
    at.result = manifestSaid();
    await at.ask('v1', { authorization: 'Basic a' });
    at.result = said(401);
    await at.ask('v1', { authorization: 'Basic a' });
    assert.deepEqual(at.told.at(-1), ['refused', SCOPE, 'Basic a', 'v1', 401, true]);
    assert.equal(at.gate.mayHave(SCOPE, 'Basic a', KEY), false);
    at.result = said(404);
    await at.ask('v1', { authorization: 'Basic a', accept: '*/*' });
    assert.equal(
      at.told.length,
      2,
      '404 to a client that does not accept every form proves nothing about the tag',
    );
  });

  it("learns a registry's challenge from its answers to anonymous clients", async () => {
    at.result = said(401, { 'www-authenticate': 'Basic realm="x"' });
    await at.ping();
    await at.ask('v1');
    await at.ping({ authorization: 'Basic wrong' });
    at.result = said(200);
    await at.ping();
    await at.ping({ authorization: 'Basic a' });
    assert.deepEqual(
      at.told.filter(([what]) => what === 'greeted'),
      [
        ['greeted', 'r.example', 'Basic realm="x"'],
        ['greeted', 'r.example', 'Basic realm="x"'],
        ['greeted', 'r.example', null],
      ],
    );
  });

  it('refuses schema 1 with an error that names it', async () => {
    for (const type of [
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'application/json',
    ]) {
      at.result = said(200, { 'content-type': type }, text({ schemaVersion: 1, name: 'app' }));
      await assert.rejects(
        at.ask('v1'),
        (error: Error & { code: string; status: number }) =>
          error.code === 'SCHEMA1_UNSUPPORTED' &&
          error.status === 406 &&
          /schema 1/.test(error.message),
      );
    }
    assert.deepEqual(at.told, []);
  });
});
