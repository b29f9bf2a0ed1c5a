import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diagnose } from '../../lib/doctor/doctor.ts';
import type { Finding } from '../../lib/doctor/finding.ts';
import { checkRuntime } from '../../lib/doctor/runtime.ts';
import { parseConfig } from '../../lib/config/load.ts';
import { issueLeaf, makeAuthority } from '../../lib/tls/authority.ts';

describe('shoal doctor', function () {
  this.timeout(30_000);
  let dir: string;
  const servers: Server[] = [];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'shoal-doctor-'));
    secret('0123456789abcdef', 0o600);
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.close();
      await once(server, 'close');
    }
    rmSync(dir, { recursive: true, force: true });
  });

  function secret(text: string, mode: number): void {
    writeFileSync(join(dir, 'secret'), text);
    chmodSync(join(dir, 'secret'), mode);
  }

  async function listen<S extends Server>(server: S): Promise<number> {
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  const serve = (listener: RequestListener): Promise<number> =>
    listen(createServer({ keepAlive: false }, listener));

  async function closedPort(): Promise<number> {
    const server = createServer();
    const port = await listen(server);
    servers.pop();
    server.close();
    await once(server, 'close');
    return port;
  }

  async function tlsRegistry(host: string, fromMs: number): Promise<number> {
    const authority = await makeAuthority('CA of a test', 2, fromMs);
    const leaf = await issueLeaf(authority, [host], 1, fromMs);
    const server = createTlsServer({ cert: leaf.certificate, key: leaf.key });
    return listen(server);
  }

  /** The findings of a config that is sound but for what `sets` change. */
  const examine = (...sets: string[]): Promise<Finding[]> =>
    diagnose(
      {
        sets: [
          'DeployConfig.node=127.0.0.1',
          `CacheConfig.dir=${join(dir, 'cache')}`,
          'CacheConfig.capacity=16MiB',
          'ProxyConfig.port=0',
          'P2PConfig.port=0',
          `P2PConfig.secretFile=${join(dir, 'secret')}`,
          ...sets,
        ],
        mode: 'root',
      },
      () => Date.now(),
    );

  const upstream = (url: string): string => `ProxyConfig.registries=[{upstream: "${url}"}]`;

  it('reports no problem for a healthy node', async () => {
    const port = await serve((request, response) => {
      assert.equal(request.url, '/v2/');
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="x"' }).end();
    });
    const findings = await examine(upstream(`http://127.0.0.1:${port}`));
    assert.deepEqual(
      findings.filter(({ outcome }) => outcome === 'failed'),
      [],
    );
    assert.ok(findings.some(({ detail }) => /asks for a credential \(Bearer\)/.test(detail)));
  });

  /** Each mistake must name the thing, the cause and the next step. */
  const mistakes: [
    name: string,
    make: () => Promise<string[]> | string[],
    outcome: Finding['outcome'],
    thing: RegExp,
    cause: RegExp,
    step: RegExp,
  ][] = [
    [
      'an unknown key',
      () => ['CacheConfig.capacty=1'],
      'failed',
      /config/,
      /no such key; did you mean CacheConfig\.capacity/,
      /correct the key/,
    ],
    [
      'no secret file',
      () => ['P2PConfig.secretFile=/nowhere/secret'],
      'failed',
      /config/,
      /secretFile.*ENOENT/,
      /correct/,
    ],
    [
      'a short secret',
      () => {
        secret('short', 0o600);
        return [];
      },
      'failed',
      /config/,
      /at least 16 bytes \(it holds 5\)/,
      /correct/,
    ],
    [
      'a secret that everybody may read',
      () => {
        secret('0123456789abcdef', 0o644);
        return [];
      },
      'warning',
      /cluster secret/,
      /every user \(mode 644\)/,
      /chmod 600 .*secret/,
    ],
    [
      'peers without a secret',
      () => ['P2PConfig.secretFile=', 'P2PConfig.peers=["10.0.0.9:65002"]'],
      'warning',
      /cluster secret/,
      /is not set: peers on other machines are ignored/,
      /shoal init/,
    ],
    [
      'a cache directory that cannot be',
      () => {
        writeFileSync(join(dir, 'file'), '');
        return [`CacheConfig.dir=${join(dir, 'file', 'cache')}`];
      },
      'failed',
      /cache disk/,
      /cannot be written/,
      /writable disk/,
    ],
    [
      'a disk with too little room',
      () => ['CacheConfig.capacity=60TiB'],
      'warning',
      /cache disk/,
      /has room for .* of 65970\.\d GB/,
      /lower CacheConfig\.capacity/,
    ],
    [
      'a port in use',
      async () => [`P2PConfig.port=${await serve(() => undefined)}`],
      'warning',
      /port \d+/,
      /P2PConfig\.port is in use/,
      /ss -ltnp/,
    ],
    [
      'a peer that is down',
      async () => [`P2PConfig.peers=["127.0.0.1:${await closedPort()}"]`],
      'failed',
      /peer 127\.0\.0\.1:\d+/,
      /connection refused/,
      /start the node there/,
    ],
    [
      'a peer with another secret',
      async () => {
        const port = await serve((_request, response) =>
          response
            .writeHead(401)
            .end('{"code":"PEER_UNAUTHORIZED","message":"not signed with this secret"}'),
        );
        return [`P2PConfig.roots=["127.0.0.1:${port}"]`];
      },
      'failed',
      /peer 127\.0\.0\.1:\d+/,
      /refuses this node: not signed with this secret/,
      /compare secretFile, clock and version/,
    ],
    [
      'a peer address that is something else',
      async () => {
        const port = await serve((_request, response) => response.writeHead(404).end('<html>'));
        return [`P2PConfig.peers=["127.0.0.1:${port}"]`];
      },
      'failed',
      /peer/,
      /is not the p2p port of a node/,
      /65002 by default/,
    ],
    [
      'no registry',
      () => [],
      'warning',
      /registries/,
      /ProxyConfig\.registries is empty/,
      /add the registry/,
    ],
    [
      'a registry whose name does not resolve',
      () => [upstream('https://no-such-host.invalid')],
      'failed',
      /registry no-such-host\.invalid/,
      /does not resolve/,
      /DNS server/,
    ],
    [
      'a registry that is down',
      async () => [upstream(`http://127.0.0.1:${await closedPort()}`)],
      'failed',
      /registry 127/,
      /connection refused/,
      /start the registry/,
    ],
    [
      'a registry with an unknown CA',
      async () => [upstream(`https://127.0.0.1:${await tlsRegistry('127.0.0.1', Date.now())}`)],
      'failed',
      /registry/,
      /TLS: its (CA is unknown|certificate is signed by an unknown CA)/,
      /correct the certificate/,
    ],
    [
      'a registry whose certificate has expired',
      async () => [
        upstream(
          `https://127.0.0.1:${await tlsRegistry('127.0.0.1', Date.now() - 9 * 86_400_000)}`,
        ),
      ],
      'failed',
      /registry/,
      /TLS: its (CA is unknown|certificate has expired)/,
      /correct the certificate/,
    ],
    [
      'https to a plain port',
      async () => [upstream(`https://127.0.0.1:${await serve((_r, response) => response.end())}`)],
      'failed',
      /registry/,
      /TLS: (it does not speak TLS|the TLS handshake failed)/,
      /./,
    ],
    [
      'http to a TLS port',
      async () => [upstream(`http://127.0.0.1:${await tlsRegistry('127.0.0.1', Date.now())}`)],
      'failed',
      /registry/,
      /does not speak http on this port/,
      /other scheme/,
    ],
    [
      'a server that is no registry',
      async () => [
        upstream(
          `http://127.0.0.1:${await serve((_r, response) => response.writeHead(404).end())}`,
        ),
      ],
      'failed',
      /registry/,
      /answers 404 to GET \/v2\//,
      /check that the upstream is a registry/,
    ],
  ];
  for (const [name, make, outcome, thing, cause, step] of mistakes) {
    it(`names ${name}, its cause and the next step`, async () => {
      const findings = await examine(...(await make()));
      const found = findings.find(({ detail }) => cause.test(detail));
      assert.ok(found !== undefined, JSON.stringify(findings, null, 1));
      assert.equal(found.outcome, outcome);
      assert.match(found.check, thing);
      assert.match(found.fix ?? '', step);
    });
  }

  it('looks at containerd: config_path, hosts.toml and the name of the P2P host', async () => {
    const config = parseConfig({
      ProxyConfig: {
        registries: [
          { upstream: 'https://r.example' },
          { p2pHost: 'localhost:65001', upstream: 'https://r.example' },
          { p2pHost: 'p2p.invalid:65001', upstream: 'https://r.example' },
        ],
      },
    });
    const places = { containerdConfig: join(dir, 'config.toml'), certsDir: join(dir, 'certs.d') };
    writeFileSync(places.containerdConfig, 'version = 2\n');
    const details = (await checkRuntime(config, places)).map(
      ({ check, outcome, detail }) => `${outcome} ${check}: ${detail}`,
    );
    assert.match(details[0]!, /^failed containerd: containerd does not read .*certs\.d/);
    assert.match(details[1]!, /^warning runtime: r\.example: .* names no mirror/);
    assert.match(details[2]!, /^ok runtime: localhost:65001: resolves to this machine/);
    assert.match(details[3]!, /^failed runtime: p2p\.invalid:65001: does not resolve/);
  });
});
