import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs } from '../programs.ts';
import { run, tryRun, type Finished } from './daemon.ts';
import { digestOf, makeImage, type TestImage } from './image.ts';
import { freePorts, ShoalNode, type Answer, type ConfigSections } from './node.ts';
import { DockerRegistry, type RegistryAuth } from './registry.ts';

const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json', 'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json', 'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

/** Two nodes before one registry. Images are pulled through the first; then the registry stops, and the second has never heard of them. */
class Pair {
  readonly dir: string;
  readonly registry: DockerRegistry;
  readonly first: ShoalNode;
  readonly second: ShoalNode;

  private constructor(dir: string, registry: DockerRegistry, [first, second]: ShoalNode[]) {
    this.dir = dir;
    this.registry = registry;
    this.first = first!;
    this.second = second!;
  }

  static async start(dir: string, auth: RegistryAuth | undefined, proxy: ConfigSections[string] = {}): Promise<Pair> {
    const registry = await DockerRegistry.start(dir, auth);
    const secretFile = join(dir, 'secret');
    await writeFile(secretFile, 'a secret of thirty-two characters', { mode: 0o600 });
    const ports = await freePorts(2);
    const peers = ports.map((port) => `127.0.0.1:${port}`);
    return new Pair(dir, registry, await Promise.all(ports.map((port, index) => ShoalNode.start(join(dir, `node-${index}`), {
      ProxyConfig: { registries: [{ upstream: `http://${registry.host}` }], ...proxy },
      P2PConfig: { port, peers, secretFile },
    }))));
  }

  async copy(node: ShoalNode, reference: string, to: string, options: string[] = []): Promise<Finished> {
    return tryRun('skopeo', ['copy', '--src-tls-verify=false', '--preserve-digests', ...options, `docker://${node.proxyHost}/${reference}`, `dir:${join(this.dir, to)}`]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.first.stop(), this.second.stop(), this.registry.stop()]);
  }
}

/** What skopeo wrote into a directory is the image, byte for byte. */
async function assertCopied(image: TestImage, target: string): Promise<void> {
  assert.equal(digestOf(await readFile(join(target, 'manifest.json'))), image.manifest.digest);
  for (const { digest } of [image.config, ...image.layers]) assert.equal(digestOf(await readFile(join(target, digest.slice('sha256:'.length)))), digest);
}

const manifestOf = (node: ShoalNode, repository: string, reference: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> =>
  node.get(`/v2/${repository}/manifests/${reference}`, { accept: MANIFEST_TYPES, ...headers }, method);

function assertStale(answer: Answer, image: TestImage): void {
  assert.equal(answer.status, 200, answer.body.toString());
  assert.match(answer.headers.warning ?? '', /^299 - ".*"$/);
  assert.deepEqual([answer.headers['docker-content-digest'], answer.headers['content-type'], Number(answer.headers['content-length'])], [image.manifest.digest, image.manifest.mediaType, image.manifest.size]);
}

describe('e2e: the registry stops after one pull', () => {
  let dir: string;
  let pair: Pair | undefined;
  let image: TestImage;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo');
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    image = await makeImage(join(dir, 'image'), [3_000_000, 2_000], 1);
  });

  afterEach(async () => {
    await pair?.stop();
    pair = undefined;
  });

  after(async () => {
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  async function start(name: string, auth?: RegistryAuth, proxy?: ConfigSections[string]): Promise<Pair> {
    await run('mkdir', [join(dir, name)]);
    return (pair = await Pair.start(join(dir, name), auth, proxy));
  }

  it('public: another node has tag and digest, by skopeo and by hand, and says that they are old', async () => {
    const at = await start('public');
    await at.registry.push(image, 'team/app');
    await at.registry.push(image, 'team/unseen');
    assert.equal((await at.copy(at.first, 'team/app:test', 'direct')).code, 0);
    assert.equal((await manifestOf(at.first, 'team/app', 'test')).headers.warning, undefined);
    await at.registry.stop();
    for (const [reference, target] of [['team/app:test', 'by-tag'], [`team/app@${image.manifest.digest}`, 'by-digest']] as const) {
      const finished = await at.copy(at.second, reference, target);
      assert.equal(finished.code, 0, finished.stderr);
      await assertCopied(image, join(at.dir, target));
    }
    for (const reference of ['test', image.manifest.digest]) {
      for (const method of ['GET', 'HEAD']) {
        const stale = await manifestOf(at.second, 'team/app', reference, {}, method);
        assertStale(stale, image);
        assert.equal(stale.body.length, method === 'HEAD' ? 0 : image.manifest.size);
      }
    }
    const layer = await at.second.get(`/v2/team/app/blobs/${image.layers[0]!.digest}`);
    assert.deepEqual([digestOf(layer.body), layer.headers.warning === undefined], [image.layers[0]!.digest, false]);
    // What nobody resolved, and what stands in another repository, is not there.
    for (const [repository, reference] of [['team/app', 'other'], ['team/unseen', 'test'], ['team/unseen', image.manifest.digest]] as const) {
      assert.equal((await manifestOf(at.second, repository, reference)).status, 502, `${repository} ${reference}`);
    }
    assert.equal((await at.second.get(`/v2/team/unseen/blobs/${image.layers[0]!.digest}`)).status, 502);
  });
});
