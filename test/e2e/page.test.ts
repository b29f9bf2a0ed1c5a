import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Running, cliPath } from '../cli/process.ts';
import { needs } from '../programs.ts';
import { Browser } from '../telemetry/browser.ts';
import { LOW_CONTRAST } from '../telemetry/contrast.ts';
import { MISPLACED } from '../telemetry/misplaced.ts';
import { CountingProxy } from './counting-proxy.ts';
import { makeImage } from './image.ts';
import { DockerRegistry } from './registry.ts';

const LAYERS_BYTES = [24_000_000, 16_000_000];
const VIEWS = [
  { width: 1280, height: 900, dark: false },
  { width: 1280, height: 900, dark: true },
  { width: 390, height: 844, dark: false },
  { width: 390, height: 844, dark: true },
] as const;

describe('e2e: the pages of swarm and node during shoal up', function () {
  this.timeout(150_000);
  let dir: string;
  let registry: DockerRegistry;
  let counting: CountingProxy;
  let browser: Browser;
  let up: Running;
  const text = (id: string): string => `(document.getElementById('${id}')?.textContent ?? '')`;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'chromium');
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    registry = await DockerRegistry.start(dir);
    counting = await CountingProxy.start(registry.port);
    browser = await Browser.open();
  });

  after(async () => {
    up?.child.kill('SIGKILL');
    await browser?.close();
    await Promise.all([registry?.stop(), counting?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  /** Nothing cut, nothing over another, at every size; pictures of it for people when asked for. */
  async function looksRight(moment: string): Promise<void> {
    const directory = process.env['SHOAL_SCREENSHOTS'];
    for (const { width, height, dark } of VIEWS) {
      await browser.size(width, height, dark);
      assert.deepEqual(await browser.evaluate(MISPLACED), [], `${moment} at ${width} px`);
      if (directory === undefined) continue;
      mkdirSync(directory, { recursive: true });
      writeFileSync(
        join(directory, `up-${moment}-${width}-${dark ? 'dark' : 'light'}.png`),
        await browser.screenshot(width),
      );
    }
  }

  /** The page of the swarm, half-way through the pull. */
  async function swarmWhilePulling(): Promise<void> {
    const tiles = `document.querySelectorAll('#tiles button')`;
    await browser.waitFor(`${tiles}.length === 4`, 30_000);
    await browser.waitFor(
      `[...${tiles}].filter((tile) => /pulling|slow/.test(tile.className)).length >= 3 && ` +
        `${text('images')}.includes('team/app:test') && ${text('tile-client')} !== '0 B'`,
      30_000,
    );
    await browser.waitFor(`document.querySelectorAll('#levels button').length >= 2`, 30_000);
    await looksRight('swarm');
    assert.deepEqual(await browser.evaluate(LOW_CONTRAST), []);
    await browser.size(1280, 900);
  }

  it('show the address, moving rates, the whole pull and the tree of a blob', async () => {
    const image = await makeImage(join(dir, 'image'), LAYERS_BYTES);
    await registry.push(image, 'team/app');
    const brake = counting.brake(image.blobBytes / 2);
    up = new Running(cliPath, [
      'up',
      '--nodes',
      '3',
      '--registry',
      `http://${counting.host}`,
      '--image',
      'team/app:test',
    ]);
    const [, page = ''] = await up.printed(
      /watch the pull in a browser: (http:\/\/127\.0\.0\.1:\d+\/swarm)\n/,
      60_000,
    );
    await browser.size(1280, 900);
    await browser.go(page);
    await brake.reached;
    await swarmWhilePulling();
    const nodes = await browser.evaluate<string[]>(
      `[...document.querySelectorAll('#nodes tbody tr a')].map(({ href }) => href)`,
    );
    const agent = await browser.evaluate<string>(
      `[...document.querySelectorAll('#nodes tbody tr')]
        .find((row) => row.querySelector('.pulling, .slow') !== null).querySelector('a').href`,
    );
    await browser.go(agent);
    await browser.waitFor(`document.querySelector('#pulls [role=progressbar]') !== null`, 30_000);
    // Half of it cannot come before the registry is let go on: this is the page in the middle of a
    // pull.
    await browser.waitFor(
      `/^[1-9]/.test(${text('rate-client')}) || /^[1-9]/.test(${text('rate-peer')})`,
      30_000,
    );
    await looksRight('pulling');
    brake.release();
    await up.printed(/stop: Ctrl-C/, 60_000);
    assert.match(up.stdout, /Every digest is right/);
    await browser.waitFor(`${text('pulls')}.includes('Nothing is being pulled')`, 30_000);
    // Shown in MB with one decimal.
    await browser.waitFor(
      `Math.abs(Number.parseFloat(${text('tile-client')}) * 1e6 - ${image.blobBytes}) < 0.1e6`,
      30_000,
    );
    // The agent that owns the blob knows who got its shards from whom.
    let hasTree = false;
    for (const node of new Set(nodes)) {
      if (hasTree) break;
      await browser.go(node);
      const tree = `document.querySelectorAll('#tree circle').length >= 2`;
      hasTree = await browser.waitFor(tree, 10_000).then(
        () => true,
        () => false,
      );
    }
    assert.ok(hasTree, `no tree on any of ${nodes.join(' ')}`);
    const blobs = await browser.evaluate<string[]>(
      `[...document.getElementById('tree-blob').options].map(({ value }) => value)`,
    );
    assert.ok(
      blobs.length > 0 && blobs.every((blob) => /^blob:[0-9a-f]{32}$/.test(blob)),
      blobs.join(' '),
    );
    assert.equal(await browser.evaluate(`document.querySelectorAll('#peers tbody tr').length`), 3);
    await looksRight('done');
    assert.deepEqual(browser.complaints, []);
    up.child.kill('SIGTERM');
    assert.equal(await up.exit(60_000), 0);
  });
});
