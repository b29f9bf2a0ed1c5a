import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answer, OriginServer, pattern, serveRanges } from '../origin/origin-server.ts';
import { digestOf } from './image.ts';
import { ShoalNode } from './node.ts';

const BLOB = pattern(5_000);
const PATH = `/v2/a/b/blobs/${digestOf(BLOB)}`;

describe('e2e: HTTP as less usual clients speak it', function () {
  this.timeout(60_000);
  let dir = '';
  let registry: OriginServer;
  let node: ShoalNode;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-http-'));
    registry = await OriginServer.start((request, response) => {
      if (request.url!.includes('/blobs/')) serveRanges(BLOB)(request, response);
      else answer(response, 200, request.url!);
    });
    node = await ShoalNode.start(dir, {
      ProxyConfig: { port: 0, registries: [{ upstream: registry.url }] },
    });
  });
  after(async () => {
    await node?.stop();
    await registry?.stop();
    await rm(dir, { recursive: true });
  });

  /** What comes until `isOver`, or the connection ends. */
  function talk(request: string, isOver: (text: string) => boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = '';
      const socket = connect(node.proxyPort, '127.0.0.1', () => socket.write(request, 'latin1'));
      const timer = setTimeout(() => socket.destroy(new Error(`only ${text}`)), 10_000);
      socket.setEncoding('latin1').on('data', (more: string) => {
        text += more;
        if (isOver(text)) socket.end();
      });
      socket.on('error', reject);
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(text);
      });
    });
  }
  /**
   * What a client gets that speaks to the node itself; docs/SPEC.md 2.1 says what to put between.
   */
  const refused: [what: string, request: string][] = [
    ['HTTP/1.0', `GET ${PATH} HTTP/1.0\r\nHost: r\r\n\r\n`],
    ['HTTP/1.0 without Host', `GET ${PATH} HTTP/1.0\r\n\r\n`],
    ['the absolute form', `GET http://r${PATH} HTTP/1.1\r\nHost: r\r\n\r\n`],
  ];
  for (const [what, request] of refused)
    it(`${what}: 505, and the connection is closed`, async () =>
      assert.match(await talk(request, () => false), /^HTTP\/1\.1 505 [^]*Connection: close/));

  it('pipelined requests: closed without an answer, never out of order', async () => {
    const one = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: r\r\n\r\n`;
    assert.equal(await talk(one(PATH) + one('/v2/a/b/manifests/v1'), () => false), '');
  });

  it('one request after the other on one connection', async () => {
    const port = node.proxyPort;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const path of [PATH, '/v2/a/b/manifests/one', '/v2/', PATH]) {
      const body = await new Promise<Buffer>((resolve, reject) => {
        get({ host: '127.0.0.1', port, path, agent }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve(Buffer.concat(chunks))).on('error', reject);
        }).on('error', reject);
      });
      assert.ok(path === PATH ? body.equals(BLOB) : body.toString() === path);
    }
    agent.destroy();
  });
});
