import assert from 'node:assert/strict';
import { errorFixes } from '../../lib/error-fixes.ts';
import { ShoalError } from '../../lib/errors.ts';
import { answer, refuse, statusLine } from '../../lib/front/responses.ts';
import { frontFixture, type FrontFixture } from './fixture.ts';

describe('front/responses', () => {
  let at: FrontFixture;
  before(async () => {
    at = frontFixture(1);
    await at.listen();
  });
  after(() => at.close());

  const errorOf = (body: Buffer): { code: string; message: string; detail: unknown } =>
    (
      JSON.parse(body.toString()) as {
        errors: [{ code: string; message: string; detail: unknown }];
      }
    ).errors[0];

  it('says an error in the OCI form, with what goes with it', async () => {
    const cases: [string, ShoalError, string, Record<string, string>][] = [
      [
        '/405',
        new ShoalError('METHOD_UNSUPPORTED', 'push elsewhere'),
        'UNSUPPORTED',
        { allow: 'GET, HEAD' },
      ],
      ['/503', new ShoalError('OVERLOADED', 'later'), 'TOOMANYREQUESTS', { 'retry-after': '1' }],
      ['/502', new ShoalError('ORIGIN_BROKEN', 'broken'), 'UNKNOWN', {}],
      [
        '/429',
        new ShoalError('ORIGIN_REFUSED', 'slow down', {
          status: 429,
          headers: { 'retry-after': '7' },
        }),
        'UNKNOWN',
        { 'retry-after': '7' },
      ],
      [
        '/401',
        new ShoalError('ORIGIN_REFUSED', 'who?', {
          status: 401,
          headers: { 'www-authenticate': 'Bearer realm="x"' },
        }),
        'UNKNOWN',
        { 'www-authenticate': 'Bearer realm="x"' },
      ],
    ];
    for (const [path, error, code, headers] of cases) {
      at.app.get(path, (res) => refuse(res, error));
      const { status, headers: got, body } = await at.get(path);
      assert.equal(status, Number(path.slice(1)));
      assert.equal(got['content-type'], 'application/json');
      assert.deepEqual(errorOf(body), {
        code,
        message: error.message,
        detail: { code: error.code, fix: errorFixes[error.code].fix },
      });
      for (const [name, value] of Object.entries(headers)) assert.equal(got[name], value);
      if (!('retry-after' in headers)) assert.equal(got['retry-after'], undefined);
    }
  });

  it("passes on the upstream's own words", async () => {
    at.app.get('/own', (res) =>
      refuse(
        res,
        new ShoalError('ORIGIN_REFUSED', 'no', {
          status: 404,
          body: '{"errors":[{"code":"BLOB_UNKNOWN"}]}',
        }),
      ),
    );
    assert.equal((await at.get('/own')).body.toString(), '{"errors":[{"code":"BLOB_UNKNOWN"}]}');
  });

  it('says each of several challenges in a header of its own', async () => {
    const headers = { 'www-authenticate': 'Basic realm="a"\nBearer realm="b"' };
    at.app.get('/refused', (res) =>
      refuse(res, new ShoalError('ORIGIN_REFUSED', 'who?', { status: 401, headers })),
    );
    at.app.get('/passed', (res) => answer(res, 401, headers, ''));
    for (const path of ['/refused', '/passed']) {
      const { rawHeaders } = await at.get(path);
      assert.deepEqual(
        rawHeaders.filter((_, index) => rawHeaders[index - 1] === 'www-authenticate'),
        ['Basic realm="a"', 'Bearer realm="b"'],
      );
    }
  });

  it("says once of what type the body is: the upstream's of its own, JSON of ours", async () => {
    const cases: [string, string | undefined, string][] = [
      ['/xml', '<Error/>', 'application/xml'],
      ['/bare', undefined, 'application/json'],
    ];
    for (const [path, body, type] of cases) {
      at.app.get(path, (res) =>
        refuse(
          res,
          new ShoalError('ORIGIN_REFUSED', 'no', {
            status: 403,
            headers: { 'content-type': 'application/xml' },
            ...(body === undefined ? {} : { body }),
          }),
        ),
      );
      const { rawHeaders, body: got } = await at.get(path);
      assert.deepEqual(
        rawHeaders.filter(
          (_, index) => rawHeaders[index - 1]?.toLowerCase() === 'content-type' && index % 2 === 1,
        ),
        [type],
      );
      if (body !== undefined) assert.equal(got.toString(), body);
    }
  });

  it('tells HEAD the length without the body, in bytes', async () => {
    at.app.any('/head', (res) => {
      res.onAborted(() => undefined);
      answer(res, 200, {}, 'grüße', true);
    });
    const { headers, body } = await at.get('/head', { method: 'HEAD' });
    assert.deepEqual([headers['content-length'], body.length], ['7', 0]);
  });

  it('has a line for every status, known or not', () => {
    assert.equal(statusLine(206), '206 Partial Content');
    assert.match(statusLine(418), /^418 \S+/);
  });
});
