import assert from 'node:assert/strict';
import { type RouteConfig } from '../../lib/registry/route.ts';
import { relay, refused } from './route-bench.ts';

describe('registry/route: which upstream', () => {
  const urlFor = (host: string, query = '', over: Partial<RouteConfig> = {}): string =>
    relay({ host, query }, over).url;

  it('takes ns first, and removes it from the query', () => {
    assert.equal(
      urlFor('mirror.example:65001', 'ns=x.cn-hangzhou.cr.aliyuncs.com'),
      'https://x.cn-hangzhou.cr.aliyuncs.com/v2/',
    );
    assert.equal(
      relay({ rawPath: '/v2/a/tags/list', query: 'n=2&ns=registry.example&last=v%2F1' }).url,
      'https://registry.example/v2/a/tags/list?n=2&last=v%2F1',
    );
    assert.equal(urlFor('', 'ns=registry.example%3A443'), 'https://registry.example/v2/');
  });

  it('gives docker.io its registry, and a configured upstream its own URL', () => {
    assert.equal(urlFor('', 'ns=docker.io'), 'https://registry-1.docker.io/v2/');
    assert.equal(urlFor('', 'ns=127.0.0.1:5000'), 'http://127.0.0.1:5000/v2/');
    assert.equal(urlFor('', 'ns=plain.example'), 'http://127.0.0.1:5000/v2/');
    assert.equal(urlFor('', 'ns=mirror.example:65001'), 'https://registry.example/v2/');
    const hub = { registries: [{ p2pHost: 'hub', upstream: 'http://registry-1.docker.io' }] };
    assert.equal(urlFor('', 'ns=docker.io', hub), 'http://registry-1.docker.io/v2/');
  });

  it('takes the Host rule before the map: the label and the port go', () => {
    const host = 'test-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com';
    assert.equal(
      urlFor(`${host}:65001`),
      'https://test-registry-vpc.cn-hangzhou.cr.aliyuncs.com/v2/',
    );
    assert.equal(
      urlFor(host.toUpperCase()),
      'https://test-registry-vpc.cn-hangzhou.cr.aliyuncs.com/v2/',
    );
    const both = { registries: [{ p2pHost: `${host}:65001`, upstream: 'https://other.example' }] };
    assert.equal(
      urlFor(`${host}:65001`, '', both),
      'https://test-registry-vpc.cn-hangzhou.cr.aliyuncs.com/v2/',
    );
  });

  it('reads the Host rule as the name of a configured upstream where there is one', () => {
    const registries = [
      { upstream: 'https://default.example' },
      { p2pHost: 'z', upstream: 'http://reg.corp.example:5000' },
    ];
    assert.equal(
      urlFor('reg.distributed.corp.example:65001', '', { registries }),
      'http://reg.corp.example:5000/v2/',
    );
  });

  it("knows it by the map's name elsewhere, and Docker Hub by the name in images", () => {
    const registries = [
      { upstream: 'https://default.example' },
      { p2pHost: 'reg.corp.example', upstream: 'http://inner.example:5000' },
    ];
    assert.equal(
      urlFor('reg.distributed.corp.example:65001', '', { registries }),
      'http://inner.example:5000/v2/',
    );
    assert.equal(
      urlFor('docker.distributed.io:65001', '', { allow: ['registry-1.docker.io'] }),
      'https://registry-1.docker.io/v2/',
    );
  });

  it('takes a P2P host in ns for its registry: containerd names a rewritten image so', () => {
    const p2pHost = 'test-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com:65001';
    assert.equal(
      urlFor('127.0.0.1:65001', `ns=${p2pHost}`),
      'https://test-registry-vpc.cn-hangzhou.cr.aliyuncs.com/v2/',
    );
    const registries = [{ p2pHost: 'mirror.example:65001', upstream: 'https://registry.example' }];
    assert.equal(
      urlFor('127.0.0.1:65001', 'ns=mirror.example%3A65001', { registries }),
      'https://registry.example/v2/',
    );
  });

  it('falls back from the Host rule to the map where the rule leads to a host not allowed', () => {
    const registries = [
      { p2pHost: 'reg.distributed.corp.example:65001', upstream: 'http://127.0.0.1:5000' },
      { upstream: 'https://default.example' },
    ];
    assert.equal(
      urlFor('reg.distributed.corp.example:65001', '', { registries }),
      'http://127.0.0.1:5000/v2/',
    );
    assert.equal(
      refused({ host: 'other.distributed.corp.example:65001' }, { registries }),
      'HOST_NOT_ALLOWED',
    );
  });

  it('takes the map by p2pHost, with or without port, in any case', () => {
    assert.equal(urlFor('mirror.example:65001'), 'https://registry.example/v2/');
    assert.equal(urlFor('MIRROR.example'), 'https://registry.example/v2/');
    assert.equal(urlFor('plain.example:7777'), 'http://127.0.0.1:5000/v2/');
  });

  it('takes the default last: the entry without a name or with *, else the only one', () => {
    assert.equal(urlFor('10.0.0.7:65001'), 'https://default.example/v2/');
    assert.equal(
      urlFor('x', '', {
        registries: [
          { p2pHost: 'a', upstream: 'https://a.example' },
          { p2pHost: '*', upstream: 'https://b.example' },
        ],
      }),
      'https://b.example/v2/',
    );
    assert.equal(
      urlFor('x', '', { registries: [{ p2pHost: 'a', upstream: 'https://a.example' }] }),
      'https://a.example/v2/',
    );
    assert.equal(refused({ host: 'x' }, { registries: [] }), 'UPSTREAM_UNKNOWN');
    assert.equal(
      refused(
        { host: 'x' },
        {
          registries: [
            { p2pHost: 'a', upstream: 'https://a.example' },
            { p2pHost: 'b', upstream: 'https://b.example' },
          ],
        },
      ),
      'UPSTREAM_UNKNOWN',
    );
  });

  it('dials only hosts on the allow-list, and no loopback or metadata address by way of ns', () => {
    assert.equal(refused({ query: 'ns=evil.example' }), 'HOST_NOT_ALLOWED');
    for (const ns of [
      '127.0.0.1',
      '127.0.0.1:5001',
      '[::1]:5000',
      '169.254.169.254',
      '100.100.100.200',
      '0.0.0.0:5000',
      '2130706433',
    ]) {
      assert.equal(
        refused({ query: `ns=${encodeURIComponent(ns)}` }, { allow: ['*'] }),
        'HOST_NOT_ALLOWED',
        ns,
      );
    }
  });

  it('refuses an ns that is no host', () => {
    for (const ns of ['', 'a/b', 'a?b', 'user@host', '%zz', 'a b'])
      assert.equal(
        refused({ query: `ns=${ns.includes('%') ? ns : encodeURIComponent(ns)}` }),
        'UPSTREAM_UNKNOWN',
        ns,
      );
  });
});
