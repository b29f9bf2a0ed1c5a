import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VERSION } from '../../lib/version.ts';
import { run } from '../e2e/daemon.ts';
import { DockerRegistry } from '../e2e/registry.ts';
import { kubeAssets } from '../kube/assets.ts';
import { needs } from '../programs.ts';

describe('the chart of a release in an OCI registry', () => {
  let helm: string;
  let dir: string;
  let registry: DockerRegistry;

  before(async function () {
    needs(this, 'docker-registry');
    [helm = ''] = kubeAssets.needs(this, 'helm');
    dir = await mkdtemp(join(tmpdir(), 'shoal-chart-'));
    registry = await DockerRegistry.start(dir);
  });
  after(async () => {
    await registry?.stop();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  it('is pushed, pulled back byte for byte, and renders from there', async () => {
    const out = join(dir, 'out');
    await run(process.execPath, ['deploy/release/release.ts', '--only=chart', `--out=${out}`]);
    const packed = join(out, `shoal-chart-${VERSION}.tgz`);
    const charts = `oci://${registry.host}/charts`;
    await run(helm, ['push', packed, charts, '--plain-http']);
    const back = join(dir, 'back');
    await mkdir(back);
    await run(helm, [
      'pull',
      `${charts}/shoal`,
      ...['--version', VERSION, '--plain-http', '--destination', back],
    ]);
    const pulled = await readFile(join(back, `shoal-${VERSION}.tgz`));
    assert.ok(pulled.equals(await readFile(packed)));
    const rendered = await run(helm, [
      'template',
      'shoal',
      `${charts}/shoal`,
      ...['--version', VERSION, '--plain-http', '--kube-version', '1.34.0'],
    ]);
    assert.match(rendered.stdout, /kind: DaemonSet/);
  });
});
