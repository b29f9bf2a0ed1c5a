import assert from 'node:assert/strict';
import { STALE_WARNING } from '../../../lib/registry/words.ts';
import { KEY, settled } from '../fixture.ts';
import {
  DIGEST,
  MANIFEST,
  MANIFEST_TYPE,
  RelaysFixture,
  REMEMBERED,
  SCOPE,
  down,
  manifestSaid,
  said,
  text,
} from './relays-fixture.ts';

describe('control/relays during an outage', () => {
  let at: RelaysFixture;
  beforeEach(() => (at = new RelaysFixture()));

  for (const failure of [
    down(),
    down('ORIGIN_TIMEOUT'),
    said(500),
    said(503, { 'retry-after': '9' }),
  ]) {
    const name = failure.kind === 'failed' ? failure.error.code : failure.status;
    it(`${name}: answers as the registry did before, if it had accepted the client`, async () => {
      at.result = failure;
      at.recalled = REMEMBERED;
      at.kept.set(DIGEST, MANIFEST);
      for (const reference of ['v1', DIGEST]) {
        const answer = await at.ask(reference, { authorization: 'Basic a' });
        assert.deepEqual(
          [
            answer.status,
            answer.headers['warning'],
            answer.headers['content-type'],
            answer.headers['docker-content-digest'],
            answer.body,
          ],
          [200, STALE_WARNING, MANIFEST_TYPE, DIGEST, MANIFEST],
        );
      }
      assert.deepEqual(at.reads, [`${DIGEST} n:2`, `${DIGEST} n:2`]);
      assert.deepEqual(at.counts, ['stale.tag', 'stale.digest']);
      const reason =
        failure.kind === 'failed'
          ? [failure.error.code, failure.error.code === 'ORIGIN_TIMEOUT' ? 504 : 502]
          : ['ORIGIN_REFUSED', failure.status];
      assert.deepEqual(at.spokenFor[0], ['r.example', ...reason], 'the log says why');
      assert.equal(at.gate.mayHaveStale(SCOPE, 'Basic a'), true);
      assert.equal(
        at.gate.mayHave(SCOPE, 'Basic a', KEY),
        false,
        'a stale answer grants no fresh right',
      );
    });
  }

  it('passes a failure on while the registry answers a ping', async () => {
    at.recalled = REMEMBERED;
    at.kept.set(DIGEST, MANIFEST);
    at.pinged = 401;
    at.result = said(503);
    assert.equal((await at.ask('v1', { authorization: 'Basic a' })).status, 503);
    at.result = down('ORIGIN_TIMEOUT');
    await assert.rejects(at.ask('v1', { authorization: 'Basic a' }), { code: 'ORIGIN_TIMEOUT' });
    assert.deepEqual(at.reads, []);
  });

  it('reports the outage to a credential that was never accepted or was refused', async () => {
    at.result = down();
    const manifest = { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: ['n:2'] };
    at.kept.set(DIGEST, MANIFEST);
    for (const right of [
      null,
      { isGranted: false, ageMs: 0 },
      { isGranted: true, ageMs: 3_600_000 },
    ]) {
      at.recalled = { right, manifest };
      for (const reference of ['v1', DIGEST])
        await assert.rejects(at.ask(reference, { authorization: 'Basic a' }), {
          code: 'ORIGIN_UNREACHABLE',
        });
    }
    at.result = said(503, { 'retry-after': '9' }, text({ errors: [] }));
    assert.deepEqual(
      (await at.ask('v1', { authorization: 'Basic a' })).headers,
      { 'retry-after': '9' },
      "the registry's own answer",
    );
    assert.deepEqual(at.reads, []);
  });

  it('honours a right for accessStaleTtl, until another node reports a refusal', async () => {
    at.result = manifestSaid();
    await at.ask('v1', { authorization: 'Basic a' });
    at.clock.advance(3_599_999);
    at.result = down();
    at.recalled = {
      right: null,
      manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: [] },
    };
    assert.equal(
      (await at.ask('v1', { authorization: 'Basic a' })).headers['warning'],
      STALE_WARNING,
    );
    at.recalled = { ...at.recalled, right: { isGranted: false, ageMs: 1_000 } };
    await assert.rejects(at.ask('v1', { authorization: 'Basic a' }), {
      code: 'ORIGIN_UNREACHABLE',
    });
    at.recalled = { ...at.recalled, right: null };
    await assert.rejects(at.ask('v1', { authorization: 'Basic a' }), {
      code: 'ORIGIN_UNREACHABLE',
    });
  });

  it('answers nothing stale if accessStaleTtl is 0', async () => {
    at.setUp(0);
    at.result = manifestSaid();
    await at.ask('v1');
    at.result = down();
    at.recalled = {
      right: { isGranted: true, ageMs: 0 },
      manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: [] },
    };
    await assert.rejects(at.ask('v1'), { code: 'ORIGIN_UNREACHABLE' });
  });

  it('answers a client without a credential with the challenge of the registry', async () => {
    at.result = down();
    await assert.rejects(at.ping(), { code: 'ORIGIN_UNREACHABLE' });
    at.greeting = null;
    const open = await at.ping();
    assert.deepEqual(
      [open.status, open.headers['warning'], open.headers['docker-distribution-api-version']],
      [200, STALE_WARNING, 'registry/2.0'],
    );
    await assert.rejects(
      at.ask('v1'),
      { code: 'ORIGIN_UNREACHABLE' },
      'an open registry may still have private repositories',
    );
    at.greeting = 'Bearer realm="https://t/",service="r"';
    const [challenged, forRepository] = [await at.ping(), await at.ask('v1')];
    assert.deepEqual(
      [challenged.status, challenged.headers['www-authenticate']],
      [401, at.greeting],
    );
    assert.deepEqual(
      [
        forRepository.status,
        forRepository.headers['www-authenticate'],
        forRepository.headers['warning'],
      ],
      [401, `${at.greeting},scope="repository:app:pull"`, STALE_WARNING],
    );
    await assert.rejects(at.ping({ authorization: 'Basic a' }), { code: 'ORIGIN_UNREACHABLE' });
    await assert.rejects(
      at.ask('v1', { authorization: 'Basic a' }),
      { code: 'ORIGIN_UNREACHABLE' },
      'a client with a credential gets no challenge',
    );
  });

  it('serves a digest at once while the registry times out, but asks it for tags', async () => {
    at.result = down('ORIGIN_TIMEOUT');
    at.recalled = {
      right: { isGranted: true, ageMs: 5_000 },
      manifest: { digest: DIGEST, contentType: MANIFEST_TYPE, nodes: [] },
    };
    at.kept.set(DIGEST, MANIFEST);
    await at.ask(DIGEST);
    for (let read = 0; read < 3; read++)
      assert.equal((await at.ask(DIGEST)).headers['warning'], STALE_WARNING);
    assert.equal(at.asked.length, 1);
    await at.ask('v1');
    assert.equal(at.asked.length, 2);
    at.clock.advance(1_000);
    at.result = manifestSaid();
    assert.equal((await at.ask(DIGEST)).headers['warning'], STALE_WARNING);
    await settled();
    assert.equal(at.asked.length, 3, 'the registry is asked in the background');
    assert.equal((await at.ask('v1')).headers['warning'], undefined);
  });
});
