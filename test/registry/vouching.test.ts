import assert from 'node:assert/strict';
import { urlKey } from '../../lib/registry/identity.ts';
import { classify } from '../../lib/registry/route.ts';
import { splitUrl } from '../../lib/registry/url.ts';
import { bucketOf, Vouching } from '../../lib/registry/vouching.ts';

const HEX = 'ab'.repeat(32);
const DIGEST = `sha256:${HEX}`;
const STORED = `docker/registry/v2/blobs/sha256/ab/${HEX}/data`;
const CONFIG = {
  registries: [{ upstream: 'https://r.example', storage: ['*.store.example', 'oss.example:8443'] }],
  allow: ['*.listed.example', 's3.example'],
  prefix: 'accelerator',
};

/** The key that a front gives to a request. */
function keyOf(target: string): string {
  const [rawPath = '', query = ''] = target.split('?');
  const route = classify({ method: 'GET', rawPath, query, host: '127.0.0.1:65001' }, CONFIG);
  assert.equal(route.kind, 'blob', target);
  return route.kind === 'blob' ? route.target.key : '';
}

describe('registry/vouching', () => {
  it('shares under a digest what a configured registry or its storage sends', () => {
    for (const target of [
      `/v2/app/blobs/${DIGEST}`,
      `/v2/other/blobs/${DIGEST}`,
      `/v2/app/blobs/${DIGEST}?ns=r.example`,
      `/accelerator/https://r.example/v2/app/blobs/${DIGEST}`,
      `/accelerator/https://b1.store.example/${STORED}?Signature=1`,
      `/accelerator/https://oss.example:8443/${STORED}?Signature=2`,
    ])
      assert.equal(keyOf(target), DIGEST, target);
  });

  it('keeps what any other host sends under the URL it came from', () => {
    for (const target of [
      `/v2/app/blobs/${DIGEST}?ns=x.listed.example`,
      `/accelerator/https://x.listed.example/${STORED}?Signature=1`,
      `/accelerator/http://r.example/v2/app/blobs/${DIGEST}`,
      `/accelerator/https://r.example/files/${STORED}`,
      `/accelerator/https://oss.example/${STORED}`,
      `/accelerator/https://store.example.listed.example/${STORED}`,
    ]) {
      const route = classify(
        {
          method: 'GET',
          rawPath: target.split('?')[0]!,
          query: target.split('?')[1] ?? '',
          host: '',
        },
        { ...CONFIG, allow: ['*'] },
      );
      assert.ok(route.kind === 'blob', target);
      assert.equal(route.target.key, urlKey(splitUrl(route.target.url)), target);
      assert.equal(route.target.digest, DIGEST, 'the digest is known, and is checked');
    }
  });

  it('shares one object among different signatures, but proves each by itself', () => {
    const [one, other] = ['1', '2'].map((signature) => {
      const route = classify(
        {
          method: 'GET',
          rawPath: `/accelerator/https://x.listed.example/${STORED}`,
          query: `Signature=${signature}`,
          host: '',
        },
        CONFIG,
      );
      assert.ok(route.kind === 'blob');
      return route.target;
    });
    assert.equal(one!.key, other!.key);
    assert.notEqual(one!.scope, other!.scope);
  });

  it("learns a bucket from a registry's own redirect, and nothing else on its host", () => {
    const vouching = new Vouching(CONFIG);
    const from = splitUrl(`https://r.example/v2/app/blobs/${DIGEST}`);
    const at = (prefix: string): { key: string; digest: string; url: string } => ({
      key: 'url:x',
      digest: DIGEST,
      url: `https://s3.example/${prefix}/${STORED}?Signature=9`,
    });
    assert.equal(vouching.keyOf(at('bucket')), 'url:x');
    vouching.learn(bucketOf(from, splitUrl(at('bucket').url))!);
    assert.equal(vouching.keyOf(at('bucket')), DIGEST);
    assert.equal(
      vouching.keyOf(at('another')),
      'url:x',
      'path-style storage: one host, many owners',
    );
    assert.equal(vouching.keyOf({ ...at('x'), url: `https://s3.example/${STORED}` }), 'url:x');
  });

  it('learns nothing from a redirect by an unconfigured host, or to another digest', () => {
    const vouching = new Vouching(CONFIG);
    const to = splitUrl(`https://s3.example/b/${STORED}`);
    vouching.learn(bucketOf(splitUrl(`https://x.listed.example/v2/app/blobs/${DIGEST}`), to)!);
    assert.equal(vouching.vouchesFor(to), false);
    const other = splitUrl(`https://r.example/v2/app/blobs/sha256:${'cd'.repeat(32)}`);
    assert.equal(bucketOf(other, to), null);
    assert.equal(bucketOf(splitUrl(`https://r.example/v2/app/blobs/${DIGEST}`), other), null);
  });

  it("judges another node's word on where a blob comes from by itself", () => {
    const vouching = new Vouching(CONFIG);
    const listed = `https://x.listed.example/${STORED}`;
    for (const [key, url, isSource] of [
      [DIGEST, `https://r.example/v2/app/blobs/${DIGEST}`, true],
      [DIGEST, `https://r.example/v2/app/manifests/${DIGEST}`, true],
      [DIGEST, `https://b1.store.example/${STORED}?Signature=1`, true],
      [DIGEST, `https://r.example/v2/app/blobs/sha256:${'cd'.repeat(32)}`, false],
      [DIGEST, `https://r.example/v2/app/manifests/latest`, false],
      [DIGEST, listed, false],
      [DIGEST, 'no URL', false],
      [urlKey(splitUrl(listed)), `${listed}?Signature=7`, true],
      [urlKey(splitUrl(listed)), `https://x.listed.example/other/${STORED}`, false],
      [urlKey(splitUrl(listed)), `http://x.listed.example/${STORED}`, false],
    ] as const)
      assert.equal(vouching.isSource(key, url), isSource, `${key} from ${url}`);
  });
});
