import assert from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ORIGIN_BACKOFF_MS } from '../../lib/swarm/limits.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { OriginServer, serveRanges } from '../origin/origin-server.ts';
import { CountingProxy } from './counting-proxy.ts';
import { digestOf, noise } from './image.ts';
import { ShoalNode } from './node.ts';
import { HEADERS_FROM_BYTES, storedShards } from './stored-shards.ts';

const BLOB = noise(12 * SHARD_BYTES + 12_345, 3);
const DIGEST = digestOf(BLOB);

describe('e2e: a node that dies, and a corrupt disk', () => {
  let dir: string;
  let origin: OriginServer;
  let counting: CountingProxy;
  let node: ShoalNode | null = null;

  before(async () => {
    origin = await OriginServer.start(serveRanges(BLOB));
    counting = await CountingProxy.start(origin.port);
  });

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    counting.reset();
  });

  afterEach(async () => {
    await node?.stop();
    node = null;
    await rm(dir, { recursive: true });
  });

  after(async () => {
    await Promise.all([counting.stop(), origin.stop()]);
  });

  const start = async (): Promise<ShoalNode> =>
    (node = await ShoalNode.start(dir, {
      ProxyConfig: { registries: [{ upstream: `http://${counting.host}` }] },
    }));
  const pull = async (running: ShoalNode): Promise<void> => {
    const { status, body } = await running.get(`/v2/a/blobs/${DIGEST}`);
    assert.equal(status, 200);
    assert.equal(digestOf(body), DIGEST, 'not one wrong byte');
  };

  for (const how of ['SIGKILL', 'SIGTERM'] as const) {
    it(`${how} during a pull: complete shards are not fetched again`, async () => {
      const first = await start();
      const brake = counting.brake(8 * SHARD_BYTES);
      let receivedBytes = 0;
      const cut = new Promise<void>((resolve) => {
        get(
          { port: first.proxyPort, host: '127.0.0.1', path: `/v2/a/blobs/${DIGEST}`, agent: false },
          (response) => {
            response
              .on('data', (chunk: Buffer) => (receivedBytes += chunk.length))
              .on('error', () => resolve())
              .on('end', resolve);
          },
        ).on('error', () => resolve());
      });
      await brake.reached;
      const endMs = performance.now() + 20_000;
      while ((await storedShards(join(dir, 'cache'))).length < 3)
        assert.ok(performance.now() < endMs, 'no shard reaches the disk');
      if (how === 'SIGKILL') await first.kill();
      else {
        const stopping = first.stop();
        brake.release();
        await stopping;
      }
      brake.release();
      await cut;
      if (how === 'SIGTERM')
        assert.equal(
          receivedBytes,
          BLOB.length,
          'an answer in flight is finished before the node goes',
        );
      const stored = await storedShards(join(dir, 'cache'));
      assert.ok(stored.length >= 3);
      counting.reset();
      await pull(await start());
      const storedBytes = stored.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      assert.ok(
        counting.blobBytes <= BLOB.length - storedBytes,
        `${counting.blobBytes} bytes fetched, ${storedBytes} of ${BLOB.length} were there`,
      );
    });
  }

  it('wrong bytes in the slab are detected, and only these are fetched again', async () => {
    await pull(await start());
    await node!.stop();
    const stored = await storedShards(join(dir, 'cache'));
    assert.equal(stored.length, Math.ceil(BLOB.length / SHARD_BYTES));
    const slab = await open(join(dir, 'cache/slab'), 'r+');
    for (const { offsetBytes } of stored
      .filter(({ lengthBytes }) => lengthBytes === SHARD_BYTES)
      .slice(2, 5)) {
      const byte = Buffer.alloc(1);
      await slab.read(byte, 0, 1, offsetBytes + 1_000_000);
      await slab.write(Buffer.from([byte[0]! ^ 1]), 0, 1, offsetBytes + 1_000_000);
    }
    await slab.close();
    counting.reset();
    await pull(await start());
    assert.equal(counting.blobBytes, 3 * SHARD_BYTES);
    counting.reset();
    await pull(node!);
    assert.equal(counting.blobBytes, 0);
  });

  it('with a corrupt header table the node starts with an empty cache', async () => {
    await pull(await start());
    await node!.stop();
    const table = await open(join(dir, 'cache/index'), 'r+');
    await table.write(noise(65_536, 9), 0, 65_536, HEADERS_FROM_BYTES);
    await table.close();
    await pull(await start());
  });

  it('an origin that fails and comes back: the client goes on from the same byte', async () => {
    const running = await start();
    let broken = 0;
    counting.disturb = (request) => {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const isInIt = Number(from) <= 4 * SHARD_BYTES && Number(to) >= 4 * SHARD_BYTES;
      return isInIt && broken++ === 0 ? 502 : null;
    };
    await pull(running);
    assert.ok(broken >= 1);
  });

  it('SIGTERM while it waits to retry the registry: the running answer ends first', async () => {
    const running = await start();
    let toldMs = 0;
    counting.disturb = (request) => {
      const lastByte = Number(/-(\d+)$/.exec(request.headers.range ?? '')?.[1]);
      if (lastByte < 4 * SHARD_BYTES) return null;
      if (toldMs === 0) {
        toldMs = performance.now();
        running.daemon.child.kill('SIGTERM');
      }
      // Twice, and not the third time: the pauses are of 0.2 and 0.4 s.
      return performance.now() - toldMs < 2 * ORIGIN_BACKOFF_MS ? 502 : null;
    };
    await pull(running);
    assert.ok(toldMs > 0);
    await running.daemon.ended;
  });
});
