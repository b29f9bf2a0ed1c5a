import assert from 'node:assert/strict';
import { ConfigError, parseConfig } from '../../lib/config/load.ts';
import { classify } from '../../lib/registry/route.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const noNetwork = { env: {}, interfaces: () => ({}) };

const proxyOf = (registries: object[], allow: string[] = []) =>
  parseConfig({ ProxyConfig: { registries, allow } }, noNetwork).ProxyConfig;
const problems = (registries: object[]): readonly string[] => {
  try {
    proxyOf(registries);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.lines;
  }
  return assert.fail('accepted');
};

describe('an entry for any registry', () => {
  const hosts = ['docker.io', 'quay.io', 'r.example:5000', '*.gcr.io'];
  const keys = { proxy: 'http://p.example:3128' };

  it('stands for the hosts that it lists, as if each had an entry', () => {
    const proxy = proxyOf([
      { upstream: 'https://default.example' },
      { upstream: '*', hosts, ...keys },
    ]);
    assert.deepEqual(proxy.registries, [
      { p2pHost: '*', upstream: 'https://default.example' },
      { p2pHost: 'docker.io', upstream: 'https://registry-1.docker.io', ...keys },
      { p2pHost: 'quay.io', upstream: 'https://quay.io', ...keys },
      { p2pHost: 'r.example:5000', upstream: 'https://r.example:5000', ...keys },
    ]);
    assert.deepEqual(proxy.allow, ['*.gcr.io']);
  });

  it('reads the name that images of Docker Hub carry as the registry that has them', () => {
    const proxy = proxyOf([{ upstream: 'https://docker.io', upstreams: ['https://docker.io'] }]);
    const upstream = 'https://registry-1.docker.io';
    assert.deepEqual(proxy.registries, [{ p2pHost: '*', upstream, upstreams: [upstream] }]);
  });

  it('reads mirrors, with the name that they have the repositories under', () => {
    const mirrors = (...upstreams: string[]) => [{ upstream: 'https://quay.io', upstreams }];
    assert.deepEqual(
      proxyOf(mirrors('https://Harbor.example:8443/v2/quay-proxy/team/', 'http://m.example/'))
        .registries[0]!.upstreams,
      ['https://harbor.example:8443/v2/quay-proxy/team', 'http://m.example'],
    );
    for (const wrong of [
      'https://m/quay',
      'https://m/v2/Q',
      'https://m/v2/q?a',
      'https://u@m/v2/q',
    ])
      assert.throws(() => proxyOf(mirrors(wrong)), /upstreams/, wrong);
  });

  it('leaves a registry to the entry that names it', () => {
    const own = { p2pHost: 'hub.local', upstream: 'https://registry-1.docker.io', ...keys };
    const proxy = proxyOf([own, { upstream: '*', hosts: ['docker.io', 'quay.io'] }]);
    assert.deepEqual(
      proxy.registries.map(({ upstream }) => upstream),
      ['https://registry-1.docker.io', 'https://quay.io'],
    );
  });

  it('is reached by ns; globs are dialled, for their own URLs only; others are not', () => {
    const proxy = proxyOf([{ upstream: 'https://default.example' }, { upstream: '*', hosts }]);
    const asked = (ns: string) =>
      classify(
        {
          method: 'GET',
          rawPath: `/v2/a/b/blobs/${DIGEST}`,
          query: `ns=${ns}`,
          host: 'node:65001',
        },
        { ...proxy, prefix: 'accelerator' },
      );
    const blob = (ns: string) => {
      const route = asked(ns);
      assert.equal(route.kind, 'blob', ns);
      return route.kind === 'blob' ? [route.target.upstreamHost, route.target.key === DIGEST] : [];
    };
    assert.deepEqual(blob('docker.io'), ['registry-1.docker.io', true]);
    assert.deepEqual(blob('quay.io'), ['quay.io', true]);
    assert.deepEqual(blob('r.example:5000'), ['r.example:5000', true]);
    assert.deepEqual(blob('eu.gcr.io'), ['eu.gcr.io', false]);
    const other = asked('evil.example');
    assert.equal(other.kind === 'refused' && other.error.code, 'HOST_NOT_ALLOWED');
    const inner = asked('127.0.0.1:5000');
    assert.equal(inner.kind === 'refused' && inner.error.code, 'HOST_NOT_ALLOWED');
  });

  it('names what is wrong', () => {
    assert.match(problems([{ upstream: '*' }]).join(), /registries\.0\.hosts: not given; allowed/);
    assert.match(
      problems([{ upstream: 'https://a', hosts }]).join(),
      /hosts: not allowed; allowed/,
    );
    const mixed = { upstream: '*', hosts, p2pHost: 'x', upstreams: ['https://y'] };
    assert.equal(problems([mixed]).length, 2);
    assert.match(problems([{ upstream: '*.gcr.io' }]).join(), /registries\.0\.upstream/);
  });
});
