import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeImage, makeIndex } from '../e2e/image.ts';
import { ShoalNode } from '../e2e/node.ts';
import { DockerRegistry } from '../e2e/registry.ts';
import { needs } from '../programs.ts';
import { SpecRegistry } from './registry.ts';
import { conformanceAssets, portOf, runSuite, splitInTwo, type Verdict } from './suite.ts';

/**
 * What was read may be read on for a minute after it was deleted (docs/SPEC.md 2.7): the suite
 * deletes
 * and looks at once.
 */
const NO_DELETES = {
  OCI_API_BLOBS_DELETE: 'false',
  OCI_API_MANIFESTS_DELETE: 'false',
  OCI_API_TAGS_DELETE: 'false',
};

describe("the OCI distribution specification's own conformance suite", () => {
  let program: string;
  let dir: string;

  before(async function () {
    [program = ''] = conformanceAssets.needs(this, 'conformance');
    dir = await mkdtemp(join(tmpdir(), 'shoal-conformance-'));
  });

  after(async () => {
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const assertFlawless = (verdict: Verdict, passedMin: number): void => {
    assert.deepEqual([verdict.failed, verdict.complaints], [0, []]);
    assert.ok(verdict.passed >= passedMin, `only ${verdict.passed} tests passed`);
  };

  it('has no complaint about pulls through a node of what it pushes behind it', async () => {
    const registry = await SpecRegistry.start();
    const node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: { registries: [{ upstream: `http://127.0.0.1:${registry.port}` }] },
    });
    const both = await splitInTwo(node.proxyPort, registry.port);
    try {
      const verdict = await runSuite(program, portOf(both), join(dir, 'both'), NO_DELETES);
      assertFlawless(verdict, 518);
      // Anonymous mounts, which the registry behind need not allow; and a range that begins after
      // its end, which is no range.
      assert.ok(verdict.skipped <= 4, `${verdict.skipped} skipped`);
    } finally {
      both.closeAllConnections();
      both.close();
      await Promise.all([node.stop(), registry.stop()]);
    }
  });

  it('has no complaint about a node in front of a real registry', async function () {
    needs(this, 'docker-registry', 'skopeo');
    const home = join(dir, 'real');
    await mkdir(home);
    const registry = await DockerRegistry.start(home);
    const node = await ShoalNode.start(join(home, 'node'), {
      ProxyConfig: { registries: [{ upstream: `http://${registry.host}` }] },
    });
    try {
      const image = await makeImage(join(home, 'image'), [2_500_000, 1_000]);
      const index = await makeIndex(join(home, 'index'), ['amd64', 'arm64'], [20_000], 2);
      const [repository, other] = ['conformance/pulled', 'conformance/several'];
      await registry.push(image, repository);
      await registry.push(index, other);
      const settings = { ...NO_DELETES, OCI_API_PUSH: 'false', OCI_API_REFERRER: 'false' };
      const single = await runSuite(program, node.proxyPort, join(home, 'single'), {
        ...settings,
        OCI_REPO1: repository,
        OCI_RO_DATA_TAGS: 'test',
        OCI_RO_DATA_MANIFESTS: image.manifest.digest,
        OCI_RO_DATA_BLOBS: [image.config, ...image.layers].map(({ digest }) => digest).join(' '),
      });
      const several = await runSuite(program, node.proxyPort, join(home, 'several'), {
        ...settings,
        OCI_REPO1: other,
        OCI_RO_DATA_TAGS: 'test',
        OCI_RO_DATA_MANIFESTS: [
          index.index,
          ...Object.values(index.images).map(({ manifest }) => manifest),
        ]
          .map(({ digest }) => digest)
          .join(' '),
      });
      assertFlawless(single, 16);
      assertFlawless(several, 14);
    } finally {
      await Promise.all([node.stop(), registry.stop()]);
    }
  });

  it('would complain: about a registry that is not there', async () => {
    const verdict = await runSuite(program, 1, join(dir, 'nothing'), NO_DELETES);
    assert.ok(
      verdict.failed > 100 && verdict.complaints.length > 100,
      JSON.stringify(verdict).slice(0, 500),
    );
  });
});
