import assert from 'node:assert/strict';
import { serveExporter } from '../../lib/front/exporter.ts';
import { frontFixture, type FrontFixture } from './fixture.ts';

describe('front/exporter', () => {
  let at: FrontFixture;
  beforeEach(async () => {
    at = frontFixture(1);
    serveExporter(at.app, at.link);
    await at.listen();
  });
  afterEach(() => at.close());

  it('asks control for the page, and passes it on', async () => {
    const answer = at.get('/status/tree?blob=sha256:ab');
    const { id, path, query, isLocal } = await at.hears('page');
    assert.deepEqual([path, query, isLocal], ['/status/tree', 'blob=sha256:ab', true]);
    at.says({
      kind: 'answer',
      id,
      status: 200,
      headers: { 'content-type': 'text/plain; version=0.0.4' },
      body: new TextEncoder().encode('grüße'),
    });
    const { status, headers, body } = await answer;
    assert.deepEqual(
      [status, headers['content-type'], body.toString()],
      [200, 'text/plain; version=0.0.4', 'grüße'],
    );
  });

  it('answers HEAD with the length alone', async () => {
    const answer = at.get('/metrics', { method: 'HEAD' });
    at.says({
      kind: 'answer',
      id: (await at.hears('page')).id,
      status: 200,
      headers: {},
      body: new Uint8Array(321),
    });
    const { headers, body } = await answer;
    assert.deepEqual([headers['content-length'], body.length], ['321', 0]);
  });

  it('answers nothing but reading', async () => {
    const { status, headers } = await at.get('/metrics', { method: 'POST' });
    assert.deepEqual([status, headers.allow], [405, 'GET, HEAD']);
    assert.deepEqual(at.heard, []);
  });

  it('says what went wrong with a page', async () => {
    const answer = at.get('/');
    at.says({
      kind: 'refused',
      id: (await at.hears('page')).id,
      error: { code: 'INTERNAL', message: 'no page today' },
    });
    assert.equal((await answer).status, 500);
  });
});
