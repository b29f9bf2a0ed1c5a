import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding } from '../../lib/doctor/finding.ts';
import { DoctorFixture } from './fixture.ts';

describe('shoal doctor', function () {
  this.timeout(30_000);
  const fixture = new DoctorFixture();
  const { secret, serve, closedPort, filteredPort, tlsRegistry, peer, closedTunnels } = fixture;
  const { examine, mount } = fixture;
  beforeEach(() => fixture.open());
  afterEach(() => fixture.close());

  const upstream = (url: string): string => `ProxyConfig.registries=[{upstream: "${url}"}]`;

  it('reports no problem for a healthy node', async () => {
    const port = await serve((_request, response) => {
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
    needs?: 'root',
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
      'a file that is no YAML',
      () => ['--config', 'CacheConfig: [1, 2\nProxyConfig: {}\n'],
      'failed',
      /config/,
      /config\.yaml.* is not valid YAML: .*line [12]/,
      /correct the file/,
    ],
    [
      'a tab in YAML',
      () => ['--config', 'CacheConfig:\n\tcapacity: 1\n'],
      'failed',
      /config/,
      /config\.yaml.* is not valid YAML: line 2, .*a tab is used for indentation; use spaces/,
      /correct the file/,
    ],
    [
      'a key that is given twice',
      () => ['--config', 'CacheConfig:\n  memory: 64MiB\n  memory: 32MiB\n'],
      'failed',
      /config/,
      /config\.yaml.* is not valid YAML: line 3, .*a key is given twice; keep one/,
      /correct the file/,
    ],
    [
      'a size with a unit that is none',
      () => ['CacheConfig.capacity=4XB'],
      'failed',
      /config/,
      /CacheConfig\.capacity: "4XB" is not allowed; allowed: .*(4GiB|GiB|unit)/,
      /correct/,
    ],
    [
      'no secret file',
      () => ['P2PConfig.secretFile=/nowhere/secret'],
      'failed',
      /config/,
      /secretFile.*ENOENT/,
      /`shoal init`, and copy it to the same path on every node/,
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
      /`shoal init`, and copy it to the same path on every node/,
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
        writeFileSync(join(fixture.dir, 'file'), '');
        return [`CacheConfig.dir=${join(fixture.dir, 'file', 'cache')}`];
      },
      'failed',
      /cache disk/,
      /cannot be written/,
      /writable disk/,
    ],
    [
      'a cache directory on a file system that is read-only',
      () => [`CacheConfig.dir=${join(mount('ro'), 'cache')}`],
      'failed',
      /cache disk/,
      /mounted\/cache cannot be written: read-only file system \(EROFS\)/,
      /create .*mounted\/cache on a writable disk/,
      'root',
    ],
    [
      'a cache directory on a full disk',
      () => {
        const disk = mount('size=64k');
        writeFileSync(join(disk, 'other'), Buffer.alloc(60 * 1024));
        return [`CacheConfig.dir=${join(disk, 'cache')}`];
      },
      'failed',
      /cache disk/,
      /mounted\/cache is full: [\d.]+ k?B free of 16\.8 MB configured/,
      /free space on this disk, or give CacheConfig\.dir another; .*memory only/,
      'root',
    ],
    [
      'a disk with too little room',
      () => ['CacheConfig.capacity=60TiB'],
      'warning',
      /cache disk/,
      /has room for .* of 66\.0 TB/,
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
      'a peer whose port is filtered',
      async () => {
        fixture.timeoutMs = 700;
        return [`P2PConfig.peers=["127.0.0.1:${await filteredPort()}"]`];
      },
      'failed',
      /peer 127\.0\.0\.1:\d+/,
      /no answer within 0\.7 s/,
      /check the route, and that firewalls and network policies let the p2p port through/,
    ],
    [
      'a registry whose port is filtered',
      async () => {
        fixture.timeoutMs = 700;
        return [upstream(`http://127.0.0.1:${await filteredPort()}`)];
      },
      'failed',
      /registry 127\.0\.0\.1:\d+/,
      /no answer within 0\.7 s/,
      /check the route and firewalls/,
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
      /Compare P2PConfig\.secretFile on both \(`sha256sum`\)/,
    ],
    [
      'a peer whose clock is off',
      async () => {
        const port = await peer({ wallMs: () => Date.now() + 300_000 });
        return [`P2PConfig.roots=["127.0.0.1:${port}"]`];
      },
      'failed',
      /peer 127\.0\.0\.1:\d+/,
      /clock of the node that asks is (299|300) s behind that of 127\.0\.0\.1:\d+/,
      /the clocks \(`timedatectl`\)/,
    ],
    [
      'a peer whose clock drifts',
      async () => [
        `P2PConfig.roots=["127.0.0.1:${await peer({ wallMs: () => Date.now() - 30_000 })}"]`,
      ],
      'warning',
      /peer 127\.0\.0\.1:\d+/,
      /its clock is more than 10 s behind that of this machine; at 60 s nodes refuse/,
      /synchronize the clocks of both machines/,
    ],
    [
      'a peer of another major version',
      async () => {
        const port = await peer({ version: { major: 9, minor: 0 } });
        return [`P2PConfig.roots=["127.0.0.1:${port}"]`];
      },
      'failed',
      /peer 127\.0\.0\.1:\d+/,
      /protocol 1\.\d+, this node \(127\.0\.0\.1:\d+\) speaks 9\.0; run releases with the same/,
      /Finish the upgrade/,
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
      'a registry whose certificate is for another name',
      async () => {
        const port = await tlsRegistry('registry.example', Date.now());
        const entry = `upstream: "https://127.0.0.1:${port}", caFile: "${fixture.dir}/ca.pem"`;
        return [`ProxyConfig.registries=[{${entry}}]`];
      },
      'failed',
      /registry 127/,
      /TLS: its certificate is for other names/,
      /use a name that it is for/,
    ],
    [
      'a service whose name does not resolve',
      () => ['P2PConfig.discovery=dns', 'P2PConfig.service=agents.invalid'],
      'failed',
      /discovery/,
      /agents\.invalid does not resolve .*the name is wrong, or its Service selects no ready pod/,
      /correct the name .*compare the Service's selector with the labels of the pods/,
    ],
    [
      'Kubernetes discovery outside a cluster',
      () => ['P2PConfig.discovery=kubernetes', 'P2PConfig.service=agents'],
      'failed',
      /discovery/,
      /works in a pod only/,
      /kubectl exec/,
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
      /caFile .*NODE_EXTRA_CA_CERTS/,
    ],
    [
      'a registry whose certificate has expired',
      async () => {
        const port = await tlsRegistry('127.0.0.1', Date.now() - 9 * 86_400_000);
        const entry = `upstream: "https://127.0.0.1:${port}", caFile: "${fixture.dir}/ca.pem"`;
        return [`ProxyConfig.registries=[{${entry}}]`];
      },
      'failed',
      /registry 127/,
      /TLS: its certificate has expired/,
      /renew it, or set the clock/,
    ],
    [
      'https to a plain port',
      async () => [upstream(`https://127.0.0.1:${await serve((_r, response) => response.end())}`)],
      'failed',
      /registry/,
      /TLS: it does not speak TLS on this port/,
      /write http:\/\/ instead/,
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
      'a proxy that refuses the connection',
      async () => {
        const proxy = `http://127.0.0.1:${await closedPort()}`;
        return [`ProxyConfig.registries=[{upstream: "https://r.example", proxy: "${proxy}"}]`];
      },
      'failed',
      /registry r\.example/,
      /the proxy 127\.0\.0\.1:\d+ refuses the connection/,
      /correct `proxy` of the registry, HTTPS_PROXY/,
    ],
    [
      'a proxy that lets no one through',
      async () => {
        const proxy = `http://127.0.0.1:${await closedTunnels()}`;
        return [`ProxyConfig.registries=[{upstream: "https://r.example", proxy: "${proxy}"}]`];
      },
      'failed',
      /registry r\.example/,
      /the proxy 127\.0\.0\.1:\d+ answers 407/,
      /name and password/,
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
  for (const [name, make, outcome, thing, cause, step, asUser] of mistakes) {
    it(`names ${name}, its cause and the next step`, async function () {
      if (asUser === 'root' && process.getuid!() !== 0) {
        console.error('      not tested: only root can mount a file system');
        this.skip();
      }
      const findings = await examine(...(await make()));
      const found = findings.find(({ detail }) => cause.test(detail));
      assert.ok(found !== undefined, JSON.stringify(findings, null, 1));
      assert.equal(found.outcome, outcome);
      assert.match(found.check, thing);
      assert.match(found.fix ?? '', step);
    });
  }
});
