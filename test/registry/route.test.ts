import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  classify,
  type Route,
  type RouteConfig,
  type RouteRequest,
} from '../../lib/registry/route.ts';

const HEX = 'ab'.repeat(32);
const DIGEST = `sha256:${HEX}`;

const config: RouteConfig = {
  prefix: 'accelerator',
  allow: ['*.aliyuncs.com', 'registry-1.docker.io'],
  registries: [
    { p2pHost: 'mirror.example:65001', upstream: 'https://registry.example' },
    { p2pHost: 'plain.example', upstream: 'http://127.0.0.1:5000' },
    { upstream: 'https://default.example' },
  ],
};

function route(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}): Route {
  return classify(
    { method: 'GET', rawPath: '/v2/', query: '', host: 'node:65001', ...request },
    { ...config, ...over },
  );
}

function blob(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}) {
  const found = route(request, over);
  assert.equal(found.kind, 'blob', JSON.stringify(found));
  return (found as Extract<Route, { kind: 'blob' }>).target;
}

function relay(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}) {
  const found = route(request, over);
  assert.equal(found.kind, 'relay', JSON.stringify(found));
  return found as Extract<Route, { kind: 'relay' }>;
}

function refused(request: Partial<RouteRequest>, over: Partial<RouteConfig> = {}): string {
  const found = route(request, over);
  assert.equal(found.kind, 'refused', JSON.stringify(found));
  return (found as Extract<Route, { kind: 'refused' }>).error.code;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

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

  it('reads it as the name by which the map knows a registry elsewhere, and as Docker Hub by the name images carry', () => {
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

  it('takes a P2P host for what it stands for in ns too: containerd names the registry of a rewritten image so', () => {
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

describe('registry/route: /v2/', () => {
  it('tells a blob', () => {
    assert.deepEqual(
      blob({ rawPath: `/v2/team/app/blobs/${DIGEST}`, query: 'ns=registry.example' }),
      {
        key: DIGEST,
        digest: DIGEST,
        url: `https://registry.example/v2/team/app/blobs/${DIGEST}`,
        upstreamHost: 'registry.example',
        repository: 'team/app',
        scope: 'repo registry.example/team/app',
        pathname: `/https://registry.example/v2/team/app/blobs/${DIGEST}`,
      },
    );
    assert.equal(blob({ method: 'HEAD', rawPath: `/v2/a/blobs/sha256%3A${HEX}` }).key, DIGEST);
  });

  it('gives the same blob in two repositories one key and two scopes', () => {
    const [a, b] = [
      blob({ rawPath: `/v2/a/blobs/${DIGEST}` }),
      blob({ rawPath: `/v2/b/blobs/${DIGEST}` }),
    ];
    assert.equal(a.key, b.key);
    assert.notEqual(a.scope, b.scope);
  });

  it('keys a sha512 blob by its URL', () => {
    const target = blob({ rawPath: `/v2/a/blobs/sha512:${'0'.repeat(128)}` });
    assert.equal(
      target.key,
      `url:${sha256(`https://default.example/v2/a/blobs/sha512:${'0'.repeat(128)}`)}`,
    );
  });

  it('refuses digests that are none', () => {
    for (const digest of [
      'sha256:abc',
      `sha256:${HEX.toUpperCase()}`,
      `md5:${'0'.repeat(32)}`,
      `sha256:${HEX}0`,
      'latest',
      '',
      `sha256:${HEX.slice(2)}%30%30`,
    ]) {
      assert.equal(refused({ rawPath: `/v2/a/blobs/${digest}` }), 'DIGEST_INVALID', digest);
    }
    assert.equal(refused({ rawPath: '/v2/a/manifests/sha256:123' }), 'DIGEST_INVALID');
    assert.equal(refused({ rawPath: '/v2/a/referrers/latest' }), 'DIGEST_INVALID');
  });

  it('refuses names that are none', () => {
    for (const name of [
      'A',
      'a//b',
      '../b',
      'a/../b',
      'a%2fb',
      '-a',
      'a_',
      `${'a/'.repeat(130)}a`,
      'a b',
    ]) {
      assert.equal(
        refused({ rawPath: `/v2/${name}/blobs/${DIGEST}` }),
        name === 'a b' ? 'BAD_REQUEST' : 'NAME_INVALID',
        name,
      );
    }
    assert.equal(refused({ rawPath: '/v2/a/manifests/.hidden' }), 'NAME_INVALID');
    assert.equal(refused({ rawPath: '/v2/a/manifests/..%2f..%2fb' }), 'NAME_INVALID');
  });

  it('tells what is passed through', () => {
    assert.deepEqual(relay({ rawPath: '/v2/a/b/manifests/v1.2' }), {
      kind: 'relay',
      what: 'manifest',
      url: 'https://default.example/v2/a/b/manifests/v1.2',
      upstreamHost: 'default.example',
      scope: 'repo default.example/a/b',
      repository: 'a/b',
      reference: 'v1.2',
    });
    assert.equal(relay({ rawPath: `/v2/a/manifests/${DIGEST}` }).reference, DIGEST);
    assert.equal(relay({ rawPath: '/v2/a/tags/list' }).what, 'tags');
    assert.equal(
      relay({ rawPath: `/v2/a/referrers/${DIGEST}`, query: 'artifactType=x%2Fy' }).url,
      `https://default.example/v2/a/referrers/${DIGEST}?artifactType=x%2Fy`,
    );
    assert.equal(relay({ rawPath: `/v2/a/referrers/${DIGEST}` }).what, 'referrers');
    assert.equal(relay({ rawPath: '/v2' }).what, 'ping');
    assert.equal(relay({ rawPath: '/v2/_catalog' }).what, 'other');
  });

  it('lets repositories be called like the parts of a path', () => {
    const target = blob({ rawPath: `/v2/blobs/manifests/tags/blobs/${DIGEST}` });
    assert.equal(target.repository, 'blobs/manifests/tags');
    assert.equal(relay({ rawPath: '/v2/manifests/manifests/manifests' }).repository, 'manifests');
  });

  it('refuses to push', () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'get'])
      assert.equal(
        refused({ method, rawPath: `/v2/a/blobs/${DIGEST}` }),
        'METHOD_UNSUPPORTED',
        method,
      );
    assert.equal(refused({ rawPath: '/v2/a/blobs/uploads/' }), 'METHOD_UNSUPPORTED');
    assert.equal(refused({ rawPath: '/v2/a/blobs/uploads/1234' }), 'METHOD_UNSUPPORTED');
  });

  it('knows no other path', () => {
    for (const rawPath of [
      '/',
      '/v1/',
      '/v22/',
      '/acceleratorx/https://a.aliyuncs.com/',
      '//v2/',
      '/metrics',
    ])
      assert.equal(refused({ rawPath }), 'PATH_UNKNOWN', rawPath);
  });
});

describe('registry/route: on demand', () => {
  const STORE = 'https://acr-hz.oss-cn-hangzhou-internal.aliyuncs.com';

  it('takes the URL as it is: not decoded, // kept, query kept', () => {
    const target = blob({
      rawPath: `/accelerator/${STORE}/a//b/%2F%41+x/..z/y`,
      query: 'Expires=1&Signature=a%2Bb%3D&OSSAccessKeyId=z',
    });
    assert.equal(
      target.url,
      `${STORE}/a//b/%2F%41+x/..z/y?Expires=1&Signature=a%2Bb%3D&OSSAccessKeyId=z`,
    );
    assert.equal(target.pathname, `/${STORE}/a//b/%2F%41+x/..z/y`);
    assert.equal(target.key, `url:${sha256(`${STORE}/a//b/%2F%41+x/..z/y`)}`);
    assert.equal(target.digest, undefined);
  });

  it('finds the digest in an object-storage path', () => {
    const path = `/docker/registry/v2/blobs/sha256/ab/${HEX}/data`;
    const digestOf = (at: string): string | undefined =>
      blob({ rawPath: `/accelerator/${STORE}${at}`, query: 'Signature=x' }).digest;
    assert.equal(digestOf(path), DIGEST);
    assert.equal(digestOf(`/v2/app/blobs/${DIGEST}`), DIGEST);
    assert.equal(digestOf(`${path}x`), undefined);
    assert.equal(digestOf(`/sha256/ac/${HEX}/data`), undefined);
  });

  it('keeps the signature out of the key and inside the scope, unreadable', () => {
    const [a, b] = ['one', 'two'].map((signature) =>
      blob({ rawPath: `/accelerator/${STORE}/x`, query: `Signature=${signature}` }),
    );
    assert.equal(a!.key, b!.key);
    assert.notEqual(a!.scope, b!.scope);
    assert.match(a!.scope, /^url [0-9a-f]{64}$/);
    assert.ok(!JSON.stringify({ ...a, url: '' }).includes('one'));
  });

  it('goes by the configured prefix', () => {
    assert.equal(
      blob({ rawPath: '/dadip2p/http://a.aliyuncs.com' }, { prefix: 'dadip2p' }).url,
      'http://a.aliyuncs.com/',
    );
    assert.equal(
      refused({ rawPath: '/accelerator/http://a.aliyuncs.com/' }, { prefix: 'dadip2p' }),
      'PATH_UNKNOWN',
    );
  });

  it('refuses what is no plain http URL', () => {
    for (const url of [
      '',
      'a.aliyuncs.com/x',
      'ftp://a.aliyuncs.com/',
      'https:/a.aliyuncs.com/',
      'https://',
      'https://u:p@a.aliyuncs.com/',
      'https://a.aliyuncs.com:99999/',
      'https://a.aliyuncs.com/#f',
      'https%3A%2F%2Fa.aliyuncs.com',
      'https://a.aliyuncs.com/\u00e9',
      'https://a.aliyuncs.com/a/../b',
      'https://a.aliyuncs.com/a/./b',
      'https://a.aliyuncs.com/a/%2E%2e',
      'https://a.aliyuncs.com/.%2e/b',
    ]) {
      assert.equal(refused({ rawPath: `/accelerator/${url}` }), 'BAD_REQUEST', url);
    }
  });

  it('refuses other hosts, however an address is written', () => {
    for (const host of [
      'evil.example',
      'aliyuncs.com.evil.example',
      '127.0.0.1',
      '0x7f.1',
      '2130706433',
      '017700000001',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '169.254.169.254',
      'localhost',
    ]) {
      assert.equal(refused({ rawPath: `/accelerator/http://${host}/x` }), 'HOST_NOT_ALLOWED', host);
    }
    assert.equal(
      blob({ rawPath: '/accelerator/http://127.0.0.1:5000/x' }).upstreamHost,
      '127.0.0.1:5000',
    );
    assert.equal(
      blob({ rawPath: '/accelerator/HTTPS://A.AliYunCS.com:443/x' }).url,
      'https://a.aliyuncs.com/x',
    );
  });

  it('tells no secret in a refusal', () => {
    const found = route({
      rawPath: '/accelerator/https://evil.example/x',
      query: 'Signature=hunter2',
    });
    assert.ok(
      found.kind === 'refused' && !JSON.stringify(found.error.toWire()).includes('hunter2'),
    );
  });
});
