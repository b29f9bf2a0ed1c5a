import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueCertificate } from '../origin/certificate.ts';
import { answer, OriginServer, pattern } from '../origin/origin-server.ts';
import { ShoalNode } from './node.ts';

const BODY = pattern(300_000);
const PATH = '/v2/a/b/manifests/v1';

describe('a node whose config changes', function () {
  this.timeout(60_000);
  let dir = '';
  const stops: (() => unknown)[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-reload-'));
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** A registry that answers every path with its name. */
  async function registry(name: string): Promise<OriginServer> {
    const server = await OriginServer.start((_request, response) => answer(response, 200, name));
    stops.push(() => server.stop());
    return server;
  }

  async function start(registries: object[]): Promise<ShoalNode> {
    const node = await ShoalNode.start(dir, { ProxyConfig: { port: 0, registries } });
    stops.push(() => node.stop());
    return node;
  }

  /** Replaces the list of registries in the config file, as editors do: by another file. */
  async function edit(change: (proxy: Record<string, unknown>) => void): Promise<void> {
    const file = join(dir, 'config.yaml');
    const config = JSON.parse(await readFile(file, 'utf8')) as {
      ProxyConfig: Record<string, unknown>;
    };
    change(config.ProxyConfig);
    await writeFile(`${file}.new`, JSON.stringify(config));
    await rename(`${file}.new`, file);
  }

  /** The front threads hear of it a moment after it is in force elsewhere. */
  async function until(isSo: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + 10_000;
    while (!(await isSo())) assert.ok(performance.now() < endMs, 'not within 10 s');
  }

  it('uses another registry from then on, and finishes running requests', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let began = (): void => undefined;
    const asked = new Promise<void>((resolve) => (began = resolve));
    const slow = await OriginServer.start((_request, response) => {
      if (slow.seen.length > 1) return answer(response, 200, 'old');
      began();
      response.writeHead(200, { 'content-length': BODY.length });
      response.write(BODY.subarray(0, 1_000));
      void held.then(() => response.end(BODY.subarray(1_000)));
    });
    stops.push(() => slow.stop());
    const next = await registry('next');
    const node = await start([{ upstream: slow.url }]);
    const pulled = new Promise<Buffer>((resolve, reject) => {
      get({ host: '127.0.0.1', port: node.proxyPort, path: PATH }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => resolve(Buffer.concat(chunks)));
      }).on('error', reject);
    });
    await asked;
    await edit((proxy) => (proxy['registries'] = [{ upstream: next.url }]));
    await node.daemon.said(/the new config of registries is in force/);
    await until(async () => (await node.get(PATH)).body.toString() === 'next');
    release();
    assert.ok((await pulled).equals(BODY));
  });

  it('refuses an invalid config and names the key; the old one stays in force', async () => {
    const first = await registry('first');
    const node = await start([{ upstream: first.url }]);
    await edit((proxy) => (proxy['registries'] = [{ upstream: 'ftp://r.example' }]));
    await node.daemon.said(
      /the new config is refused, the old one stays in force: ProxyConfig\.registries\.0\.upstream/,
    );
    assert.equal((await node.get(PATH)).body.toString(), 'first');
  });

  it('reads the config at SIGHUP, and says which keys need a restart', async () => {
    const first = await registry('first');
    const node = await start([{ upstream: first.url }]);
    node.daemon.child.kill('SIGHUP');
    await node.daemon.said(/config read again; nothing changed/);
    await edit((proxy) => (proxy['throttleLimitMB'] = 7));
    await node.daemon.said(/restart the node to apply changes of ProxyConfig\.throttleLimitMB/);
    assert.equal((await node.get(PATH)).body.toString(), 'first');
  });

  it('loads a replaced caFile, and refuses one without a certificate', async () => {
    const [own, other] = await Promise.all([
      issueCertificate('127.0.0.1'),
      issueCertificate('127.0.0.1'),
    ]);
    const server = createTlsServer({ cert: own.certPem, key: own.keyPem }, (_request, response) =>
      answer(response, 200, 'tls'),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => server.close().closeAllConnections());
    const upstream = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const caFile = join(dir, 'ca.pem');
    await writeFile(caFile, other.certPem);
    const node = await start([{ upstream, caFile }]);
    assert.equal((await node.get(PATH)).status, 502);
    await writeFile(caFile, 'none');
    await node.daemon.said(/the old one stays in force: caFile .* must hold certificates/);
    await writeFile(caFile, own.certPem);
    await node.daemon.said(/the new config of registries is in force/);
    assert.equal((await node.get(PATH)).body.toString(), 'tls');
    await edit((proxy) => (proxy['registries'] = [{ upstream, insecureSkipVerify: true }]));
    await node.daemon.said(/the certificate of https:\/\/127\.0\.0\.1:\d+ is not verified/);
    await until(async () => (await node.get(PATH)).body.toString() === 'tls');
  });
});
