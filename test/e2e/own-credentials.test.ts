import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answer, OriginServer, pattern, serveRanges } from '../origin/origin-server.ts';
import { digestOf } from './image.ts';
import { ShoalNode } from './node.ts';

const BLOB = pattern(300_000);
const PATH = `/v2/team/app/blobs/${digestOf(BLOB)}`;
const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const OWN = basic('shoal', 'hunter2');

describe('e2e: a registry for which Shoal has credentials of its own', function () {
  this.timeout(60_000);
  let dir = '';
  const stops: (() => unknown)[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-own-'));
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
    await rm(dir, { recursive: true, force: true });
  });

  async function serve(listener: Parameters<typeof OriginServer.start>[0]): Promise<OriginServer> {
    const server = await OriginServer.start(listener);
    stops.push(() => server.stop());
    return server;
  }

  async function start(registry: OriginServer, allow: string[] = []): Promise<ShoalNode> {
    const credentialsFile = join(dir, 'config.json');
    const [, auth] = OWN.split(' ');
    await writeFile(
      credentialsFile,
      JSON.stringify({ auths: { [registry.host]: { auth }, 'other.example': { auth } } }),
    );
    const registries = [{ upstream: registry.url, credentialsFile }];
    const node = await ShoalNode.start(dir, { ProxyConfig: { port: 0, registries, allow } });
    stops.push(() => node.stop());
    return node;
  }

  const given = (request: IncomingMessage): string => request.headers.authorization ?? 'none';

  it('Basic: a client without credentials reads; one with wrong ones gets the 401', async () => {
    const registry = await serve((request, response) => {
      if (given(request) === OWN) serveRanges(BLOB)(request, response);
      else answer(response, 401, '', { 'www-authenticate': 'Negotiate, Basic realm="r"' });
    });
    const node = await start(registry);
    const status = async (authorization?: string): Promise<number> =>
      (await node.get(PATH, authorization === undefined ? {} : { authorization })).status;
    const first = await node.get(PATH);
    assert.ok(first.body.equals(BLOB));
    // The blob is in the cache now.
    assert.equal(await status(basic('client', 'wrong')), 401);
    assert.equal(await status('Bearer made-up'), 401);
    assert.equal(await status(), 200);
    assert.equal((await node.get('/v2/')).status, 200);
    assert.ok(!node.daemon.output.includes('hunter2'));
  });

  it('Bearer: the token server gets them, the storage gets nothing', async () => {
    const storage = await serve(serveRanges(BLOB));
    const tokens = await serve((request, response) => {
      const scope = new URL(request.url!, 'http://x').searchParams.get('scope');
      if (given(request) === OWN) answer(response, 200, JSON.stringify({ token: scope }));
      else answer(response, 401);
    });
    const registry = await serve((request, response) => {
      if (given(request) === 'Bearer repository:team/app:pull')
        answer(response, 307, '', { location: `${storage.url}/blob?Signature=x` });
      else answer(response, 401, '', { 'www-authenticate': `Bearer realm="${tokens.url}/token"` });
    });
    const node = await start(registry, ['127.0.0.1']);
    for (let pulls = 0; pulls < 2; pulls++) assert.ok((await node.get(PATH)).body.equals(BLOB));
    assert.equal((await node.get(PATH, { authorization: OWN })).status, 401);
    assert.ok(storage.seen.every(({ headers }) => headers.authorization === undefined));
    assert.equal(tokens.seen.length, 1, 'the token is used again');
  });

  it('a token server off the allow-list gets nothing; the client gets the reason', async () => {
    const tokens = await serve((_request, response) => answer(response, 200, '{"token":"t"}'));
    const registry = await serve((_request, response) =>
      answer(response, 401, '', { 'www-authenticate': `Bearer realm="${tokens.url}/token"` }),
    );
    const node = await start(registry);
    const refused = await node.get(PATH);
    assert.equal(refused.status, 401);
    assert.match(String(refused.headers['www-authenticate']), /^Bearer realm=/);
    assert.equal(tokens.seen.length, 0);
  });
});
