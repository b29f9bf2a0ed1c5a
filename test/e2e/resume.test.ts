import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from 'mocha';
import { needs } from '../programs.ts';
import { CLIENTS, type Client } from './clients.ts';
import { CountingProxy } from './counting-proxy.ts';
import { makeImage, type TestImage } from './image.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { scratchFolder } from './scratch-folder.ts';
import { storedShards } from './stored-shards.ts';
import { freePorts } from '../free-ports.ts';

const LAYER_BYTES = 30_000_000;
const KILLED_AFTER_BYTES = 16_000_000;
/** A client is asked again so often; kubelet never stops. */
const PULLS_MAX = 4;
/**
 * What was on the wire when the node was killed, and a config asked for together with the right to
 * read it.
 */
const SLACK_BYTES = 2_000_000;

describe('e2e: a node killed in the middle of a pull, and started again', () => {
  let dir: string;
  let registry: DockerRegistry;
  let origin: CountingProxy;
  let seen: CountingProxy;
  let start: () => Promise<ShoalNode>;
  let node: ShoalNode;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'unshare');
    dir = await scratchFolder();
    registry = await DockerRegistry.start(dir);
    origin = await CountingProxy.start(registry.port);
    const hostsFile = join(dir, 'hosts');
    await writeFile(hostsFile, '127.0.0.1 localhost registry.test\n');
    const [port = 0] = await freePorts(1);
    seen = await CountingProxy.start(port);
    const registries = [
      { upstream: `http://registry.test:${origin.port}` },
      { upstream: `http://${origin.host}` },
    ];
    start = () =>
      ShoalNode.start(
        join(dir, 'node'),
        {
          ProxyConfig: {
            port,
            registries: registries.map((one, at) =>
              at === 0 ? { ...one, p2pHost: seen.host } : one,
            ),
          },
        },
        { hostsFile },
      );
    node = await start();
  });

  after(async () => {
    await Promise.all([node?.stop(), registry?.stop(), origin?.stop(), seen?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  async function clientIn(
    context: Context,
    name: string,
    startClient: (typeof CLIENTS)[number][1],
  ): Promise<Client> {
    const home = join(dir, `client-${name}`);
    await mkdir(home);
    return startClient(context, home);
  }

  /**
   * Pulls as `registryName`'s, kills the node half-way, starts it again, and pulls until it is
   * there.
   */
  async function pullThroughDeath(
    client: Client,
    seed: number,
    registryName: string,
  ): Promise<{
    image: TestImage;
    pulls: number;
    shardsStored: number;
    fetchedAfterBytes: number;
    missingBytes: number;
  }> {
    const image = await makeImage(join(dir, `image-${seed}`), [LAYER_BYTES, 1_000], seed);
    await registry.push(image, `team/killed-${seed}`);
    for (const side of [origin, seen]) side.reset();
    const reference = `${registryName}/team/killed-${seed}:test`;
    const storedBefore = (await storedShards(join(dir, 'node/cache'))).length;
    await client.mirror(registryName, `http://${seen.host}`);
    const brake = origin.brake(KILLED_AFTER_BYTES);
    let pulling = client.tryPull(reference);
    await brake.reached;
    await node.kill();
    brake.release();
    const stored = (await storedShards(join(dir, 'node/cache'))).slice(storedBefore);
    const fetchedBytes = origin.blobBytes;
    node = await start();
    let pulls = 1;
    for (; (await pulling).code !== 0; pulls++) {
      assert.ok(pulls < PULLS_MAX, (await pulling).stderr);
      pulling = client.tryPull(reference);
    }
    assert.ok((await client.pulled(reference)).includes(image.manifest.digest));
    const storedBytes = stored.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    return {
      image,
      pulls,
      shardsStored: stored.length,
      fetchedAfterBytes: origin.blobBytes - fetchedBytes,
      missingBytes: image.blobBytes - storedBytes,
    };
  }

  for (const [at, [name, startClient]] of CLIENTS.entries()) {
    it(`${name}: the pull succeeds, the registry sends only what is missing`, async function () {
      const client = await clientIn(this, String(at), startClient);
      try {
        // Only the node knows where this registry is.
        const { fetchedAfterBytes, missingBytes, shardsStored } = await pullThroughDeath(
          client,
          100 + at,
          `registry.test:${origin.port}`,
        );
        assert.ok(shardsStored > 0);
        assert.ok(
          fetchedAfterBytes <= missingBytes + SLACK_BYTES,
          `${fetchedAfterBytes} bytes fetched, ${missingBytes} were missing`,
        );
      } finally {
        await client.stop();
      }
    });
  }

  it('containerd continues at the registry from the same byte', async function () {
    const client = await clientIn(this, 'direct', CLIENTS[0]![1]);
    try {
      const { image, pulls } = await pullThroughDeath(client, 200, origin.host);
      assert.equal(pulls, 1);
      const { ranges } = origin.blobs.get(image.layers[0]!.digest)!;
      assert.match(ranges.at(-1)!, /^bytes=[1-9]\d*-$/, ranges.join());
    } finally {
      await client.stop();
    }
  });
});
