import assert from 'node:assert/strict';
import type { OriginClient } from '../../lib/origin/client.ts';
import { AUTHORIZATION, failure, OriginBench, target } from './origin-bench.ts';
import { answer, type OriginServer } from './origin-server.ts';

describe('OriginClient.relay', () => {
  const { serve, client } = new OriginBench();

  const relay = (
    server: OriginServer,
    origin: OriginClient,
    headers: Record<string, string> = {},
    method = 'GET',
  ) =>
    origin.relay({
      method,
      url: `${server.url}/v2/a/manifests/v1?x=%2F`,
      upstreamHost: server.host,
      headers,
    });

  it('passes Accept and Authorization up; status, body and listed headers down', async () => {
    const headers = {
      'content-type': 'application/vnd.oci.image.index.v1+json',
      'docker-content-digest': 'sha256:0',
      link: '</v2/x>; rel="next"',
      etag: '"e"',
      warning: '299 - "old"',
      'oci-filters-applied': 'artifactType',
      'set-cookie': 'secret=1',
      'x-other': 'y',
    };
    const server = await serve((_request, response) => answer(response, 200, '{}', headers));
    const got = await relay(server, client([server.host]), {
      accept: 'a/b, c/d',
      authorization: AUTHORIZATION,
      cookie: 'x',
      'x-forwarded-for': 'y',
    });
    assert.equal(got.status, 200);
    assert.equal(Buffer.from(got.body).toString(), '{}');
    assert.equal(got.body.byteLength, got.body.buffer.byteLength, 'the body owns its buffer');
    const { 'set-cookie': _cookie, 'x-other': _other, ...passed } = headers;
    assert.deepEqual(got.headers, { ...passed, 'content-length': '2' });
    const asked = server.seen[0]!;
    assert.deepEqual(
      [
        asked.url,
        asked.headers.accept,
        asked.headers.authorization,
        asked.headers.cookie,
        asked.headers['x-forwarded-for'],
      ],
      ['/v2/a/manifests/v1?x=%2F', 'a/b, c/d', AUTHORIZATION, undefined, undefined],
    );
  });

  for (const status of [304, 401, 404, 429, 500]) {
    it(`passes a ${status} through as an answer`, async () => {
      const server = await serve(
        (_request, response) =>
          void response
            .writeHead(status, { 'www-authenticate': 'Bearer realm="r"', 'retry-after': '3' })
            .end(),
      );
      const got = await relay(server, client([server.host]));
      assert.deepEqual(
        [got.status, got.headers['www-authenticate'], got.headers['retry-after']],
        [status, 'Bearer realm="r"', '3'],
      );
    });
  }

  it('keeps several challenges apart: clients read the first of a line only', async () => {
    const challenges = ['Basic realm="a"', 'Bearer realm="https://t/",service="r"'];
    const server = await serve(
      (_request, response) =>
        void response.writeHead(401, { 'www-authenticate': challenges }).end(),
    );
    assert.equal(
      (await relay(server, client([server.host]))).headers['www-authenticate'],
      challenges.join('\n'),
    );
    assert.equal(
      (await failure(client([server.host]).probe(target(server)))).headers['www-authenticate'],
      challenges.join('\n'),
    );
  });

  it('passes HEAD as HEAD, with the length GET would bring', async () => {
    const server = await serve((_request, response) => answer(response, 200, 'four'));
    const got = await relay(server, client([server.host]), {}, 'HEAD');
    assert.deepEqual(
      [server.seen[0]!.method, got.headers['content-length'], got.body.length],
      ['HEAD', '4', 0],
    );
  });

  it('follows redirects inside, the credential staying behind', async () => {
    const other = await serve((_request, response) => answer(response, 200, 'there'));
    const server = await serve((_request, response) =>
      answer(response, 307, '', { location: `${other.url}/m` }),
    );
    const got = await relay(server, client([server.host, other.host]), {
      authorization: AUTHORIZATION,
      accept: 'a/b',
    });
    assert.equal(Buffer.from(got.body).toString(), 'there');
    assert.deepEqual(
      [other.seen[0]!.headers.authorization, other.seen[0]!.headers.accept],
      [undefined, 'a/b'],
    );
  });

  it('does not take a registry for down because of a header that cannot be sent', async () => {
    const server = await serve((_request, response) => answer(response, 200, '{}'));
    const error = await failure(relay(server, client([server.host]), { 'user-agent': 'x\x7f' }));
    assert.deepEqual([error.code, error.status, server.seen.length], ['BAD_REQUEST', 400, 0]);
  });

  it('refuses what is too long or encoded', async () => {
    const long = await serve(
      (_request, response) => void response.writeHead(200).end(Buffer.alloc(17 * 1024 * 1024)),
    );
    assert.equal((await failure(relay(long, client([long.host])))).code, 'ORIGIN_BROKEN');
    const encoded = await serve((_request, response) =>
      answer(response, 200, 'xx', { 'content-encoding': 'gzip' }),
    );
    assert.equal((await failure(relay(encoded, client([encoded.host])))).code, 'ORIGIN_BROKEN');
  });
});
