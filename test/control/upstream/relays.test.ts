import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ManualClock } from '../../../lib/clock.ts';
import { Gate } from '../../../lib/control/upstream/access-gate.ts';
import type { Manifests } from '../../../lib/control/upstream/manifests.ts';
import type { RegistryMemory } from '../../../lib/control/upstream/registry-memory.ts';
import { Relays, type RelayedAnswer } from '../../../lib/control/upstream/relays.ts';
import type { ErrorCode } from '../../../lib/errors.ts';
import { AccessLedger } from '../../../lib/registry/access.ts';
import { Outages } from '../../../lib/origin/outages.ts';
import { STALE_WARNING } from '../../../lib/registry/words.ts';
import type { RelayRequest } from '../../../lib/workers/messages.ts';
import type { RelayJob, RelayResult } from '../../../lib/workers/pool.ts';
import { KEY, OTHER_KEY, settled } from '../fixture.ts';

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const EVERY =
  `${INDEX_TYPE}, ${MANIFEST_TYPE}, ` +
  'application/vnd.docker.distribution.manifest.list.v2+json, ' +
  'application/vnd.docker.distribution.manifest.v2+json';
const SCOPE = 'repo r.example/app';
const text = (value: object): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(JSON.stringify(value));
const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const MANIFEST = text({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPE,
  config: { digest: KEY, size: 1 },
  layers: [],
});
const DIGEST = digestOf(MANIFEST);
const INDEX = text({
  schemaVersion: 2,
  mediaType: INDEX_TYPE,
  manifests: [{ digest: DIGEST, mediaType: MANIFEST_TYPE, size: MANIFEST.length }],
});
const down = (code: ErrorCode = 'ORIGIN_UNREACHABLE'): RelayResult => ({
  kind: 'failed',
  error: { code, message: 'down' },
});
const said = (
  status: number,
  headers: Record<string, string> = {},
  body = new Uint8Array(0),
): RelayResult => ({
  kind: 'answer',
  status,
  headers,
  body: body.slice(),
  manifest: body.length === 0 ? null : { digest: digestOf(body), checksum: 'c' },
});

