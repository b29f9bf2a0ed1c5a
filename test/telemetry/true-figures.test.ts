import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { PullStatus, Status } from '../../lib/telemetry/status.ts';
import { run } from '../e2e/daemon.ts';
import { needs } from '../programs.ts';
import { startOrigin, startSwarm, type LiveNode, type Origin } from './live-node.ts';
import { until } from './until.ts';

const BLOB_BYTES = 40 * 2 ** 20 + 123;
const POLL_MS = 200;
const SERVED = /^shoal_served_bytes_total\{[^}]*to="client"[^}]*\} (\d+)/gm;

/** What one agent says of itself in its four places. */
interface Figures {
  status: Status;
  served: number;
  pulls: PullStatus[];
  pread: number;
}

describe('figures of a real swarm', function () {
  this.timeout(120_000);
  let origin: Origin;
  let nodes: LiveNode[];
  let agents: LiveNode[];
  /** Of the image: its layer and its config. */
  let imageBytes: number;
  before(async function () {
    needs(this, 'skopeo');
    // 1 MiB every 20 ms for a request, so that the pull takes some samples.
    origin = await startOrigin(BLOB_BYTES, 256 * 1024);
    imageBytes = BLOB_BYTES + origin.config.length;
    nodes = await startSwarm(origin, ['DeployConfig.logLevel=info'], 4);
    agents = nodes.slice(1);
  });
  after(() => {
    for (const node of nodes ?? []) node.remove();
    origin?.server.closeAllConnections();
    origin?.server.close();
  });

  /** Pulls the image with skopeo, and counts the bytes of its blobs that came. */
  async function pull(node: LiveNode): Promise<number> {
    const to = mkdtempSync(join(node.directory, 'pulled-'));
    const from = `docker://${node.proxy.replace('http://', '')}/team/app:v1`;
    await run('skopeo', [
      'copy',
      '--preserve-digests',
      '--src-tls-verify=false',
      from,
      `dir:${to}`,
    ]);
    const blobs = readdirSync(to).filter((name) => /^[0-9a-f]{64}$/.test(name));
    assert.ok(readFileSync(join(to, origin.digest)).equals(origin.bytes));
    return blobs.reduce((sum, name) => sum + statSync(join(to, name)).size, 0);
  }

  async function figuresOf(node: LiveNode): Promise<Figures> {
    const [status, metrics, pulls] = await Promise.all([
      node.get('/status'),
      node.get('/metrics'),
      node.get('/status/pulls'),
    ]);
    const pread = /^shoal_traffic_bytes_total\{[^}]*type="pread"[^}]*\} (\d+)/m.exec(metrics);
    return {
      status: JSON.parse(status) as Status,
      served: [...metrics.matchAll(SERVED)].reduce((sum, [, bytes]) => sum + Number(bytes), 0),
      pulls: (JSON.parse(pulls) as { pulls: PullStatus[] }).pulls,
      pread: Number(pread?.[1]),
    };
  }

  /** Waits until fronts have told control of reads that ended, and checks that all agree. */
  async function agree(node: LiveNode, clientBytes: number): Promise<Figures> {
    let figures = await figuresOf(node);
    const pulled = (): number => figures.pulls.reduce((sum, { bytes }) => sum + bytes, 0);
    await until(
      async () => {
        figures = await figuresOf(node);
        return pulled() >= clientBytes;
      },
      'the pull in the list',
      10_000,
    );
    const { status, served, pulls, pread } = figures;
    assert.deepEqual(
      [status.sent.client, served, pread, pulled()],
      [clientBytes, clientBytes, clientBytes, clientBytes],
      `${node.name}: status, metrics and pulls against what the client counted`,
    );
    for (const { sources, bytes } of pulls)
      assert.equal(
        Object.values(sources).reduce((sum, part) => sum + part, 0),
        bytes,
      );
    return figures;
  }

  it('agree to the byte with clients and registry, and show what is in flight', async () => {
    let isOver = false;
    let samples = 0;
    const watch = async (node: LiveNode): Promise<void> => {
      let [sentBytes, atMs] = [0, Date.now()];
      for (let next = Date.now() + POLL_MS; !isOver; next += POLL_MS) {
        const status = JSON.parse(await node.get('/status')) as Status;
        // On a busy machine a sample may come so late that what was sent before it is over.
        if (status.sent.client > sentBytes && Date.now() - atMs < 2_000) {
          samples += 1;
          assert.ok(status.inFlight.length > 0, `${node.name} sends bytes of no blob in flight`);
        }
        [sentBytes, atMs] = [status.sent.client, Date.now()];
        await until(() => isOver || Date.now() >= next, 'the next sample', 5_000);
      }
    };
    const watching = Promise.all(agents.map(watch));
    try {
      assert.deepEqual(
        await Promise.all(agents.map(pull)),
        agents.map(() => imageBytes),
      );
    } finally {
      isOver = true;
    }
    await watching;
    assert.ok(samples >= 8, `${samples} samples with traffic`);

    const first = await Promise.all(agents.map((node) => agree(node, imageBytes)));
    for (const { status, pulls } of first) {
      assert.equal(status.bytes.cache, 0, 'a first pull has nothing from an earlier one');
      assert.equal(pulls.length, 1);
      assert.equal(pulls[0]!.sources.peer, imageBytes, 'agents read from other nodes only');
    }
    const root = await figuresOf(nodes[0]!);
    assert.deepEqual(
      [root.status.bytes.origin, origin.sentBytes],
      [imageBytes, imageBytes],
      'the registry sent it once',
    );

    await Promise.all(agents.map(pull));
    const second = await Promise.all(agents.map((node) => agree(node, 2 * imageBytes)));
    for (const { status } of second) assert.equal(status.bytes.cache, imageBytes);
  });

  it('log one line for each blob that was sent', async () => {
    const [node] = agents;
    const sent = (): Record<string, unknown>[] =>
      node!.log.filter(
        ({ msg, blob }) => msg === 'blob sent' && blob === `sha256:${origin.digest}`,
      );
    await until(() => sent().length > 0, 'the line', 10_000);
    const [line] = sent();
    assert.equal(line!['blob'], `sha256:${origin.digest}`);
    assert.equal(line!['bytes'], BLOB_BYTES);
    assert.equal(line!['level'], 'info');
    assert.match(String(line!['image']), /^127\.0\.0\.1:\d+\/team\/app:v1$/);
    assert.deepEqual(Object.keys(line!['sources'] as object), [
      'memory',
      'disk',
      'runtime',
      'peer',
      'origin',
    ]);
  });
});
