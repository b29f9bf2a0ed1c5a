import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RequestListener } from 'node:http';
import { planPull, pullImage } from '../../lib/demo/pull.ts';
import { RegistryClient } from '../../lib/demo/registry-client.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import type { SampleImage } from '../../lib/demo/sample-image.ts';

describe('pulling as a runtime does', () => {
  let image: SampleImage;
  let registry: DemoRegistry;
  const closing: (() => unknown)[] = [];
  before(async () => {
    image = await makeSampleImage('pull', [900_000, 40_000]);
    registry = await DemoRegistry.start(image);
  });
  after(() => registry.close());
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  const client = (
    url: string,
    credentials = registry.credentials as DemoRegistry['credentials'] | null,
    namespace: string | null = null,
  ): RegistryClient => {
    const made = new RegistryClient({ url, namespace }, credentials, AbortSignal.timeout(20_000));
    closing.push(() => made.close());
    return made;
  };
  const serve = (listener: RequestListener): Promise<string> =>
    new Promise((give) => {
      const server = createServer(listener).listen(0, '127.0.0.1', () =>
        give(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
      );
      closing.push(() => {
        server.closeAllConnections();
        server.close();
      });
    });

  const REALM = 'Bearer realm="TOKEN",service="s"';
  const logins: [string, string[], (authorization: string) => boolean][] = [
    ['Bearer without a scope', [REALM], (sent) => sent === 'Bearer repository:a/b:pull'],
    ['Bearer after Basic', ['Basic realm="x"', REALM], (sent) => sent.startsWith('Bearer ')],
    [
      'Basic, where the token is refused',
      [REALM, 'Basic realm="x"'],
      (sent) => sent.startsWith('Basic'),
    ],
    [
      'Basic beside Negotiate',
      ['Negotiate', 'Basic realm="x"'],
      (sent) => sent.startsWith('Basic'),
    ],
  ];
  for (const [what, challenges, accepts] of logins)
    it(`answers ${what}`, async () => {
      const url = await serve((request, response) => {
        const asked = new URL(request.url!, url);
        if (asked.pathname === '/token')
          return response.end(JSON.stringify({ token: asked.searchParams.get('scope') }));
        if (!accepts(request.headers.authorization ?? ''))
          return response
            .writeHead(401, {
              'www-authenticate': challenges.map((one) => one.replace('TOKEN', `${url}/token`)),
            })
            .end();
        return response.end('{}');
      });
      const { bytes } = await client(url, { username: 'u', password: 'p' }).manifest('a/b', 'v1');
      assert.equal(bytes.toString(), '{}');
    });

  it('uses POST for a token server that accepts only POST', async () => {
    const url = await serve((request, response) => {
      if (request.url!.startsWith('/token')) {
        if (request.method !== 'POST') return response.writeHead(405).end();
        let form = '';
        request.on('data', (part: Buffer) => (form += part.toString()));
        return request.on('end', () => {
          const given = new URLSearchParams(form);
          response.end(JSON.stringify({ access_token: `${given.get('username')}-token` }));
        });
      }
      return request.headers.authorization === 'Bearer u-token'
        ? response.end('{}')
        : response.writeHead(401, { 'www-authenticate': `Bearer realm="${url}/token"` }).end();
    });
    await client(url, { username: 'u', password: 'p' }).manifest('a/b', 'v1');
  });

  it('answers the challenge, plans, pulls and checks every blob', async () => {
    const puller = client(registry.url);
    const plan = await planPull(puller, image.repository, image.tag);
    assert.deepEqual(
      plan.blobs.map((blob) => blob.digest),
      image.blobs.map((blob) => blob.digest),
    );
    assert.equal(
      plan.imageBytes,
      image.blobs.reduce((sum, blob) => sum + blob.bytes.length, 0),
    );
    let bytes = 0;
    let nowMs = 1_000;
    const outcome = await pullImage(
      puller,
      plan,
      () => (nowMs += 1_500),
      (more) => void (bytes += more),
    );
    assert.deepEqual(outcome, { seconds: 1.5, digestsOk: true, problems: [] });
    assert.equal(bytes, plan.imageBytes);
  });

  it('names the registry it wants to a node', async () => {
    const seen: string[] = [];
    const url = await serve((request, response) => {
      seen.push(request.url ?? '');
      response.writeHead(404).end();
    });
    await assert.rejects(client(url, null, 'registry.example:5000').manifest('a/b', 'v1'), {
      code: 'ORIGIN_REFUSED',
      status: 404,
      message: `${url}/v2/a/b/manifests/v1 answered 404`,
    });
    assert.deepEqual(seen, ['/v2/a/b/manifests/v1?ns=registry.example%3A5000']);
  });

  it('reports wrong bytes, a short body and a refusal, each as a problem', async () => {
    const plan = await planPull(client(registry.url), image.repository, image.tag);
    const [config, first, second] = image.blobs;
    const url = await serve((request, response) => {
      const path = request.url ?? '';
      if (path.includes('/manifests/')) return void response.end(image.manifest.bytes);
      if (path.endsWith(config!.digest)) return void response.writeHead(503).end();
      if (path.endsWith(first!.digest)) return void response.end(Buffer.alloc(first!.bytes.length));
      response.writeHead(200, { 'content-length': second!.bytes.length });
      response.write(second!.bytes.subarray(0, 100), () => response.destroy());
    });
    const outcome = await pullImage(
      client(url),
      plan,
      () => 0,
      () => undefined,
    );
    assert.equal(outcome.digestsOk, false);
    const problems = outcome.problems.sort();
    assert.equal(problems.length, 3);
    assert.match(problems[0]!, /^blob sha256:\w+ broke off: /);
    assert.match(problems[1]!, /answered 503$/);
    assert.match(problems[2]!, /^sha256:\w+ arrived as sha256:\w+, \d+ of \d+ bytes$/);
  });

  it("reports a manifest that differs from the registry's", async () => {
    const plan = await planPull(client(registry.url), image.repository, image.tag);
    const outcome = await pullImage(
      client(registry.url),
      { ...plan, digest: `sha256:${'0'.repeat(64)}` },
      () => 0,
      () => undefined,
    );
    assert.match(outcome.problems.join(), /^manifest sha256:\w+ where the registry has sha256:0+$/);
  });

  it('names a registry that it cannot reach or may not read', async () => {
    await assert.rejects(client('http://127.0.0.1:1').manifest('a', 'b'), {
      code: 'ORIGIN_UNREACHABLE',
      message: 'http://127.0.0.1:1 cannot be reached: ECONNREFUSED',
    });
    const stranger = client(registry.url, { username: 'demo', password: 'hunter2' });
    await assert.rejects(stranger.manifest(image.repository, 'latest'), {
      code: 'ORIGIN_REFUSED',
      status: 401,
      message: `${registry.url}/token answered 401`,
    });
  });

  it('refuses a manifest under the digest of another', async () => {
    const url = await serve((_, response) => response.end('{}'));
    await assert.rejects(client(url, null).manifest('a', image.manifest.digest), {
      code: 'DIGEST_MISMATCH',
    });
  });

  it('finds the host that blobs are redirected to', async () => {
    const url = await serve((_, response) =>
      response.writeHead(307, { location: 'https://store.example:444/x?sig=1' }).end(),
    );
    assert.equal(await client(url, null).blobHost('a', 'sha256:0'), 'store.example:444');
    assert.equal(
      await client(registry.url).blobHost(image.repository, image.blobs[1]!.digest),
      null,
    );
  });
});
