import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { ConfigError, loadConfig, parseConfig } from '../../lib/config/load.ts';
import { ALSO_ACCEPTED, readClusterSecret } from '../../lib/config/secret.ts';
import { makeAuthority } from '../../lib/tls/authority.ts';

const noNetwork = { env: {}, interfaces: () => ({}) };

describe('loading the config', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'shoal-config-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const file = (text: string): string => {
    const path = join(dir, 'config.yaml');
    writeFileSync(path, text);
    return path;
  };
  const refused = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      assert(error instanceof ConfigError, String(error));
      assert.equal(error.lines.length, 1, error.message);
      return error.lines[0]!;
    }
    return assert.fail('accepted');
  };

  it('has the defaults of the contract', () => {
    const config = parseConfig({}, noNetwork);
    assert.deepEqual(config, {
      DeployConfig: {
        mode: 'agent',
        node: '127.0.0.1',
        logDir: '/dadi-p2p/log',
        logLevel: 'info',
        logAudit: false,
        logAuditMode: 'stdout',
      },
      ProxyConfig: {
        host: '127.0.0.1',
        port: 65_001,
        tls: false,
        certFile: '',
        keyFile: '',
        certDir: '/dadi-p2p/certs',
        prefix: 'accelerator',
        registries: [],
        allow: ['*.aliyuncs.com'],
        firstByteTimeout: 20,
        accessCheck: 'strict',
        accessTtl: 60,
        accessStaleTtl: 3_600,
        proxyConcurrencyLimit: 128,
        throttleLimitMB: 512,
      },
      P2PConfig: {
        port: 65_002,
        discovery: 'static',
        peers: [],
        roots: [],
        service: '',
        secretFile: '',
      },
      CacheConfig: {
        dir: '/dadi-p2p/cache',
        capacity: 4_294_967_296,
        memory: 268_435_456,
        aioEnable: 0,
        checkReads: 'first',
        runtimeStore: 'auto',
      },
      ExporterConfig: { enable: false, port: 65_003, standaloneExporterPort: true },
    });
  });

  it('reads a file, and lays --set over it in order', () => {
    const path = file(
      'ProxyConfig:\n  port: 7001\n  registries: [{p2pHost: "Mirror.Example:65001", ' +
        'upstream: "https://Registry.Example/"}]\nP2PConfig:\nExporterConfig: {enable: ' +
        'true, port: }\n',
    );
    const config = loadConfig({
      ...noNetwork,
      file: path,
      sets: [
        'ProxyConfig.port=1',
        'ProxyConfig.port=7002',
        'P2PConfig.peers=["10.0.0.2:65002", "[fd00::2]:65002"]',
        'DeployConfig.node=',
        'CacheConfig.dir=cache',
        'ProxyConfig.throttleLimitMB=0.5',
      ],
    });
    assert.equal(config.ProxyConfig.port, 7_002);
    assert.deepEqual(config.ProxyConfig.registries, [
      { p2pHost: 'mirror.example:65001', upstream: 'https://registry.example' },
    ]);
    assert.deepEqual(config.P2PConfig.peers, ['10.0.0.2:65002', '[fd00::2]:65002']);
    assert.equal(config.ExporterConfig.port, 65_003);
    assert.equal(config.CacheConfig.dir, resolve('cache'));
    assert.equal(config.ProxyConfig.throttleLimitMB, 0.5);
  });

  it('takes a registry without p2pHost as the default upstream', () => {
    const config = parseConfig(
      { ProxyConfig: { registries: [{ upstream: 'http://127.0.0.1:5000' }] } },
      noNetwork,
    );
    assert.deepEqual(config.ProxyConfig.registries, [
      { p2pHost: '*', upstream: 'http://127.0.0.1:5000' },
    ]);
  });

  it('is frozen to the last leaf', () => {
    const config = parseConfig(
      { ProxyConfig: { registries: [{ upstream: 'http://a' }] } },
      noNetwork,
    );
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(frozen));
    assert(frozen(config));
  });

  it('takes the role from the command', () => {
    assert.equal(
      parseConfig({ DeployConfig: { mode: 'agent' } }, { ...noNetwork, mode: 'root' }).DeployConfig
        .mode,
      'root',
    );
  });

  it('takes its address from config, NODE_IP, the first non-loopback IPv4, or loopback', () => {
    const address = (family: 'IPv4' | 'IPv6', text: string, internal: boolean) =>
      ({ family, address: text, internal, netmask: '', mac: '', cidr: null, scopeid: 0 }) as never;
    const interfaces = () => ({
      lo: [address('IPv4', '127.0.0.1', true)],
      eth0: [address('IPv6', 'fd00::9', false), address('IPv4', '10.9.8.7', false)],
    });
    const node = (text: string, env: Record<string, string>) =>
      parseConfig({ DeployConfig: { node: text } }, { env, interfaces }).DeployConfig.node;
    assert.equal(node('node-1', { NODE_IP: '10.1.1.1' }), 'node-1');
    assert.equal(node('', { NODE_IP: '10.1.1.1' }), '10.1.1.1');
    assert.equal(node('', {}), '10.9.8.7');
    assert.equal(parseConfig({}, noNetwork).DeployConfig.node, '127.0.0.1');
    assert.match(
      refused(() => node('', { NODE_IP: 'a b' })),
      /^NODE_IP: "a b" is not allowed/,
    );
  });

  it('takes sizes with units', () => {
    const sizes: [string, number][] = [
      ['4GiB', 4 * 2 ** 30],
      ['4GB', 4e9],
      ['1.5 GB', 1.5e9],
      ['20000000', 20_000_000],
    ];
    for (const [text, bytes] of sizes) {
      const fromFile = loadConfig({ ...noNetwork, file: file(`CacheConfig: {capacity: ${text}}`) });
      assert.equal(fromFile.CacheConfig.capacity, bytes, text);
      const fromSet = parseConfig({}, { ...noNetwork, sets: [`CacheConfig.capacity=${text}`] });
      assert.equal(fromSet.CacheConfig.capacity, bytes, text);
    }
    for (const text of ['4 gigs', '4GIB', '-4GiB', '1.0000001kB', '1MiB', '99TiB', 'GiB'])
      assert.match(
        refused(() => parseConfig({ CacheConfig: { capacity: text } }, noNetwork)),
        /^CacheConfig\.capacity: ".*" is not allowed; allowed: .* or with a unit/,
      );
  });

  it('explains YAML mistakes with line, cause and remedy', () => {
    const mistakes: [string, RegExp][] = [
      ['A:\n\tb: 1\n', /line 2, .*a tab is used for indentation; use spaces/],
      ['A: {b: 1\n', /or a bracket is not closed/],
      ['A:\n  b: c: d\n', /line 2, .*start a new, indented line/],
      ['A:\n  b: %x\n', /line 2, .*starts with a reserved character; put it in quotes/],
      ['A: 1\n---\nB: 1\n', /has a second document; remove the "---" line/],
      ['A: *x\n', /put values that start with "\*" in quotes/],
    ];
    for (const [text, expected] of mistakes)
      assert.match(
        refused(() => loadConfig({ ...noNetwork, file: file(text) })),
        expected,
        JSON.stringify(text),
      );
  });

  it('says in one line what is wrong with the file itself', () => {
    assert.match(
      refused(() => loadConfig({ ...noNetwork, file: join(dir, 'none.yaml') })),
      /^--config: ".*none\.yaml" .*readable YAML .*: no such file or directory \(ENOENT\)$/,
    );
    assert.match(
      refused(() => loadConfig({ ...noNetwork, file: dir })),
      /EISDIR/,
    );
    assert.match(
      refused(() => loadConfig({ ...noNetwork, file: file('A: [hunter2\n') })),
      /is not valid YAML: line \d+, column \d+: .*or a bracket is not closed \([A-Z_]+\)$/,
    );
    assert.match(
      refused(() => loadConfig({ ...noNetwork, file: file('P2PConfig: {}\nP2PConfig: {}\n') })),
      /line 2, column 1: a key is given twice; keep one \(DUPLICATE_KEY\)$/,
    );
    assert.match(
      refused(() =>
        loadConfig({
          ...noNetwork,
          file: file('ProxyConfig: {port: 1}\n---\nP2PConfig: {secretFile: /s}\n'),
        }),
      ),
      /line 2, column 1: .*second document.*\(MULTIPLE_DOCS\)$/,
    );
    assert.match(
      refused(() => loadConfig({ ...noNetwork, file: file('- a\n') })),
      /YAML sections with keys$/,
    );
    assert.match(
      refused(() => loadConfig({ ...noNetwork, file: file('P2PConfig: *nowhere\n') })),
      /aliases|BAD_ALIAS|not YAML/,
    );
    assert.match(
      refused(() => loadConfig({ ...noNetwork, file: file('#'.repeat(1024 * 1024 + 1)) })),
      /at most 1048576 bytes$/,
    );
  });

  it('takes an empty file as the defaults', () => {
    assert.equal(
      loadConfig({ ...noNetwork, file: file('# nothing yet\n') }).ProxyConfig.port,
      65_001,
    );
  });

  it('wants the named secret to be there, and long enough', () => {
    const secretFile = join(dir, 'secret');
    const load = () => loadConfig({ ...noNetwork, sets: [`P2PConfig.secretFile=${secretFile}`] });
    assert.match(
      refused(load),
      /^P2PConfig\.secretFile: .*readable file; this one: no such file or directory \(ENOENT\)$/,
    );
    writeFileSync(secretFile, 'hunter2hunter2 \n\n\n\n');
    assert.match(refused(load), /at least 16 bytes \(it holds 14\)$/);
    assert.doesNotMatch(refused(load), /hunter2/);
    writeFileSync(secretFile, 'sixteen bytes ok\r\n');
    assert.deepEqual(readClusterSecret(load()), {
      kind: 'secret',
      bytes: Buffer.from('sixteen bytes ok'),
      accepted: [],
    });
    writeFileSync(secretFile, `sixteen bytes ok${ALSO_ACCEPTED}another of that size\n`);
    const found = readClusterSecret(load());
    assert.ok(found.kind === 'secret');
    assert.deepEqual(found.accepted, [Buffer.from('another of that size')]);
    writeFileSync(secretFile, `sixteen bytes ok${ALSO_ACCEPTED}short`);
    assert.match(refused(load), /at least 16 bytes \(it holds 5\)$/);
    assert.deepEqual(readClusterSecret(parseConfig({}, noNetwork)), { kind: 'none' });
  });

  it('wants named certificates to be readable when TLS is on', () => {
    const sets = ['ProxyConfig.certFile=/nonexistent/c.pem', `ProxyConfig.keyFile=${file('k')}`];
    assert.equal(loadConfig({ ...noNetwork, sets }).ProxyConfig.certFile, '/nonexistent/c.pem');
    assert.match(
      refused(() => loadConfig({ ...noNetwork, sets: [...sets, 'ProxyConfig.tls=true'] })),
      /^ProxyConfig\.certFile: .*readable file/,
    );
  });

  it('wants named certificates to be a pair that TLS can be spoken with', async () => {
    const [own, other] = [
      await makeAuthority('own', 1, Date.now()),
      await makeAuthority('other', 1, Date.now()),
    ];
    const path = (name: string, text: string): string => {
      writeFileSync(join(dir, name), text);
      return join(dir, name);
    };
    const load = (certFile: string, keyFile: string) =>
      loadConfig({
        ...noNetwork,
        sets: [
          'ProxyConfig.tls=true',
          `ProxyConfig.certFile=${certFile}`,
          `ProxyConfig.keyFile=${keyFile}`,
        ],
      });
    const certFile = path('c.pem', own.certificate);
    assert.equal(load(certFile, path('k.pem', own.key)).ProxyConfig.certFile, certFile);
    const both = path('both.pem', `a note\n${own.key}${own.certificate}${other.certificate}`);
    assert.equal(load(both, both).ProxyConfig.keyFile, both);
    const refusal = (certFile: string, keyFile: string): string[] =>
      refused(() => load(certFile, keyFile)).split(' is not allowed; allowed: ');
    const [garbage, otherKey] = [path('g.pem', 'garbage'), path('o.pem', other.key)];
    assert.deepEqual(refusal(garbage, certFile), [
      `ProxyConfig.certFile: "${garbage}"`,
      'a file with a certificate chain, PEM',
    ]);
    assert.deepEqual(refusal(certFile, certFile), [
      `ProxyConfig.keyFile: "${certFile}"`,
      'a file with a private key, PEM, without a passphrase',
    ]);
    assert.deepEqual(refusal(certFile, otherKey), [
      `ProxyConfig.keyFile: "${otherKey}"`,
      'the private key of certFile',
    ]);
  });

  it('gives --set the last word for every whole number in range', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 16_777_216, max: 2 ** 45 }),
        fc.integer({ min: 1, max: 65_536 }),
        (capacity, limit) => {
          const config = parseConfig(
            { CacheConfig: { capacity: 20_000_000 } },
            {
              ...noNetwork,
              sets: [
                `CacheConfig.capacity=${capacity}`,
                `ProxyConfig.proxyConcurrencyLimit=${limit}`,
              ],
            },
          );
          assert.equal(config.CacheConfig.capacity, capacity);
          assert.equal(config.ProxyConfig.proxyConcurrencyLimit, limit);
        },
      ),
    );
  });
});
