import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planPreheat } from '../../lib/commands/preheat-image.ts';
import { NodeBlobs } from '../../lib/commands/preheat-source.ts';
import { runPreheat, type PreheatOptions, type PreheatResult } from '../../lib/commands/preheat.ts';
import { RegistryClient } from '../../lib/demo/registry-client.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { ShoalNode } from './node.ts';
import { freePorts } from '../free-ports.ts';

describe('e2e: preheating nodes', () => {
  let dir: string;
  let registry: DemoRegistry;
  let nodes: ShoalNode[];
  let image: string;
  let out = '';

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-preheat-'));
    registry = await DemoRegistry.start(
      await makeSampleImage('preheat nodes', [20_000_000, 5_000_000, 1_000]),
    );
    image = `${new URL(registry.url).host}/shoal/sample`;
    await writeFile(join(dir, 'secret'), 'a secret of the tests, long enough');
    const [root, ...agents] = await freePorts(4);
    const P2PConfig = {
      peers: agents.map((port) => `127.0.0.1:${port}`),
      roots: [`127.0.0.1:${root}`],
      secretFile: join(dir, 'secret'),
    };
    const start = (role: 'agent' | 'root', port: number, name: string): Promise<ShoalNode> =>
      ShoalNode.start(
        join(dir, name),
        {
          ProxyConfig: { registries: [{ upstream: registry.url }] },
          P2PConfig: { ...P2PConfig, port },
          ExporterConfig: { enable: true, port: 0 },
        },
        { role },
      );
    nodes = await Promise.all([
      start('root', root!, 'root'),
      ...agents.map((port, index) => start('agent', port, `agent-${index}`)),
    ]);
  });

  after(async () => {
    await Promise.all((nodes ?? []).map((node) => node.stop()));
    await registry?.close();
    await rm(dir, { recursive: true });
  });

  async function preheat(
    options: Partial<PreheatOptions> = {},
  ): Promise<{ code: number; result: PreheatResult; text: string }> {
    const { username, password } = registry.credentials;
    out = '';
    let text = '';
    const output = {
      out: (part: string) => void (out += part),
      err: (part: string) => void (text += part),
    };
    const code = await runPreheat(
      [image],
      {
        via: `http://${nodes[1]!.proxyHost}`,
        user: username,
        passwordStdin: true,
        json: true,
        nodes: 'all',
        ...options,
      },
      output,
      async () => password,
    );
    return {
      code,
      result: (JSON.parse(out.trimEnd().split('\n').at(-1)!) as { images: PreheatResult[] })
        .images[0]!,
      text,
    };
  }

  /** Bytes each agent has on disk, and got from its peers and the origin. */
  const cached = (): Promise<{ usedBytes: number; gotBytes: number }[]> =>
    Promise.all(
      nodes.slice(1).map(async ({ exporterPort }) => {
        const { cache, bytes } = (await (
          await fetch(`http://127.0.0.1:${exporterPort}/status`)
        ).json()) as { cache: { usedBytes: number }; bytes: { peer: number; origin: number } };
        return { usedBytes: cache.usedBytes, gotBytes: bytes.peer + bytes.origin };
      }),
    );

  it('brings a private image to every agent, for what one pull costs the registry', async () => {
    const { code, result, text } = await preheat();
    assert.equal(code, 0, text);
    assert.deepEqual(
      result.nodes!.map(({ node, ok, layers }) => [node, ok, layers]),
      nodes
        .slice(1)
        .map(({ p2pPort }) => [`127.0.0.1:${p2pPort}`, true, 4])
        .sort(),
    );
    for (const { usedBytes, gotBytes } of await cached()) {
      assert.ok(usedBytes >= result.bytes);
      assert.equal(gotBytes, result.bytes);
    }
    // Checks of one byte apart. The client asks without a credential first, which the registry
    // refuses at the owner: that must not send this node to the registry with the next one.
    assert.ok(
      registry.traffic.blobs.bytes <= 1.01 * result.bytes,
      `${registry.traffic.blobs.bytes} of ${result.bytes}`,
    );
    assert.ok(nodes.every(({ daemon }) => !daemon.output.includes(registry.credentials.password)));
  });

  it('reads almost nothing when it is run again', async () => {
    const [before, sentBytes] = [await cached(), registry.traffic.blobs.bytes];
    const { code } = await preheat();
    assert.equal(code, 0);
    assert.deepEqual(await cached(), before);
    assert.ok(registry.traffic.blobs.bytes - sentBytes < 100);
  });

  it('asks no node for a client that may not read the image', async () => {
    const blob = `/v2/shoal/sample/blobs/sha256:${'ab'.repeat(32)}`;
    const answer = await nodes[1]!.get(`/shoal/preheat/127.0.0.1:${nodes[2]!.p2pPort}${blob}`);
    assert.equal(answer.status, 401);
    assert.match(String(answer.headers['www-authenticate']), /^Bearer /);
  });

  it('reports that no node matches, and names a node that cannot be reached', async () => {
    const elsewhere = await preheat({ nodes: 'zone-a' });
    assert.equal(elsewhere.code, 1);
    assert.match(
      elsewhere.result.problems[0]!,
      /^--nodes zone-a: no agent is there; zones: none are known/,
    );
    await nodes[3]!.kill();
    const { code, result, text } = await preheat();
    assert.equal(code, 1);
    assert.deepEqual(
      result.nodes!.map(({ node, ok }) => [node, ok]),
      nodes
        .slice(1)
        .map(({ p2pPort }) => [`127.0.0.1:${p2pPort}`, p2pPort !== nodes[3]!.p2pPort])
        .sort(),
    );
    assert.match(text, new RegExp(`127\\.0\\.0\\.1:${nodes[3]!.p2pPort}: .*answered 50`));
  });
});

