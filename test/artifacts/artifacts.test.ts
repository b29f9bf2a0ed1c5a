import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Assets } from '../assets.ts';
import { SpecRegistry } from '../conformance/registry.ts';
import { run, tryRun } from '../e2e/daemon.ts';
import { makeImage, noise, type TestImage } from '../e2e/image.ts';
import { ShoalNode } from '../e2e/node.ts';

const MIB = 1024 * 1024;
const SBOM = '{"packages":[]}';

/** crane and oras: what test/artifacts/assets.sh provides. */
const assets = new Assets<'crane' | 'oras'>('artifacts');

describe('crane and oras through a node: images, artifacts, referrers, signatures', function () {
  this.timeout(60_000);
  let [crane, oras] = ['', ''];
  let dir: string;
  let registry: SpecRegistry;
  let node: ShoalNode;
  let image: TestImage;
  const model = noise(3 * MIB, 7);

  /** oras reads and writes files of its working directory only. */
  const inDir = async (...args: string[]): Promise<string> =>
    (await run('env', ['-C', dir, ...args])).stdout;
  const at = (reference: string): string => `${node.proxyHost}/team/app${reference}`;

  before(async function () {
    [crane = '', oras = ''] = assets.needs(this, 'crane', 'oras');
    dir = await mkdtemp(join(tmpdir(), 'shoal-artifacts-'));
    registry = await SpecRegistry.start();
    const upstream = `127.0.0.1:${registry.port}`;
    node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: { port: 0, registries: [{ upstream: `http://${upstream}` }] },
    });
    image = await makeImage(join(dir, 'image'), [3 * MIB, 10_000]);
    await writeFile(join(dir, 'model.bin'), model);
    await writeFile(join(dir, 'sbom.json'), SBOM);
    const behind = `${upstream}/team/app`;
    const { digest } = image.manifest;
    await inDir(crane, 'push', 'image', `${behind}:v1`, '--insecure');
    await inDir(oras, 'push', '--plain-http', `${behind}:model`, 'model.bin:application/x-model');
    const attach = ['attach', '--plain-http', '--artifact-type', 'application/x-sbom'];
    await inDir(oras, ...attach, `${behind}@${digest}`, 'sbom.json:application/json');
    await inDir(oras, 'push', '--plain-http', `${behind}:${signatureTag(digest)}`, 'sbom.json');
    await mkdir(join(dir, 'out'));
  });

  after(async () => {
    await Promise.all([node?.stop(), registry?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  it('crane lists tags and reads an image, every layer by its digest', async () => {
    const tags = await inDir(crane, 'ls', at(''), '--insecure');
    const wanted = ['model', signatureTag(image.manifest.digest), 'v1'];
    assert.deepEqual(tags.trim().split('\n').sort(), wanted.sort());
    const digest = await inDir(crane, 'digest', at(':v1'), '--insecure');
    assert.equal(digest.trim(), image.manifest.digest);
    const validated = await tryRun(crane, ['validate', '--remote', at(':v1'), '--insecure']);
    assert.match(validated.stdout + validated.stderr, /PASS/);
    await inDir(crane, 'pull', at(':v1'), 'out/v1', '--insecure', '--format', 'oci');
    for (const layer of image.layers) {
      const hex = layer.digest.slice('sha256:'.length);
      const [pulled, made] = await Promise.all(
        ['out/v1', 'image'].map((from) => readFile(join(dir, from, 'blobs/sha256', hex))),
      );
      assert.ok(pulled!.equals(made!));
    }
  });

  it('oras pulls an artifact', async () => {
    await inDir(oras, 'pull', '--plain-http', at(':model'), '--output', 'out/model');
    assert.ok((await readFile(join(dir, 'out/model/model.bin'))).equals(model));
  });

  it('oras finds what refers to an image, and pulls it', async () => {
    const subject = at(`@${image.manifest.digest}`);
    const found = await inDir(oras, 'discover', '--plain-http', '--format', 'json', subject);
    const { referrers } = JSON.parse(found) as {
      referrers: { digest: string; artifactType: string }[];
    };
    assert.deepEqual(
      referrers.map(({ artifactType }) => artifactType),
      ['application/x-sbom'],
    );
    const sbom = at(`@${referrers[0]!.digest}`);
    await inDir(oras, 'pull', '--plain-http', sbom, '--output', 'out/sbom');
    assert.equal(await readFile(join(dir, 'out/sbom/sbom.json'), 'utf8'), SBOM);
  });

  it("a signature under cosign's tag", async () => {
    const tag = at(`:${signatureTag(image.manifest.digest)}`);
    await inDir(oras, 'pull', '--plain-http', tag, '--output', 'out/signature');
    assert.equal(await readFile(join(dir, 'out/signature/sbom.json'), 'utf8'), SBOM);
  });
});

/** Where cosign keeps the signature of what has this digest. */
function signatureTag(digest: string): string {
  return `${digest.replace(':', '-')}.sig`;
}
