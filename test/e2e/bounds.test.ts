import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { parseRange, resolveRange } from '../../lib/registry/range.ts';
import { OriginServer } from '../origin/origin-server.ts';
import { noise } from './image.ts';
import { ShoalNode } from './node.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const PIECE = noise(MIB, 5);

/** An origin of huge objects that exist nowhere: the same MiB over and over. */
function endless(sizeBytes: number): Promise<OriginServer> {
  return OriginServer.start((request, response) => {
    const span = resolveRange(parseRange(request.headers.range), sizeBytes);
    response.writeHead(span.status, {
      'content-length': span.endBytes - span.startBytes,
      ...(span.contentRange === undefined ? {} : { 'content-range': span.contentRange }),
    });
    let at = span.startBytes;
    const pump = (): void => {
      while (at < span.endBytes) {
        const from = at % MIB;
        const step = PIECE.subarray(from, Math.min(MIB, from + span.endBytes - at));
        at += step.length;
        if (!response.write(step)) return void response.once('drain', pump);
      }
      response.end();
    };
    pump();
  });
}

/** Milliseconds until the first body byte. */
function firstByteMs(port: number, path: string, range: string): Promise<number> {
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers: { range }, agent: false }, (response) => {
      response.once('data', () => resolve(performance.now() - startMs));
      response.resume();
    }).on('error', reject);
  });
}

async function drained(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response
        .on('data', (chunk: Buffer) => (bytes += chunk.length))
        .on('end', () => resolve(bytes))
        .on('error', reject);
    }).on('error', reject);
  });
}

/**
 * What one read in four is faster than: the machine may be busy with other things than this test.
 */
const lowerQuartile = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 4)]!;

describe('e2e: limits of a node', () => {
  let dir: string;
  let origin: OriginServer;
  let node: ShoalNode;

  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'))));
  afterEach(async () => {
    await node?.stop();
    await origin.stop();
    await rm(dir, { recursive: true });
  });

  it('a single node asks for several shards a request, also for a slow client', async () => {
    const shards = 48;
    origin = await endless(shards * SHARD_BYTES);
    node = await ShoalNode.start(dir, {
      ProxyConfig: { allow: [origin.host], throttleLimitMB: 40 },
      CacheConfig: { memory: 64 * MIB },
    });
    assert.equal(
      await drained(node.proxyPort, `/accelerator/${origin.url}/layer`),
      shards * SHARD_BYTES,
    );
    // Sixteen at first, then eight each time that the client has read as many; a few more where it
    // had to wait.
    assert.ok(
      origin.seen.length <= shards / 3,
      `${origin.seen.length} requests for ${shards} shards`,
    );
  });

  // No timer and no whole shard may lie before it; how fast it is, native-bench/ondemand.ts shows.
  it("a cold read in the middle of 1 GiB starts soon after the origin's own", async () => {
    origin = await endless(GIB);
    node = await ShoalNode.start(dir, { ProxyConfig: { allow: [origin.host] } });
    const direct: number[] = [];
    const through: number[] = [];
    for (let at = 1; at <= 11; at++) {
      const offsetBytes = at * 80 * MIB + 65_536;
      const range = `bytes=${offsetBytes}-${offsetBytes + 65_535}`;
      direct.push(await firstByteMs(origin.port, '/blob', range));
      through.push(await firstByteMs(node.proxyPort, `/accelerator/${origin.url}/blob`, range));
    }
    assert.ok(
      lowerQuartile(through) <= lowerQuartile(direct) + 100,
      `${lowerQuartile(through)} ms, the origin itself ${lowerQuartile(direct)} ms`,
    );
  });

  it('memory and disk stay bounded under eight cold pulls larger than the disk', async () => {
    const capacity = 96 * MIB;
    origin = await endless(48 * MIB);
    node = await ShoalNode.start(dir, {
      ProxyConfig: { allow: [origin.host], throttleLimitMB: 0 },
      CacheConfig: { dir: join(dir, 'cache'), capacity, memory: 256 * MIB },
    });
    let rssMax = 0;
    let diskMax = 0;
    let pulling = true;
    const watching = (async () => {
      while (pulling) {
        const status = await readFile(`/proc/${node.daemon.child.pid}/status`, 'utf8');
        rssMax = Math.max(rssMax, Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024);
        const files = await readdir(join(dir, 'cache'));
        const sizes = await Promise.all(
          files.map(async (name) => (await stat(join(dir, 'cache', name))).blocks * 512),
        );
        diskMax = Math.max(
          diskMax,
          sizes.reduce((sum, size) => sum + size, 0),
        );
      }
    })();
    const pulled = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        drained(node.proxyPort, `/accelerator/${origin.url}/blob-${index}`),
      ),
    );
    pulling = false;
    await watching;
    assert.deepEqual(new Set(pulled), new Set([48 * MIB]));
    assert.ok(rssMax > 0 && rssMax < 600e6, `${Math.round(rssMax / 1e6)} MB resident`);
    const table = (await stat(join(dir, 'cache/index'))).size;
    assert.ok(diskMax > 0 && diskMax <= capacity + table, `${diskMax} bytes on disk`);
  });

  it('after a client disconnects, the node does not fetch the rest', async () => {
    const size = 512 * MIB;
    origin = await endless(size);
    node = await ShoalNode.start(dir, { ProxyConfig: { allow: [origin.host] } });
    await new Promise<void>((resolve, reject) => {
      get(
        {
          host: '127.0.0.1',
          port: node.proxyPort,
          path: `/accelerator/${origin.url}/left`,
          headers: { range: 'bytes=0-' },
          agent: false,
        },
        (response) => {
          response.once('data', () => {
            response.destroy();
            resolve();
          });
        },
      ).on('error', reject);
    });
    await node.get(`/accelerator/${origin.url}/other`, { range: 'bytes=0-0' });
    const asked = origin.seen.filter(({ url }) => url === '/left').length;
    assert.ok(asked <= 32, `${asked} shards of ${size / SHARD_BYTES} asked for`);
  });
});
