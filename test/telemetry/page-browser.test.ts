import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Browser } from './browser.ts';
import { LOW_CONTRAST } from './contrast.ts';
import { DEMO_BLOB, busyFixture, demoEdges, serveFixture } from './demo-server.ts';
import type { TelemetryFixture } from './fixture.ts';
import { MISPLACED } from './misplaced.ts';
import { needs } from '../programs.ts';

describe('telemetry/page in Chromium', function () {
  this.timeout(120_000);
  let browser: Browser;
  let fixture: TelemetryFixture;
  let server: { url: string; close: () => void };
  const text = (id: string): string => `(document.getElementById('${id}')?.textContent ?? '')`;

  before(async function () {
    needs(this, 'chromium');
    browser = await Browser.open();
  });
  // Undefined when Chromium is missing and the suite is passed over.
  after(() => (browser as Browser | undefined)?.close());
  beforeEach(async () => {
    fixture = busyFixture();
    server = await serveFixture(fixture);
  });
  afterEach(() => server.close());

  for (const { width, height, dark } of [
    { width: 1280, height: 900, dark: false },
    { width: 1280, height: 900, dark: true },
    { width: 390, height: 844, dark: false },
    { width: 390, height: 844, dark: true },
  ]) {
    it(`shows all, nothing cut or covered, at ${width} px ${dark ? 'dark' : 'light'}`, async () => {
      await browser.size(width, height, dark);
      await browser.go(server.url);
      await browser.waitFor(`document.querySelectorAll('#tree circle').length === 25`);
      assert.deepEqual(await browser.evaluate(MISPLACED), []);
      assert.deepEqual(await browser.evaluate(LOW_CONTRAST), []);
      assert.deepEqual(browser.complaints, []);
      const background = await browser.evaluate<string>(
        'getComputedStyle(document.body).backgroundColor',
      );
      const brightness = Number(/\d+/.exec(background)![0]);
      assert.ok(dark ? brightness < 60 : brightness > 200, background);
      const directory = process.env['SHOAL_SCREENSHOTS'];
      if (directory !== undefined) {
        mkdirSync(directory, { recursive: true });
        writeFileSync(
          join(directory, `page-${width}-${dark ? 'dark' : 'light'}.png`),
          await browser.screenshot(width),
        );
      }
    });
  }

  it('lists the last pulls with sources, waits, the slowest peer and errors', async () => {
    await browser.size(1280, 900);
    await browser.go(server.url);
    await browser.waitFor(`${text('pull-log')}.includes('service-with-a-long-name:v1.24.3')`);
    const shown = await browser.evaluate<string>(text('pull-log'));
    for (const part of [
      '402.7 MB in 3.21 s so far',
      'peer 97.0 %, origin 2.5 %, memory 0.5 %',
      'waited for peer 1.90 s, throttle 0.31 s, origin 0.26 s',
      'slowest peer 10.0.0.7:65002, 1.2 MB/s',
      'PEER_TIMEOUT',
    ])
      assert.ok(shown.includes(part), `${part} in ${shown}`);
  });

  it('follows a pull: rates move, progress grows, the blob goes when it is done', async () => {
    fixture.inputs.inFlight = [
      {
        blob: DEMO_BLOB,
        receivedBytes: 0,
        sentBytes: 0,
        totalBytes: 1000,
        source: 'peer',
        clients: 0,
        nodes: 1,
      },
    ];
    await browser.size(1280, 900);
    await browser.go(server.url);
    const bar = `document.querySelector('#pulls [role=progressbar]')`;
    const progress = `${bar}?.getAttribute('aria-valuenow')`;
    await browser.waitFor(`${progress} === '0'`);
    const rateBefore = await browser.evaluate<string>(text('rate-peer'));
    fixture.inputs.inFlight = [
      {
        blob: DEMO_BLOB,
        receivedBytes: 640,
        sentBytes: 0,
        totalBytes: 1000,
        source: 'peer',
        clients: 0,
        nodes: 1,
      },
    ];
    fixture.meter.record('peer', 9e9, 1000);
    fixture.clock.advance(1000);
    fixture.telemetry.tick();
    await browser.waitFor(`${progress} === '64'`);
    const rate = await browser.evaluate<string>(text('rate-peer'));
    assert.notEqual(rate, rateBefore);
    assert.ok(
      (await browser.evaluate<string>(text('legend'))).includes(
        `Peers ${rate.replace(' now', '')}`,
      ),
      'the curve says of now what the tile says',
    );
    fixture.inputs.inFlight = [];
    await browser.waitFor(`${text('pulls')}.includes('Nothing is being pulled')`);
  });

  it('works by keyboard: skip link, points of the curve, choice of a tree', async () => {
    await browser.size(1280, 900);
    await browser.go(server.url);
    await browser.waitFor(`document.querySelectorAll('#history polygon').length > 0`);
    const visited: string[] = [];
    for (let i = 0; i < 12 && !visited.includes('tree'); i++) {
      await browser.press('Tab');
      visited.push(
        await browser.evaluate<string>(
          'document.activeElement.id || document.activeElement.className || ' +
            'document.activeElement.tagName',
        ),
      );
    }
    assert.equal(visited[0], 'skip');
    for (const id of ['history', 'peers-more', 'tree-blob', 'tree-shard', 'tree'])
      assert.ok(visited.includes(id), `${id} in ${visited.join(' ')}`);
    const label = `document.getElementById('history').getAttribute('aria-label')`;
    await browser.evaluate(`document.getElementById('history').focus()`);
    assert.match(await browser.evaluate<string>(label), /source, now: Origin/);
    await browser.press('Home');
    assert.doesNotMatch(await browser.evaluate<string>(label), /source, now/);
    assert.equal(await browser.evaluate(`document.querySelectorAll('#history .cursor').length`), 1);
  });

  it('draws the shard that is chosen, and shows all peers when asked', async () => {
    fixture.trees.set(DEMO_BLOB, {
      blob: DEMO_BLOB,
      shards: [
        { index: 3, edges: demoEdges(200) },
        { index: 9, edges: demoEdges(5) },
      ],
    });
    await browser.size(1280, 900);
    await browser.go(server.url);
    await browser.waitFor(`document.querySelectorAll('#tree circle').length === 200`);
    await browser.evaluate(
      `(() => { const choice = document.getElementById('tree-shard'); choice.value = ` +
        `'9'; choice.dispatchEvent(new Event('change')); })()`,
    );
    await browser.waitFor(`document.querySelectorAll('#tree circle').length === 5`);
    assert.equal(await browser.evaluate(`document.querySelectorAll('#tree-text li').length`), 5);
    assert.equal(await browser.evaluate(`document.querySelectorAll('#peers tbody tr').length`), 10);
    await browser.evaluate(`document.getElementById('peers-more').click()`);
    assert.equal(await browser.evaluate(`document.querySelectorAll('#peers tbody tr').length`), 30);
  });

  it('shows what a node says as text, never as markup', async () => {
    fixture.telemetry.errors.add(
      fixture.clock.wallMs(),
      'INTERNAL',
      '<img src=x onerror=alert(1)>',
    );
    fixture.inputs.peers = [{ node: '<b>peer</b>', zone: '<i>z</i>', role: 'agent', state: 'up' }];
    await browser.size(1280, 900);
    await browser.go(server.url);
    await browser.waitFor(`${text('errors')}.includes('onerror')`);
    assert.equal(
      await browser.evaluate(`document.querySelectorAll('main img, #peers b, #peers td i').length`),
      0,
    );
  });

  it('says when the node no longer answers or is not ready, and recovers', async () => {
    await browser.size(390, 844);
    await browser.go(server.url);
    await browser.waitFor(`${text('state')} === 'ready'`);
    fixture.inputs.readiness = { phase: 'draining', problems: [] };
    await browser.waitFor(`${text('state')} === 'not ready: draining'`);
    const { inputs } = fixture;
    const peers = [...inputs.peers];
    Object.defineProperty(inputs, 'peers', {
      configurable: true,
      get: () => assert.fail('broken'),
    });
    await browser.waitFor(
      `${text('notice')}.includes('does not answer') && ` +
        `document.getElementById('notice').checkVisibility()`,
    );
    assert.deepEqual(await browser.evaluate(MISPLACED), []);
    Object.defineProperty(inputs, 'peers', { configurable: true, value: peers });
    await browser.waitFor(`document.getElementById('notice').hidden`, 30_000);
  });
});
