import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { readExporter } from '../../lib/commands/exporter-client.ts';
import { tokenOf } from '../../lib/commands/token.ts';
import type { SwarmStatus } from '../../lib/telemetry/swarm-status.ts';
import { LiveNode, startOrigin, type Origin } from './live-node.ts';
import { until } from './until.ts';

/** An address of this machine that is not loopback: who comes from there is a stranger. */
const OUTSIDE = Object.values(networkInterfaces())
  .flat()
  .find((entry) => entry?.family === 'IPv4' && !entry.internal)?.address;

describe('pages of a real node to readers on other machines', function () {
  this.timeout(60_000);
  let origin: Origin;
  let node: LiveNode;
  let outside: string;
  let secretFile: string;

  before(async function () {
    if (OUTSIDE === undefined) {
      console.error('      not tested: this machine has no address but loopback');
      this.skip();
    }
    origin = await startOrigin(100_000);
    secretFile = join(process.env['TMPDIR'] ?? '/tmp', `shoal-secret-${process.pid}`);
    writeFileSync(secretFile, 'a secret of sixteen bytes and more\n', { mode: 0o600 });
    node = await LiveNode.start(origin, [
      `DeployConfig.node=${OUTSIDE}`,
      `P2PConfig.secretFile=${secretFile}`,
    ]);
    outside = `http://${OUTSIDE}:${new URL(node.exporter).port}`;
    await (await fetch(`${node.proxy}/v2/team/app/blobs/sha256:${origin.digest}`)).arrayBuffer();
  });
  after(() => {
    node?.remove();
    origin?.server.close();
  });

  const paths = ['/swarm', '/swarm/status', '/swarm/tree?blob=x&shard=0', '/status/pulls'];

  it('tell nothing of what is pulled without the token', async () => {
    for (const path of paths) {
      const response = await fetch(outside + path);
      assert.ok([401, 403].includes(response.status), `${path}: ${response.status}`);
      const body = await response.text();
      assert.ok(!body.includes(origin.digest) && !body.includes('team/app'), body);
      const wrong = await fetch(outside + path, {
        headers: { authorization: `Bearer ${'0'.repeat(64)}` },
      });
      assert.equal(wrong.status, response.status);
    }
    const prompt = await fetch(`${outside}/swarm`);
    assert.match(prompt.headers.get('www-authenticate') ?? '', /^Basic realm=/);
    await assert.rejects(
      readExporter({ url: outside }, '/swarm/status', (body): body is object => body !== null),
      { code: 'USAGE', message: /--secret-file/ },
    );
  });

  it('tell all with the token of the cluster secret, and on the machine itself', async () => {
    const isStatus = (body: unknown): body is SwarmStatus => body !== null;
    for (const [url, token] of [
      [outside, tokenOf(secretFile)],
      [node.exporter, null],
    ] as const) {
      let status!: SwarmStatus;
      await until(
        async () => {
          status = await readExporter({ url }, '/swarm/status', isStatus, token);
          return status.images.length > 0;
        },
        'the image',
        20_000,
      );
      assert.match(status.images[0]!.image, /team\/app/);
      assert.equal(status.nodes[0]!.node, node.name);
    }
    const basic = `Basic ${Buffer.from(`me:${tokenOf(secretFile)}`).toString('base64')}`;
    const page = await fetch(`${outside}/swarm`, { headers: { authorization: basic } });
    assert.equal(page.status, 200);
  });
});