describe('e2e: a trace of what an image reads at its start', () => {
  let dir: string;
  let registry: DemoRegistry;
  let recorder: ShoalNode;
  let fresh: ShoalNode;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-trace-'));
    registry = await DemoRegistry.start(await makeSampleImage('trace', [30_000_000, 1_000]));
    const start = (name: string): Promise<ShoalNode> =>
      ShoalNode.start(join(dir, name), {
        ProxyConfig: { registries: [{ upstream: registry.url }] },
      });
    [recorder, fresh] = await Promise.all([start('recorder'), start('fresh')]);
  });

  after(async () => {
    await Promise.all([recorder, fresh].map((node) => node?.stop()));
    await registry?.close();
    await rm(dir, { recursive: true });
  });

  it('is recorded on one node, and preheats only its ranges on another', async () => {
    const { username, password } = registry.credentials;
    const image = `${new URL(registry.url).host}/shoal/sample`;
    const output = { out: () => undefined, err: (text: string) => void (said += text) };
    let said = '';
    const file = join(dir, 'trace.json');
    const client = new NodeBlobs(
      { url: `http://${recorder.proxyHost}`, namespace: null },
      { username, password },
    );
    const registryClient = new RegistryClient(
      { url: registry.url, namespace: null },
      { username, password },
      new AbortController().signal,
    );
    const plan = await planPreheat(
      (reference) => registryClient.manifest('shoal/sample', reference),
      'latest',
      null,
    );
    await registryClient.close();
    const layer = plan.blobs.reduce((one, other) =>
      one.sizeBytes > other.sizeBytes ? one : other,
    );
    // What a start reads: a little here and there.
    const shards = [12, 3, 7, 14];
    for (const shard of shards)
      for await (const _ of client.readRange(
        'shoal/sample',
        layer.digest,
        shard * SHARD_BYTES + 1_000,
        shard * SHARD_BYTES + 9_000,
      ));
    await client.close();
    assert.equal(
      await runPreheat([], { via: `http://${recorder.proxyHost}`, record: file }, output),
      0,
      said,
    );
    const text = await readFile(file, 'utf8');
    assert.deepEqual(
      (JSON.parse(text) as { blobs: unknown; reads: unknown }).reads,
      shards.map((shard) => [0, shard]),
    );
    assert.ok(!text.includes(password) && !text.includes('http'));

    const sentBytes = registry.traffic.blobs.bytes;
    const traced = {
      via: `http://${fresh.proxyHost}`,
      trace: file,
      user: username,
      passwordStdin: true,
    };
    assert.equal(await runPreheat([image], traced, output, async () => password), 0, said);
    const lastBytes = layer.sizeBytes - 14 * SHARD_BYTES;
    const broughtBytes = registry.traffic.blobs.bytes - sentBytes;
    assert.ok(
      broughtBytes >= 3 * SHARD_BYTES + lastBytes &&
        broughtBytes < 3 * SHARD_BYTES + lastBytes + 100,
      `${broughtBytes}`,
    );
    // Nothing more the second time, nor when the image then starts there.
    assert.equal(await runPreheat([image], traced, output, async () => password), 0, said);
    assert.ok(registry.traffic.blobs.bytes - sentBytes - broughtBytes < 100);
    assert.equal(
      await runPreheat([image], { via: traced.via, trace: file }, output),
      1,
      'not without the credential',
    );
  });
});
