import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs } from '../programs.ts';
import { Containerd } from './containerd.ts';
import { CountingProxy } from './counting-proxy.ts';
import { run, tryRun } from './daemon.ts';
import { makeImage, type TestImage } from './image.ts';
import { DockerRegistry } from './registry.ts';
import { TokenServer } from './token-server.ts';

describe('e2e: the fixtures, without a node between', () => {
  let dir: string;
  let registry: DockerRegistry;
  let counting: CountingProxy;
  let tokens: TokenServer;
  let locked: DockerRegistry;
  let image: TestImage;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'containerd', 'ctr', 'runc');
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    image = await makeImage(join(dir, 'image'), [3_000_000, 1_000]);
    registry = await DockerRegistry.start(dir);
    counting = await CountingProxy.start(registry.port);
    tokens = await TokenServer.start(dir, {
      alice: { password: 'wonder', repositories: ['team/app'] },
    });
    locked = await DockerRegistry.start(join(dir, 'image'), tokens);
    await registry.push(image, 'team/app');
    await locked.push(image, 'team/app', 'alice:wonder');
  });

  after(async () => {
    await Promise.all([registry?.stop(), locked?.stop(), counting?.stop(), tokens?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  it('count every byte of every blob', async () => {
    await run('skopeo', [
      'copy',
      '--src-tls-verify=false',
      `docker://${counting.host}/team/app:test`,
      `dir:${dir}/copy`,
    ]);
    assert.equal(counting.blobBytes, image.blobBytes);
    assert.equal(counting.blobRequests, 3);
  });

  it('let containerd pull by hosts.toml', async () => {
    const containerd = await Containerd.start(dir);
    try {
      counting.reset();
      await containerd.configure(
        'registry.test',
        `[host."http://${counting.host}"]\n  capabilities = ["pull", "resolve"]\n`,
      );
      await containerd.pull('registry.test/team/app:test');
      assert.equal(await containerd.digest('registry.test/team/app:test'), image.manifest.digest);
      assert.equal(counting.blobBytes, image.blobBytes);
    } finally {
      await containerd.stop();
    }
  });

  it('refuse requests without a token', async () => {
    const inspect = (...login: string[]) =>
      tryRun('skopeo', [
        'inspect',
        '--tls-verify=false',
        ...login,
        `docker://${locked.host}/team/app:test`,
      ]);
    assert.notEqual((await inspect('--no-creds')).code, 0);
    assert.notEqual((await inspect('--creds', 'alice:wrong')).code, 0);
    assert.equal((await inspect('--creds', 'alice:wonder')).code, 0);
    const answer = await fetch(`http://${locked.host}/v2/team/app/manifests/test`, {
      headers: {
        authorization: `Bearer ${tokens.token('alice', 'team/app')}`,
        accept: image.manifest.mediaType,
      },
    });
    assert.equal(answer.headers.get('docker-content-digest'), image.manifest.digest);
    await answer.arrayBuffer();
  });
});
