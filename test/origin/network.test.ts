import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Server } from 'node:net';
import { OriginClient } from '../../lib/origin/client.ts';
import { Networks, readNetworks, type Network } from '../../lib/origin/network.ts';
import { splitUrl } from '../../lib/registry/url.ts';
import { issueCertificate } from './certificate.ts';
import { pattern, RecordingSink, serveRanges } from './origin-server.ts';

const BLOB = pattern(400_000);
const PLAIN: Network = {
  upstream: 'https://r.example',
  storage: [],
  ca: null,
  cert: null,
  key: null,
  insecureSkipVerify: false,
  proxy: null,
  headers: {},
};

describe('origin/network', () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  async function listen(server: Server): Promise<number> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  /** Reads two parts: the first by the general transport, the second by the direct one. */
  async function read(port: number, network: Partial<Network>, scheme = 'https'): Promise<void> {
    const host = `127.0.0.1:${port}`;
    const upstream = `${scheme}://${host}`;
    const client = new OriginClient({
      allow: [],
      registries: [{ upstream, storage: network.storage ?? [] }],
      networks: [{ ...PLAIN, ...network, upstream }],
    });
    stops.push(() => client.close());
    for (const part of [0, 1]) {
      const sink = new RecordingSink();
      const offsetBytes = part * 200_000;
      await client.readRange(
        { url: `${upstream}/b`, upstreamHost: host, authorization: null },
        { offsetBytes, lengthBytes: 200_000, totalBytes: BLOB.length },
        sink,
      );
      assert.ok(sink.bytes.equals(BLOB.subarray(offsetBytes, offsetBytes + 200_000)));
    }
  }

  const tlsServer = async (asksForCertificate = false) => {
    const { certPem: certificate, keyPem: key } = await issueCertificate('127.0.0.1');
    const options = asksForCertificate
      ? { requestCert: true, rejectUnauthorized: true, ca: certificate }
      : {};
    const server = createTlsServer({ cert: certificate, key, ...options }, serveRanges(BLOB));
    return { port: await listen(server), certificate, key };
  };

  it('trusts the authority that the config names, and no other one', async () => {
    const { port, certificate } = await tlsServer();
    await read(port, { ca: certificate });
    await assert.rejects(read(port, {}), { code: 'ORIGIN_UNREACHABLE' });
    await read(port, { insecureSkipVerify: true });
  });

  it('tells no http store which https registry redirected there', async () => {
    const { certPem: cert, keyPem: key } = await issueCertificate('127.0.0.1');
    const referers: (string | undefined)[] = [];
    const store = await listen(
      createServer((request, response) => {
        referers.push(request.headers.referer);
        serveRanges(BLOB)(request, response);
      }),
    );
    const registry = await listen(
      createTlsServer({ cert, key }, (_request, response) => {
        response.writeHead(307, { location: `http://127.0.0.1:${store}/b?sig=1` }).end();
      }),
    );
    await read(registry, { ca: cert, storage: [`127.0.0.1:${store}`] });
    assert.deepEqual(referers, [undefined, undefined]);
  });

  it('shows its certificate to a registry that asks for one', async () => {
    const { port, certificate, key } = await tlsServer(true);
    await read(port, { ca: certificate, cert: certificate, key });
    await assert.rejects(read(port, { ca: certificate }));
  });

  it('goes through the proxy of the config', async () => {
    const seen: string[] = [];
    const { port, certificate } = await tlsServer();
    const proxy = createServer();
    proxy.on('connect', (asked, socket) => {
      seen.push(asked.url!);
      const upstream = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      for (const end of [upstream, socket]) end.on('error', () => socket.destroy());
    });
    const proxyPort = await listen(proxy);
    await read(port, { ca: certificate, proxy: `http://127.0.0.1:${proxyPort}` });
    assert.ok(seen.length > 0 && seen.every((target) => target === `127.0.0.1:${port}`));
  });

  it('sends the headers of the config to the registry', async () => {
    const seen: unknown[] = [];
    const listener: RequestListener = (asked, response) => {
      seen.push(asked.headers['x-tenant']);
      serveRanges(BLOB)(asked, response);
    };
    const port = await listen(createServer(listener));
    await read(port, { headers: { 'x-tenant': 'a' } }, 'http');
    assert.deepEqual(seen, ['a', 'a']);
    request({ port })
      .on('error', () => undefined)
      .destroy();
  });

  it('names the file that cannot be read', async () => {
    await assert.rejects(
      readNetworks([{ upstream: 'https://r.example', caFile: '/nowhere/ca.pem' }]),
      (error: Error) => /caFile \/nowhere\/ca\.pem.*ENOENT/.test(error.message),
    );
  });

  describe('the environment', () => {
    const proxyFor = (url: string, noProxy: string): string | null =>
      new Networks([], { HTTPS_PROXY: 'http://p.example:3128', NO_PROXY: noProxy }).proxyFor(
        splitUrl(url),
      );
    const cases: [string, string, boolean][] = [
      ['https://r.example', '', true],
      ['http://r.example', '', false],
      ['https://r.example', '*', false],
      ['https://r.example', 'r.example', false],
      ['https://sub.r.example', 'r.example', false],
      ['https://r.example', '.r.example', true],
      ['https://sub.r.example', '.r.example', false],
      ['https://r.example:5000', 'r.example:443', true],
      ['https://r.example', 'other.example, r.example:443', false],
      ['https://10.1.2.3', '10.0.0.0/8', false],
      ['https://11.1.2.3', '10.0.0.0/8', true],
      ['https://127.0.0.1', '', false],
    ];
    for (const [url, noProxy, isProxied] of cases)
      it(`${isProxied ? 'proxies' : 'reaches'} ${url} with NO_PROXY=${noProxy}`, () =>
        assert.equal(proxyFor(url, noProxy), isProxied ? 'http://p.example:3128' : null));
  });
});
