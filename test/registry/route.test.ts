import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { HEX, DIGEST, blob, relay, refused } from './route-bench.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

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
