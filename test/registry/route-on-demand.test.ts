import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { HEX, DIGEST, route, blob, refused } from './route-bench.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

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
