import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeProcess } from '../../lib/demo/node-process.ts';
import { planPull, pullImage, type PullOutcome } from '../../lib/demo/pull.ts';
import { RegistryClient } from '../../lib/demo/registry-client.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage, type SampleImage } from '../../lib/demo/sample-image.ts';
import { DemoSwarm } from '../../lib/demo/swarm.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { ORIGIN_REQUEST_SHARDS_MAX } from '../../lib/swarm/limits.ts';
import { cliPath } from '../built-program.ts';

const MIB = 1024 * 1024;
const AGENTS = 6;
const SMALL_BLOBS = 40;

/**
 * Real processes: 1 root and 6 agents before a registry that counts, one layer and many small
 * blobs, pulled by all at once.
 */
describe('fault/swarm: nodes that are killed', () => {
  let image: SampleImage;
  let registry: DemoRegistry;
  let swarm: DemoSwarm;
  let dir: string;
  const started: NodeProcess[] = [];
  const stopping = new AbortController();

  before(async function () {
    this.timeout(60_000);
    image = await makeSampleImage('killed', [
      48 * MIB,
      ...Array.from({ length: SMALL_BLOBS }, (_, index) => 1500 + index * 13),
    ]);
  });
  beforeEach(async function () {
    this.timeout(60_000);
    dir = mkdtempSync(join(tmpdir(), 'shoal-swarm-'));
    registry = await DemoRegistry.start(image);
    const imageBytes = image.blobs.reduce((sum, blob) => sum + blob.bytes.length, 0);
    swarm = await DemoSwarm.start(
      { dir, agents: AGENTS, upstream: registry.url, allow: [], imageBytes },
      [process.execPath, cliPath],
      stopping.signal,
      (node) => started.push(node),
    );
  });
  afterEach(async function () {
    this.timeout(30_000);
    for (const node of started.splice(0)) {
      node.kill();
      await node.ended;
    }
    await registry.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Pulls through `nodes` at once; `onBytes` hears of every chunk that reaches a client. */
  async function pullThrough(
    nodes: readonly NodeProcess[],
    onBytes: () => void,
  ): Promise<Map<NodeProcess, PullOutcome>> {
    const direct = new RegistryClient(
      { url: registry.url, namespace: null },
      registry.credentials,
      stopping.signal,
    );
    const plan = await planPull(direct, image.repository, image.tag);
    const pulls = nodes.map(async (node) => {
      const client = new RegistryClient(
        { url: node.addresses.proxy, namespace: new URL(registry.url).host },
        registry.credentials,
        stopping.signal,
      );
      return [node, await pullImage(client, plan, () => performance.now(), onBytes)] as const;
    });
    return new Map(await Promise.all(pulls));
  }

  it('the image leaves the registry once, with several shards a request', async function () {
    this.timeout(90_000);
    const agents = swarm.nodes.filter((node) => node.role === 'agent');
    for (const outcome of (await pullThrough(agents, () => undefined)).values())
      assert.deepEqual(outcome.problems, []);
    const imageBytes = image.blobs.reduce((sum, blob) => sum + blob.bytes.length, 0);
    const { blobs, paths, shardRequestsMax } = registry.traffic;
    assert.ok(shardRequestsMax <= 3, `${shardRequestsMax} requests for one shard`);
    assert.ok(
      blobs.bytes <= imageBytes * 1.01,
      `${blobs.bytes} bytes for an image of ${imageBytes}`,
    );
    for (const blob of image.blobs) {
      const shards = Math.ceil(blob.bytes.length / SHARD_BYTES);
      const requests = paths.get(`/v2/${image.repository}/blobs/${blob.digest}`)?.requests ?? 0;
      assert.ok(
        requests >= shards / ORIGIN_REQUEST_SHARDS_MAX && requests <= 3 * shards,
        `${requests} requests for ${shards} shard(s)`,
      );
    }
  });

  it('a third of the agents killed during pulls: all other pulls are right', async function () {
    this.timeout(90_000);
    const agents = swarm.nodes.filter((node) => node.role === 'agent');
    const victims = agents.slice(0, AGENTS / 3);
    let chunks = 0;
    const outcomes = await pullThrough(agents, () => {
      // In the middle of it, by what has reached clients rather than by the clock.
      if (++chunks === 400) for (const victim of victims) victim.kill();
    });
    assert.ok(chunks > 400, `only ${chunks} chunks: nobody was killed on the way`);
    for (const [node, outcome] of outcomes)
      if (!victims.includes(node)) assert.deepEqual(outcome.problems, [], node.name);
  });

  it('a third of the agents stopped during pulls: all other pulls complete', async function () {
    // Stopped agents hand over their children.
    this.timeout(90_000);
    const agents = swarm.nodes.filter((node) => node.role === 'agent');
    const leaving = agents.slice(0, AGENTS / 3);
    let chunks = 0;
    const left: Promise<void>[] = [];
    const outcomes = await pullThrough(agents, () => {
      if (++chunks === 400) left.push(...leaving.map((node) => node.stop(60_000)));
    });
    await Promise.all(left);
    assert.equal(left.length, leaving.length, `only ${chunks} chunks: nobody left on the way`);
    for (const [node, outcome] of outcomes)
      if (!leaving.includes(node)) assert.deepEqual(outcome.problems, [], node.name);
    const imageBytes = image.blobs.reduce((sum, blob) => sum + blob.bytes.length, 0);
    assert.ok(
      registry.traffic.blobs.bytes <= imageBytes * 1.05,
      `${registry.traffic.blobs.bytes} bytes: their shards were not read anew`,
    );
    assert.ok(
      registry.traffic.shardRequestsMax <= 3,
      `${registry.traffic.shardRequestsMax} requests for one shard`,
    );
  });

  it('the root killed during pulls: every pull completes', async function () {
    this.timeout(90_000);
    const agents = swarm.nodes.filter((node) => node.role === 'agent');
    const root = swarm.nodes.find((node) => node.role === 'root')!;
    let chunks = 0;
    const outcomes = await pullThrough(agents, () => {
      if (++chunks === 300) root.kill();
    });
    assert.ok(chunks > 300, `only ${chunks} chunks: the root was not killed on the way`);
    for (const [node, outcome] of outcomes) assert.deepEqual(outcome.problems, [], node.name);
  });
});