describe('control/relays', () => {
  let clock: ManualClock;
  let gate: Gate;
  let outages: Outages;
  let relays: Relays;
  let result: RelayResult;
  let asked: RelayJob[];
  let kept: Map<string, Uint8Array>;
  let reads: string[];
  let told: [string, ...unknown[]][];
  let recalled: Awaited<ReturnType<RegistryMemory['recall']>>;
  let greeting: string | null | undefined;
  let counts: string[];
  let isVouched: boolean;
  let pinged: number | null;
  let spokenFor: unknown[];

  beforeEach(() => {
    clock = new ManualClock();
    outages = new Outages(clock, async () => pinged);
    pinged = null;
    kept = new Map();
    [asked, reads, told, counts, spokenFor] = [[], [], [], [], []];
    recalled = { right: null, manifest: null };
    greeting = undefined;
    isVouched = true;
    setUp();
  });

  function setUp(staleTtlMs = 3_600_000): void {
    const ledger = new AccessLedger({ clock, ttlMs: 60_000, staleTtlMs, check: 'strict' });
    gate = new Gate({
      ledger,
      outages,
      probe: () => assert.fail(),
      sized: () => assert.fail(),
      count: () => undefined,
    });
    const manifests: Partial<Manifests> = {
      keep: (digest, bytes) => void kept.set(digest, bytes.slice()),
      read: async (digest, way) => {
        reads.push(`${digest} ${way.origin?.accept}`);
        return kept.get(digest)?.slice() ?? null;
      },
      readWithout: async (digest, holders) => {
        reads.push(`${digest} ${(await holders()).join()}`);
        return kept.get(digest)?.slice() ?? null;
      },
    };
    const memory: Partial<RegistryMemory> = {
      served: async (...args) => void told.push(['served', ...args]),
      holds: (...args) => void told.push(['holds', ...args]),
      refused: async (...args) => void told.push(['refused', ...args]),
      greeted: (...args) => void told.push(['greeted', ...args]),
      recall: async () => recalled,
      recallGreeting: async () => greeting,
    };
    relays = new Relays({
      gate,
      outages,
      isVouched: () => isVouched,
      manifests: manifests as Manifests,
      memory: memory as RegistryMemory,
      relay: async (job) => {
        asked.push(job);
        return result;
      },
      spokenFor: ({ upstream }, { code, status }) => spokenFor.push([upstream, code, status]),
      count: (name) => counts.push(name),
    });
  }

  function ask(
    reference: string,
    more: {
      method?: string;
      authorization?: string;
      accept?: string;
      headers?: Record<string, string>;
    } = {},
  ): Promise<RelayedAnswer> {
    const { method = 'GET', authorization, accept = EVERY, headers = {} } = more;
    return relays.answer({
      kind: 'relay',
      id: 1,
      method,
      url: `https://r.example/v2/app/manifests/${reference}`,
      upstreamHost: 'r.example',
      requestId: 'request-1',
      headers: { accept, ...(authorization === undefined ? {} : { authorization }), ...headers },
      what: 'manifest',
      scope: SCOPE,
      repository: 'app',
      reference,
    });
  }
  const ping = (headers: Record<string, string> = {}): Promise<RelayedAnswer> =>
    relays.answer({
      kind: 'relay',
      id: 1,
      method: 'GET',
      url: 'https://r.example/v2/',
      upstreamHost: 'r.example',
      requestId: 'request-1',
      headers,
      what: 'ping',
      scope: null,
      repository: null,
      reference: null,
    } satisfies RelayRequest);
  const manifestSaid = (): RelayResult =>
    said(200, { 'content-type': MANIFEST_TYPE, 'docker-content-digest': DIGEST }, MANIFEST);
  const bodyOf = (answer: RelayedAnswer): Uint8Array => answer.body;

  it('neither fills nor opens what is shared under a digest at the word of a registry that is not configured', async () => {
    isVouched = false;
    const body = new TextEncoder().encode('{}');
    result = said(200, { 'content-type': MANIFEST_TYPE }, body);
    await ask(digestOf(body), { authorization: 'Bearer t' });
    assert.deepEqual([[...kept.keys()], reads, told], [[], [], []]);
    kept.set(digestOf(body), body);
    await ask(digestOf(body), { authorization: 'Bearer t' });
    assert.deepEqual([asked.length, reads], [2, []], 'it is asked each time');
    recalled = {
      right: { isGranted: true, ageMs: 0 },
      manifest: { digest: digestOf(body), contentType: MANIFEST_TYPE, nodes: [] },
    };
    result = { kind: 'failed', error: { code: 'ORIGIN_UNREACHABLE', message: 'down' } };
    await assert.rejects(ask('latest', { authorization: 'Bearer t' }), {
      code: 'ORIGIN_UNREACHABLE',
    });
    assert.deepEqual(reads, []);
  });

  it('passes an answer on as it came, and learns from it', async () => {
    result = manifestSaid();
    const answer = await ask('v1', { authorization: 'Basic a' });
    assert.deepEqual(answer, {
      status: 200,
      headers: { 'content-type': MANIFEST_TYPE, 'docker-content-digest': DIGEST },
      body: MANIFEST,
    });
    assert.equal(asked[0]!.isManifest, true);
    assert.deepEqual(told, [
      ['served', SCOPE, 'Basic a', [DIGEST, 'v1'], { digest: DIGEST, contentType: MANIFEST_TYPE }],
    ]);
    assert.equal(gate.mayHave(SCOPE, 'Basic a', KEY), true, 'the blobs of the manifest');
    assert.equal(gate.mayHave(SCOPE, null, KEY), false);
    assert.deepEqual([...kept.keys()], [DIGEST]);
  });

  it('serves a digest without the registry, once that has named it to this client, in a form the client takes', async () => {
    result = said(200, {
      'content-type': MANIFEST_TYPE,
      'docker-content-digest': DIGEST,
      'content-length': String(MANIFEST.length),
    });
    await ask('v1', { method: 'HEAD', authorization: 'Basic a' });
    kept.set(DIGEST, MANIFEST);
    result = said(404);
    const answer = await ask(DIGEST, { authorization: 'Basic a' });
    assert.deepEqual(
      [
        answer.status,
        answer.headers['content-type'],
        answer.headers['docker-content-digest'],
        answer.headers['warning'],
        bodyOf(answer),
      ],
      [200, MANIFEST_TYPE, DIGEST, undefined, MANIFEST],
    );
    const head = await ask(DIGEST, { method: 'HEAD', authorization: 'Basic a' });
    assert.deepEqual(
      [head.headers['content-length'], bodyOf(head).length],
      [String(MANIFEST.length), 0],
    );
    assert.deepEqual(
      reads,
      [`${DIGEST} ${MANIFEST_TYPE}`, `${DIGEST} ${MANIFEST_TYPE}`],
      'the registry would be asked for that form',
    );
    assert.equal(asked.length, 1);
    for (const other of [
      { authorization: 'Basic b' },
      {},
      { authorization: 'Basic a', accept: INDEX_TYPE },
      { authorization: 'Basic a', headers: { 'if-none-match': '"x"' } },
    ])
      assert.equal((await ask(DIGEST, other)).status, 404);
    assert.equal(
      (await ask(OTHER_KEY, { authorization: 'Basic a' })).status,
      404,
      'a blob it may hold is no manifest',
    );
    assert.deepEqual(counts, ['manifest.swarm', 'manifest.swarm']);
  });

  it('serves the manifests of an index so, and asks the registry where the swarm has none', async () => {
    result = said(200, { 'content-type': INDEX_TYPE }, INDEX);
    await ask('v1');
    result = manifestSaid();
    assert.deepEqual((await ask(DIGEST)).body, MANIFEST);
    assert.equal(asked.length, 2);
    kept.set(DIGEST, MANIFEST);
    await ask(DIGEST);
    assert.equal(asked.length, 2);
    clock.advance(60_000);
    await ask(DIGEST);
    assert.equal(asked.length, 3, 'after accessTtl the right is asked for again');
  });

  it('opens what a manifest names by the type the registry or the manifest itself tells, not by what an index tells of it', async () => {
    const untyped = text({ schemaVersion: 2, layers: [{ digest: OTHER_KEY, size: 1 }] });
    const digest = digestOf(untyped);
    kept.set(digest, untyped);
    result = said(
      200,
      { 'content-type': INDEX_TYPE },
      text({
        schemaVersion: 2,
        mediaType: INDEX_TYPE,
        manifests: [{ digest, mediaType: MANIFEST_TYPE, size: 1 }],
      }),
    );
    await ask('v1');
    assert.deepEqual(
      [(await ask(digest)).body, gate.mayHave(SCOPE, null, OTHER_KEY)],
      [untyped, false],
    );
    result = said(200, { 'content-type': MANIFEST_TYPE, 'docker-content-digest': digest });
    await ask(digest, { method: 'HEAD', headers: { 'if-none-match': '"x"' } });
    await ask(digest);
    assert.equal(gate.mayHave(SCOPE, null, OTHER_KEY), true);
  });

  it('always asks the registry for a tag', async () => {
    result = manifestSaid();
    for (let pull = 0; pull < 3; pull++) await ask('v1');
    assert.equal(asked.length, 3);
    assert.deepEqual(reads, []);
  });

  it("does not take for the tag's what the registry chose for one client, nor trust a digest that is not the body's", async () => {
    result = manifestSaid();
    await ask('v1', { accept: MANIFEST_TYPE });
    assert.deepEqual(told.shift(), [
      'served',
      SCOPE,
      null,
      [DIGEST],
      { digest: DIGEST, contentType: MANIFEST_TYPE },
    ]);
    result = said(
      200,
      { 'content-type': MANIFEST_TYPE, 'docker-content-digest': OTHER_KEY },
      MANIFEST,
    );
    await ask('v1');
    assert.deepEqual(told.shift(), ['served', SCOPE, null, ['v1'], null]);
    result = manifestSaid();
    await ask(OTHER_KEY);
    assert.deepEqual(told.shift(), ['served', SCOPE, null, [], null]);
  });

  for (const failure of [
    down(),
    down('ORIGIN_TIMEOUT'),
    said(500),
    said(503, { 'retry-after': '9' }),
  ]) {
    const name = failure.kind === 'failed' ? failure.error.code : failure.status;
    it(`${name}: says what the registry said before, to whom it accepted`, async () => {
      result = failure;
      recalled = {
        right: { isGranted: true, ageMs: 5_000 },
        manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: ['n:2'] },
      };
      kept.set(DIGEST, MANIFEST);
      for (const reference of ['v1', DIGEST]) {
        const answer = await ask(reference, { authorization: 'Basic a' });
        assert.deepEqual(
          [
            answer.status,
            answer.headers['warning'],
            answer.headers['content-type'],
            answer.headers['docker-content-digest'],
            bodyOf(answer),
          ],
          [200, STALE_WARNING, MANIFEST_TYPE, DIGEST, MANIFEST],
        );
      }
      assert.deepEqual(reads, [`${DIGEST} n:2`, `${DIGEST} n:2`]);
      assert.deepEqual(counts, ['stale.tag', 'stale.digest']);
      const reason =
        failure.kind === 'failed'
          ? [failure.error.code, failure.error.code === 'ORIGIN_TIMEOUT' ? 504 : 502]
          : ['ORIGIN_REFUSED', failure.status];
      assert.deepEqual(spokenFor[0], ['r.example', ...reason], 'the log says why');
      assert.equal(gate.mayHaveStale(SCOPE, 'Basic a'), true);
      assert.equal(gate.mayHave(SCOPE, 'Basic a', KEY), false, 'nothing fresh comes of it');
    });
  }

  it('passes a failure on while the registry answers a ping', async () => {
    recalled = {
      right: { isGranted: true, ageMs: 5_000 },
      manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: ['n:2'] },
    };
    kept.set(DIGEST, MANIFEST);
    pinged = 401;
    result = said(503);
    assert.equal((await ask('v1', { authorization: 'Basic a' })).status, 503);
    result = down('ORIGIN_TIMEOUT');
    await assert.rejects(ask('v1', { authorization: 'Basic a' }), { code: 'ORIGIN_TIMEOUT' });
    assert.deepEqual(reads, []);
  });

  for (const status of [401, 403, 404, 429]) {
    it(`${status} goes through`, async () => {
      result = said(status, { 'retry-after': '1' });
      recalled = {
        right: { isGranted: true, ageMs: 5_000 },
        manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: ['n:2'] },
      };
      kept.set(DIGEST, MANIFEST);
      assert.equal((await ask('v1', { authorization: 'Basic a' })).status, status);
      assert.deepEqual(reads, []);
    });
  }

  it('says only what is wrong to a credential the registry never accepted, or refused since', async () => {
    result = down();
    const manifest = { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: ['n:2'] };
    kept.set(DIGEST, MANIFEST);
    for (const right of [
      null,
      { isGranted: false, ageMs: 0 },
      { isGranted: true, ageMs: 3_600_000 },
    ]) {
      recalled = { right, manifest };
      for (const reference of ['v1', DIGEST])
        await assert.rejects(ask(reference, { authorization: 'Basic a' }), {
          code: 'ORIGIN_UNREACHABLE',
        });
    }
    result = said(503, { 'retry-after': '9' }, text({ errors: [] }));
    assert.deepEqual(
      (await ask('v1', { authorization: 'Basic a' })).headers,
      { 'retry-after': '9' },
      "the registry's own words",
    );
    assert.deepEqual(reads, []);
  });

  it('counts a right of its own while it is young enough; a refusal elsewhere since then ends it', async () => {
    result = manifestSaid();
    await ask('v1', { authorization: 'Basic a' });
    clock.advance(3_599_999);
    result = down();
    recalled = { right: null, manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: [] } };
    assert.equal((await ask('v1', { authorization: 'Basic a' })).headers['warning'], STALE_WARNING);
    recalled = { ...recalled, right: { isGranted: false, ageMs: 1_000 } };
    await assert.rejects(ask('v1', { authorization: 'Basic a' }), { code: 'ORIGIN_UNREACHABLE' });
    recalled = { ...recalled, right: null };
    await assert.rejects(ask('v1', { authorization: 'Basic a' }), { code: 'ORIGIN_UNREACHABLE' });
  });

  it('ends a right when the registry refuses it', async () => {
    result = manifestSaid();
    await ask('v1', { authorization: 'Basic a' });
    result = said(401);
    await ask('v1', { authorization: 'Basic a' });
    assert.deepEqual(told.at(-1), ['refused', SCOPE, 'Basic a', 'v1', 401, true]);
    assert.equal(gate.mayHave(SCOPE, 'Basic a', KEY), false);
    result = said(404);
    await ask('v1', { authorization: 'Basic a', accept: '*/*' });
    assert.equal(told.length, 2, '404 to who does not take every form says nothing of the tag');
  });

  it('answers nothing old with a time of 0', async () => {
    setUp(0);
    result = manifestSaid();
    await ask('v1');
    result = down();
    recalled = {
      right: { isGranted: true, ageMs: 0 },
      manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: [] },
    };
    await assert.rejects(ask('v1'), { code: 'ORIGIN_UNREACHABLE' });
  });

  it('greets who comes without a credential as the registry would', async () => {
    result = down();
    await assert.rejects(ping(), { code: 'ORIGIN_UNREACHABLE' });
    greeting = null;
    const open = await ping();
    assert.deepEqual(
      [open.status, open.headers['warning'], open.headers['docker-distribution-api-version']],
      [200, STALE_WARNING, 'registry/2.0'],
    );
    await assert.rejects(
      ask('v1'),
      { code: 'ORIGIN_UNREACHABLE' },
      'an open registry need not let all see everything',
    );
    greeting = 'Bearer realm="https://t/",service="r"';
    const [challenged, forRepository] = [await ping(), await ask('v1')];
    assert.deepEqual([challenged.status, challenged.headers['www-authenticate']], [401, greeting]);
    assert.deepEqual(
      [
        forRepository.status,
        forRepository.headers['www-authenticate'],
        forRepository.headers['warning'],
      ],
      [401, `${greeting},scope="repository:app:pull"`, STALE_WARNING],
    );
    await assert.rejects(ping({ authorization: 'Basic a' }), { code: 'ORIGIN_UNREACHABLE' });
    await assert.rejects(
      ask('v1', { authorization: 'Basic a' }),
      { code: 'ORIGIN_UNREACHABLE' },
      'a client does not throw its credential away',
    );
  });

  it('learns how the registry greets from what it says to who brings no credential', async () => {
    result = said(401, { 'www-authenticate': 'Basic realm="x"' });
    await ping();
    await ask('v1');
    await ping({ authorization: 'Basic wrong' });
    result = said(200);
    await ping();
    await ping({ authorization: 'Basic a' });
    assert.deepEqual(
      told.filter(([what]) => what === 'greeted'),
      [
        ['greeted', 'r.example', 'Basic realm="x"'],
        ['greeted', 'r.example', 'Basic realm="x"'],
        ['greeted', 'r.example', null],
      ],
    );
  });

  it('makes nobody wait for a registry that times out where the answer cannot have changed; tags are asked for', async () => {
    result = down('ORIGIN_TIMEOUT');
    recalled = {
      right: { isGranted: true, ageMs: 5_000 },
      manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: [] },
    };
    kept.set(DIGEST, MANIFEST);
    await ask(DIGEST);
    for (let read = 0; read < 3; read++)
      assert.equal((await ask(DIGEST)).headers['warning'], STALE_WARNING);
    assert.equal(asked.length, 1);
    await ask('v1');
    assert.equal(asked.length, 2);
    clock.advance(1_000);
    result = manifestSaid();
    assert.equal((await ask(DIGEST)).headers['warning'], STALE_WARNING);
    await settled();
    assert.equal(asked.length, 3, 'it is asked beside');
    assert.equal((await ask('v1')).headers['warning'], undefined);
  });

  it('refuses schema 1 by name', async () => {
    for (const type of [
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'application/json',
    ]) {
      result = said(200, { 'content-type': type }, text({ schemaVersion: 1, name: 'app' }));
      await assert.rejects(
        ask('v1'),
        (error: Error & { code: string; status: number }) =>
          error.code === 'SCHEMA1_UNSUPPORTED' &&
          error.status === 406 &&
          /schema 1/.test(error.message),
      );
    }
    assert.deepEqual(told, []);
  });
});
