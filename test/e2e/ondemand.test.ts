import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ObjectStore } from '../../native-bench/ondemand/object-store.ts';
import { Pattern } from '../../native-bench/pread/pattern.ts';
import { Random } from '../../native-bench/sim/random.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { ShoalNode } from './node.ts';
import { OverlaybdClient } from './overlaybd.ts';
import { freePorts } from '../free-ports.ts';

const SEED = 3;
const HOUR_MS = 3_600_000;
/** Not a whole number of anything, so that last reads are short and last shards are. */
const TOTAL_BYTES = 256 * 1024 * 1024 - 12_345;
const READ_BYTES = 64 * 1024;

describe('e2e: on-demand loading as overlaybd does it', () => {
  const pattern = new Pattern(SEED);
  const random = new Random(SEED);
  let dir: string;
  let store: ObjectStore;
  let nodes: ShoalNode[];
  let clients: OverlaybdClient[];
  let nowMs: number;
  let signed: string[];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-ondemand-'));
    nowMs = Date.now();
    signed = [];
    store = new ObjectStore({ seed: SEED, totalBytes: TOTAL_BYTES, wallMs: () => nowMs });
    await store.listen();
    const ports = await freePorts(2);
    const peers = ports.map((port) => `127.0.0.1:${port}`);
    nodes = await Promise.all(
      ports.map((port, index) =>
        ShoalNode.start(join(dir, `node-${index}`), {
          ProxyConfig: { allow: [store.host] },
          P2PConfig: { port, peers },
          CacheConfig: {
            dir: join(dir, `node-${index}`, 'cache'),
            capacity: 320 * 1024 * 1024,
            memory: 64 * 1024 * 1024,
          },
        }),
      ),
    );
    clients = nodes.map(
      ({ proxyPort }, index) =>
        new OverlaybdClient(proxyPort, 4, () => {
          signed.push(store.sign(`node-${index}-${signed.length}`, HOUR_MS));
          return signed.at(-1)!;
        }),
    );
  });

  after(async () => {
    for (const client of clients ?? []) client.close();
    await Promise.all((nodes ?? []).map((node) => node.stop()));
    store?.close();
    await rm(dir, { recursive: true });
  });

  async function holds(
    client: OverlaybdClient,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<void> {
    const length = Math.min(lengthBytes, TOTAL_BYTES - offsetBytes);
    assert.ok(
      pattern.holds(await client.pread(offsetBytes, length), offsetBytes),
      `wrong bytes at ${offsetBytes}`,
    );
  }

  /** `count` reads somewhere, four at a time; one in ten at the very end. */
  async function readAtRandom(client: OverlaybdClient, count: number): Promise<void> {
    let left = count;
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (left-- > 0) {
          if (random.below(10) === 0)
            await holds(client, TOTAL_BYTES - 1 - random.below(READ_BYTES), READ_BYTES);
          else await holds(client, random.below(Math.floor(TOTAL_BYTES / 4096)) * 4096, READ_BYTES);
        }
      }),
    );
  }

  /** The whole blob in order, as overlaybd's background download. */
  async function readThrough(client: OverlaybdClient): Promise<void> {
    for (let at = 0; at < TOTAL_BYTES; at += SHARD_BYTES / 2)
      await holds(client, at, SHARD_BYTES / 2);
  }

  it('gives the size to a request for one byte', async () => {
    assert.deepEqual(await Promise.all(clients.map((client) => client.size())), [
      TOTAL_BYTES,
      TOTAL_BYTES,
    ]);
  });

  it('is byte-exact at random offsets during downloads, while URLs expire', async () => {
    // On one node, with downloads on both.
    const [one, other] = clients as [OverlaybdClient, OverlaybdClient];
    await readAtRandom(one, 100);
    nowMs += 2 * HOUR_MS;
    await Promise.all([readAtRandom(one, 300), readThrough(one), readThrough(other)]);
    // Not each of them has to: what one may read the other gets from it.
    assert.ok(
      clients.some(({ failures }) => failures.includes(403)),
      'somebody heard that a URL has expired',
    );
    for (const { problems } of clients) assert.deepEqual(problems, []);
  });

  it('reads a blob from the store about once, never whole for a range past its end', () => {
    // Once on a quiet machine; on a busy one a late owner is passed over now and then.
    assert.ok(
      store.bytesSent >= TOTAL_BYTES && store.bytesSent < 1.5 * TOTAL_BYTES,
      `${(store.bytesSent / TOTAL_BYTES).toFixed(3)} x`,
    );
    assert.deepEqual([...new Set(store.requests.map(({ status }) => status))].sort(), [206, 403]);
  });

  it('is byte-exact when the blob is complete, in sequence and at random', async () => {
    const [one] = clients as [OverlaybdClient];
    const sentBytes = store.bytesSent;
    await readAtRandom(one, 300);
    for (let at = 0; at < 16 * SHARD_BYTES; at += READ_BYTES) await holds(one, at, READ_BYTES);
    assert.ok(store.bytesSent - sentBytes < 1_000, 'at most checks of one byte');
  });

  it('leaves no signature in log or cache', async () => {
    const signatures = signed.map((url) => /Signature=(.+)$/.exec(url)![1]!);
    for (const { daemon } of nodes)
      for (const signature of signatures)
        assert.ok(
          !daemon.output.includes(signature) &&
            !daemon.output.includes(decodeURIComponent(signature)),
        );
  });
});
