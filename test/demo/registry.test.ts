import assert from 'node:assert/strict';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import type { SampleImage } from '../../lib/demo/sample-image.ts';

describe('the embedded registry', () => {
  let image: SampleImage;
  let registry: DemoRegistry;
  let authorization: string;
  before(async () => {
    image = await makeSampleImage('registry', [700_000]);
    registry = await DemoRegistry.start(image);
    const { username, password } = registry.credentials;
    const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const answer = await fetch(
      `${registry.url}/token?service=shoal-demo&scope=repository:${image.repository}:pull`,
      { headers: { authorization: basic } },
    );
    authorization = `Bearer ${((await answer.json()) as { token: string }).token}`;
  });
  after(() => registry.close());

  const ask = (
    path: string,
    headers: Record<string, string> = {},
    method = 'GET',
  ): Promise<Response> =>
    fetch(registry.url + path, { method, headers: { authorization, ...headers } });
  const layerPath = (): string => `/v2/${image.repository}/blobs/${image.blobs[1]!.digest}`;

  it('challenges a client without a token', async () => {
    const answer = await fetch(registry.url + layerPath());
    assert.equal(answer.status, 401);
    assert.equal(
      answer.headers.get('www-authenticate'),
      'Bearer ' +
        `realm="${registry.url}/token",service="shoal-demo",scope="repository:shoal/sample:pull"`,
    );
    assert.equal((await fetch(`${registry.url}/v2/`)).status, 401);
    assert.equal((await fetch(`${registry.url}/token`)).status, 401);
  });

  it('answers its version, its tags and its manifest', async () => {
    assert.equal((await ask('/v2/')).status, 200);
    assert.deepEqual(await (await ask(`/v2/${image.repository}/tags/list`)).json(), {
      name: image.repository,
      tags: ['latest'],
    });
    for (const reference of ['latest', image.manifest.digest]) {
      const answer = await ask(`/v2/${image.repository}/manifests/${reference}`);
      assert.equal(answer.headers.get('docker-content-digest'), image.manifest.digest);
      assert.equal(
        answer.headers.get('content-type'),
        'application/vnd.oci.image.manifest.v1+json',
      );
      assert.deepEqual(Buffer.from(await answer.arrayBuffer()), image.manifest.bytes);
    }
  });

  it('answers 404 for unknown objects, and 405 to a push', async () => {
    for (const path of [
      `/v2/${image.repository}/manifests/other`,
      `/v2/${image.repository}/blobs/sha256:00`,
      '/elsewhere',
    ])
      assert.equal((await ask(path)).status, 404);
    assert.equal(
      (await ask('/v2/other/manifests/latest')).status,
      401,
      'a token for one repository is none for another',
    );
    const push = await ask(`/v2/${image.repository}/blobs/uploads/`, {}, 'POST');
    assert.deepEqual([push.status, push.headers.get('allow')], [405, 'GET, HEAD']);
  });

  it('answers whole blobs, ranges, and invalid ranges', async () => {
    const { bytes } = image.blobs[1]!;
    assert.deepEqual(Buffer.from(await (await ask(layerPath())).arrayBuffer()), bytes);
    const part = await ask(layerPath(), { range: 'bytes=100-299' });
    assert.deepEqual(
      [part.status, part.headers.get('content-range')],
      [206, `bytes 100-299/${bytes.length}`],
    );
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(100, 300));
    const beyond = await ask(layerPath(), { range: `bytes=${bytes.length}-` });
    assert.deepEqual(
      [beyond.status, beyond.headers.get('content-range')],
      [416, `bytes */${bytes.length}`],
    );
    const head = await ask(layerPath(), {}, 'HEAD');
    assert.deepEqual(
      [head.status, head.headers.get('content-length')],
      [200, String(bytes.length)],
    );
  });

  it('counts blob bytes, and access checks apart', async () => {
    const before = registry.traffic;
    await (await ask(layerPath(), { range: 'bytes=0-0' })).arrayBuffer();
    await (await ask(layerPath(), { range: 'bytes=0-99' })).arrayBuffer();
    await ask(layerPath(), {}, 'HEAD');
    const { blobs, accessChecks, paths } = registry.traffic;
    assert.deepEqual(
      [blobs.requests - before.blobs.requests, blobs.bytes - before.blobs.bytes],
      [1, 100],
    );
    assert.deepEqual(
      [
        accessChecks.requests - before.accessChecks.requests,
        accessChecks.bytes - before.accessChecks.bytes,
      ],
      [1, 1],
    );
    assert(paths.get(layerPath())!.requests >= 3);
  });
});
