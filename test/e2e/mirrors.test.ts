import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answer, OriginServer, pattern, serveRanges } from '../origin/origin-server.ts';
import { digestOf } from './image.ts';
import { ShoalNode } from './node.ts';

const MIB = 1024 * 1024;
const BLOB = pattern(12 * MIB);

describe('e2e: mirrors of a registry', function () {
  this.timeout(60_000);
  let dir = '';
  const stops: (() => unknown)[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-mirrors-'));
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** A registry of one blob that lets in whoever has `token`. */
  async function registry(token: string): Promise<OriginServer> {
    const server = await OriginServer.start((request, response) => {
      if (request.headers.authorization !== `Bearer ${token}`)
        answer(response, 401, '', { 'www-authenticate': `Bearer realm="${token}"` });
      else serveRanges(BLOB)(request, response);
    });
    stops.push(() => server.stop());
    return server;
  }

  async function start(first: OriginServer, mirror: OriginServer): Promise<ShoalNode> {
    const registries = [{ upstream: first.url, upstreams: [mirror.url] }];
    const node = await ShoalNode.start(dir, { ProxyConfig: { port: 0, registries } });
    stops.push(() => node.stop());
    return node;
  }

  const path = `/v2/a/b/blobs/${digestOf(BLOB)}`;

  it('a pull continues when its upstream dies', async () => {
    const [first, mirror] = [await registry('one'), await registry('one')];
    const node = await start(first, mirror);
    const chunks: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      const headers = { authorization: 'Bearer one' };
      get({ host: '127.0.0.1', port: node.proxyPort, path, headers }, (response) => {
        response.once('data', () => void first.stop());
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', resolve).on('error', reject);
      }).on('error', reject);
    });
    assert.ok(Buffer.concat(chunks).equals(BLOB));
  });

  it('a right counts only for the upstream that granted it', async () => {
    const [first, mirror] = [await registry('one'), await registry('two')];
    const node = await start(first, mirror);
    const status = async (token: string): Promise<number> =>
      (await node.get(path, { authorization: `Bearer ${token}`, range: 'bytes=0-9' })).status;
    assert.deepEqual([await status('one'), await status('two')], [206, 401]);
    await first.stop();
    // A blob in the cache needs the upstream for nothing but the right.
    assert.deepEqual([await status('two'), await status('three')], [206, 401]);
  });
});
