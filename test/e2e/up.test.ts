import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs } from '../programs.ts';
import { CountingProxy } from './counting-proxy.ts';
import { run } from './daemon.ts';
import { cliPath } from '../built-program.ts';
import { isLong } from '../long.ts';
import { makeImage } from './image.ts';
import { DockerRegistry } from './registry.ts';

const NODES = isLong ? 8 : 4;
const LAYERS_BYTES = [9_000_000, 9_000_000, 6_000_000, 3_000_000, 3_000_000];

interface UpReport {
  ok: boolean;
  imageBytes: number;
  nodes: {
    name: string;
    role: string;
    digestsOk: boolean;
    bytes: { origin: number; peer: number; cache: number };
  }[];
}

describe('e2e: shoal up with a real registry', () => {
  let dir: string;
  let registry: DockerRegistry;
  let counting: CountingProxy;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo');
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    registry = await DockerRegistry.start(dir);
    counting = await CountingProxy.start(registry.port);
  });

  after(async () => {
    await Promise.all([registry?.stop(), counting?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  it(`${NODES} nodes pull, and the image leaves the registry once`, async () => {
    const image = await makeImage(join(dir, 'image'), LAYERS_BYTES);
    await registry.push(image, 'team/app');
    counting.reset();
    const { stdout } = await run(
      process.execPath,
      [
        cliPath,
        'up',
        '--nodes',
        String(NODES),
        '--registry',
        `http://${counting.host}`,
        '--image',
        'team/app:test',
        '--once',
        '--json',
      ],
      120_000,
    );
    const report = JSON.parse(stdout.trim().split('\n').at(-1)!) as UpReport;
    assert.equal(report.ok, true);
    assert.equal(report.nodes.filter(({ role }) => role === 'agent').length, NODES);
    assert.ok(report.nodes.every(({ digestsOk }) => digestsOk));
    assert.ok(
      counting.blobBytes <= 1.02 * image.blobBytes,
      `${counting.blobBytes} of ${image.blobBytes} bytes: ${JSON.stringify(report.nodes)}`,
    );
    assert.ok(report.imageBytes >= image.blobBytes && report.imageBytes < 1.01 * image.blobBytes);
  }).timeout(150_000);
});
