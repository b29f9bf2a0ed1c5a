import assert from 'node:assert/strict';
import fc from 'fast-check';
import { closest } from '../../lib/config/complaint.ts';
import { ConfigError, parseConfig } from '../../lib/config/load.ts';
import type { Sections } from '../../lib/config/override.ts';

/** The lines that `raw` (or a `--set`) is refused with; fails when it is accepted. */
function linesOf(raw: Sections, ...sets: string[]): readonly string[] {
  try {
    parseConfig(raw, { sets, env: {} });
  } catch (error) {
    assert(error instanceof ConfigError && error.code === 'CONFIG_INVALID');
    return error.lines;
  }
  return assert.fail('accepted');
}

describe('what a wrong config is told', () => {
  const cases: [Sections, RegExp][] = [
    [
      { CacheConfig: { capacity: 'lots' } },
      /^CacheConfig\.capacity: "lots" is not allowed; allowed: a whole number from 16777216 to /,
    ],
    [{ CacheConfig: { capacity: 16_777_215 } }, /^CacheConfig\.capacity: 16777215 .* 16777216 /],
    [{ CacheConfig: { capacity: 1e300 } }, /^CacheConfig\.capacity: 1e\+300 /],
    [
      { CacheConfig: { memory: 8_388_607 } },
      /^CacheConfig\.memory: 8388607 .* from 8388608 to 4294967296 bytes/,
    ],
    [
      { CacheConfig: { aioEnable: 2 } },
      /^CacheConfig\.aioEnable: 2 is not allowed; allowed: 0 or 1$/,
    ],
    [
      { ProxyConfig: { port: 65_536 } },
      /^ProxyConfig\.port: 65536 is not allowed; allowed: a whole number from 0 to 65535/,
    ],
    [{ ProxyConfig: { port: '65001' } }, /^ProxyConfig\.port: "65001" /],
    [{ ProxyConfig: { throttleLimitMB: -1 } }, /^ProxyConfig\.throttleLimitMB: -1 /],
    [
      { ProxyConfig: { throttleLimitMB: Number.NaN } },
      /^ProxyConfig\.throttleLimitMB: NaN is not allowed/,
    ],
    [
      { ProxyConfig: { accessTtl: Number.POSITIVE_INFINITY } },
      /^ProxyConfig\.accessTtl: Infinity is not allowed/,
    ],
    [{ ProxyConfig: { proxyConcurrencyLimit: 0 } }, /^ProxyConfig\.proxyConcurrencyLimit: 0 /],
    [
      { ProxyConfig: { tls: 'yes' } },
      /^ProxyConfig\.tls: "yes" is not allowed; allowed: true or false$/,
    ],
    [{ ProxyConfig: { prefix: 'a/b' } }, /^ProxyConfig\.prefix: "a\/b" .*one path segment/],
    [{ ProxyConfig: { prefix: 'v2' } }, /^ProxyConfig\.prefix: "v2" /],
    [{ ProxyConfig: { prefix: '' } }, /^ProxyConfig\.prefix: "" /],
    [
      { ProxyConfig: { certFile: '/c.pem' } },
      /^ProxyConfig\.keyFile: "" .*since certFile is given/,
    ],
    [
      { ProxyConfig: { allow: ['https://a.example'] } },
      /^ProxyConfig\.allow\.0: "https:\/\/a\.example" .*host glob/,
    ],
    [{ ProxyConfig: { allow: ['a:b'] } }, /^ProxyConfig\.allow\.0: /],
    [{ ProxyConfig: { registries: {} } }, /^ProxyConfig\.registries: \{\} .*list of entries/],
    [
      { ProxyConfig: { registries: ['https://a.example'] } },
      /^ProxyConfig\.registries\.0: .*an entry \{p2pHost, upstream, \.\.\.\}/,
    ],
    [{ ProxyConfig: { registries: [{}] } }, /^ProxyConfig\.registries\.0\.upstream: \(nothing\) /],
    [
      { ProxyConfig: { registries: [{ upstream: 'https://a.example/v2' }] } },
      /^ProxyConfig\.registries\.0\.upstream: /,
    ],
    [
      { ProxyConfig: { registries: [{ upstream: 'ftp://a.example' }] } },
      /^ProxyConfig\.registries\.0\.upstream: /,
    ],
    [
      { ProxyConfig: { registries: [{ upstream: 'http://a' }, { upstream: 'http://b' }] } },
      /^ProxyConfig\.registries: .*at most one default upstream/,
    ],
    [
      { P2PConfig: { peers: ['10.0.0.2'] } },
      /^P2PConfig\.peers\.0: "10\.0\.0\.2" is not allowed; allowed: peers as host:port/,
    ],
    [{ P2PConfig: { discovery: 'dns' } }, /^P2PConfig\.service: "" .*since discovery is dns$/],
    [
      { P2PConfig: { port: 65_001 } },
      /^P2PConfig\.port: 65001 .* other than that of ProxyConfig\.port$/,
    ],
    [
      { ExporterConfig: { enable: true, port: 65_002 } },
      /^ExporterConfig\.port: 65002 .* other than that of P2PConfig\.port$/,
    ],
    [{ DeployConfig: { node: '10.0.0.1:80' } }, /^DeployConfig\.node: "10\.0\.0\.1:80" /],
    [
      { DeployConfig: { mode: 'boss' } },
      /^DeployConfig\.mode: "boss" is not allowed; allowed: one of agent, root$/,
    ],
    [
      { DeployConfig: { logDir: '' } },
      /^DeployConfig\.logDir: "" is not allowed; allowed: a path$/,
    ],
    [{ DeployConfig: [] }, /^DeployConfig: \[\] is not allowed; allowed: keys with values$/],
    [
      { DeployConfig: { nodes: 1 } },
      /^DeployConfig\.nodes: 1 is not allowed; no such key; did you mean DeployConfig\.node\?$/,
    ],
    [
      { ProxyConfig: { capacity: 1 } },
      /^ProxyConfig\.capacity: 1 .*did you mean CacheConfig\.capacity\?$/,
    ],
    [{ ProxyConfig: { zebra: 1 } }, /^ProxyConfig\.zebra: 1 .*no such key; allowed: host, port, /],
    [{ proxyConfig: { port: 1 } }, /^proxyConfig: .*did you mean ProxyConfig\?$/],
    [
      { ProxyConfig: { registries: [{ upstream: 'http://a', user: 'u' }] } },
      /^ProxyConfig\.registries\.0\.user: .*no such key; allowed: p2pHost, upstream, .*headers$/,
    ],
  ];
  for (const [raw, line] of cases) {
    it(JSON.stringify(raw), () => {
      const lines = linesOf(raw);
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.match(lines[0]!, line);
    });
  }

  for (const set of [
    'ProxyConfig.allow=[*.example.com]',
    'DeployConfig.node=*',
    'DeployConfig.node=a\n---\nb',
  ]) {
    it(`--set ${JSON.stringify(set)}`, () => {
      const lines = linesOf({}, set);
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.match(lines[0]!, /^\w+\.\w+: the value given by --set is not allowed; allowed: /);
      assert.match(lines[0]!, / \(put values that start with "\*" in quotes\)$/);
    });
  }

  it('finds everything at once', () => {
    const lines = linesOf(
      { ProxyConfig: { port: -1, prefix: '' }, Nope: {} },
      'x',
      'CacheConfig.memory=[1',
      'CacheConfig.capacity=1',
    );
    assert.deepEqual(
      lines.map((line) => line.split(': ')[0]),
      [
        '--set "x"',
        'CacheConfig.memory',
        'ProxyConfig.port',
        'ProxyConfig.prefix',
        'CacheConfig.capacity',
        'Nope',
      ],
    );
  });

  it('never repeats a secret', () => {
    const lines = linesOf(
      {
        ProxyConfig: {
          registries: [
            { upstream: 'https://robot:hunter2@a.example/?sig=hunter2', token: 'hunter2' },
          ],
          allow: ['https://x:hunter2@y'],
          password: 'hunter2',
        },
        P2PConfig: { secret: 'hunter2', secretFile: { secret: 'hunter2' } },
        Auth: { token: 'hunter2' },
      },
      'token:hunter2',
      'Token.x=[hunter2',
    );
    assert.equal(lines.length, 9);
    assert.doesNotMatch(lines.join('\n'), /hunter2/);
  });

  it('answers any input with a config or with single lines of bounded length', () => {
    const key = fc.oneof(
      fc.constantFrom(
        'DeployConfig',
        'ProxyConfig',
        'P2PConfig',
        'CacheConfig',
        'port',
        'node',
        'registries',
        'peers',
        'upstream',
      ),
      fc.string({ unit: 'binary' }),
    );
    const anything = fc.object({ key, maxDepth: 4, withNullPrototype: false, withDate: false });
    fc.assert(
      fc.property(
        anything,
        fc.array(fc.string({ unit: 'binary' }), { maxLength: 2 }),
        (raw, sets) => {
          try {
            parseConfig(raw as Sections, { sets, env: {} });
          } catch (error) {
            assert(error instanceof ConfigError, String(error));
            assert(error.lines.length > 0);
            for (const line of error.lines) assert.match(line, /^[^\p{Cc}\u2028\u2029]{1,2000}$/u);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the closest known key', () => {
  it('is found one or two slips away', () => {
    assert.equal(closest('throtleLimitMB', ['throttleLimitMB', 'tls']), 'throttleLimitMB');
    assert.equal(closest('prot', ['port', 'prefix']), 'port');
    assert.equal(closest('PORT', ['port']), 'port');
  });

  it('is not guessed from afar', () => {
    assert.equal(closest('zebra', ['port', 'tls']), null);
    assert.equal(closest('abc', ['tls']), null);
  });
});
