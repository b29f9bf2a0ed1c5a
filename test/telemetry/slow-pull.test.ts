import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import type { PullStatus } from '../../lib/telemetry/status.ts';
import { parsePread, preadHeaders } from '../../lib/wire/pread.ts';
import { LiveNode } from './live-node.ts';
import { OtlpReceiver, type ReceivedSpan } from './otlp-receiver.ts';
import { until } from './until.ts';

const BLOB_BYTES = 4 * 2 ** 20;
const SLOW_MS = 2_000;
/** Blobs of the registry by digest. */
const blobs = new Map<string, Buffer>();

function newBlob(): string {
  const bytes = randomBytes(BLOB_BYTES);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  blobs.set(digest, bytes);
  return digest;
}

/** In a repository below `slow` the first byte takes SLOW_MS. */
function registry(): HttpServer {
  return createHttpServer(({ url, headers }, response) => {
    const blob = blobs.get(url!.split('/').at(-1)!)!;
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(BLOB_BYTES - 1, range?.[2] ? Number(range[2]) : BLOB_BYTES - 1);
    const answer = (): void => {
      response.writeHead(range === null ? 200 : 206, {
        'content-length': to - from + 1,
        ...(range === null ? {} : { 'content-range': `bytes ${from}-${to}/${BLOB_BYTES}` }),
      });
      response.end(blob.subarray(from, to + 1));
    };
    if (url!.includes('/slow/')) setTimeout(answer, SLOW_MS);
    else answer();
  });
}

/** A root that has all blobs and sends them at `bytesPerSecond`. */
function slowRoot(bytesPerSecond: number): HttpServer {
  return createHttpServer(({ url = '' }, response) => {
    const [path = '', query = ''] = url.split('?');
    const asked = parsePread(path, query);
    if (asked === null) {
      response.end('{}');
      return;
    }
    const bytes = blobs.get(asked.key)!;
    const shard = bytes.subarray(asked.shard * SHARD_BYTES, (asked.shard + 1) * SHARD_BYTES);
    const checksum = checksumOf(shard).toString('hex');
    response.writeHead(200, {
      ...Object.fromEntries(preadHeaders(bytes.length, checksum, false)),
      'content-length': shard.length - asked.fromBytes,
    });
    const stepBytes = bytesPerSecond / 20;
    const step = (atBytes: number): void => {
      response.write(shard.subarray(atBytes, atBytes + stepBytes));
      if (atBytes + stepBytes >= shard.length) response.end();
      else if (!response.destroyed) setTimeout(step, 50, atBytes + stepBytes);
    };
    step(asked.fromBytes);
  });
}

const portOf = (server: HttpServer): number => (server.address() as AddressInfo).port;

describe('what a slow pull is told to wait for', function () {
  this.timeout(120_000);
  const nodes: LiveNode[] = [];
  let origin: HttpServer;
  let root: HttpServer;
  let collector: OtlpReceiver;
  let alone: LiveNode;
  let throttled: LiveNode;
  let child: LiveNode;
  let slowPeer: string;

  before(async () => {
    origin = registry();
    root = slowRoot(1e6);
    for (const server of [origin, root])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    collector = await OtlpReceiver.start();
    const url = `http://127.0.0.1:${portOf(origin)}`;
    slowPeer = `127.0.0.1:${portOf(root)}`;
    const start = async (role: 'agent' | 'root', ...settings: string[]): Promise<LiveNode> => {
      const node = await LiveNode.start({ url }, settings, role, collector.env);
      nodes.push(node);
      return node;
    };
    [alone, throttled, child] = (await Promise.all([
      start('agent', 'ProxyConfig.proxyConcurrencyLimit=1'),
      start('agent', 'ProxyConfig.throttleLimitMB=2'),
      start('agent', 'DeployConfig.node=127.0.0.1', `P2PConfig.roots=["${slowPeer}"]`),
    ])) as [LiveNode, LiveNode, LiveNode];
    await Promise.all([slowThenQueued(), pull(throttled, 'team/app'), pull(child, 'team/app')]);
  });
  after(() => {
    for (const node of nodes) node.remove();
    collector?.close();
    for (const server of [origin, root]) {
      server?.closeAllConnections();
      server?.close();
    }
  });

  async function pull(node: LiveNode, repository: string): Promise<void> {
    const response = await fetch(`${node.proxy}/v2/${repository}/blobs/${newBlob()}`);
    assert.equal((await response.arrayBuffer()).byteLength, BLOB_BYTES);
  }

  /** One layer at once: the second waits for the first, which waits for the registry. */
  async function slowThenQueued(): Promise<void> {
    const first = pull(alone, 'slow/app');
    const isRead = ({ msg, url }: Record<string, unknown>): boolean =>
      msg === 'a client reads a blob' && String(url).includes('/slow/');
    await until(() => alone.log.some(isRead), 'the first layer', 20_000);
    await Promise.all([first, pull(alone, 'quick/second')]);
  }

  /** The log line of the blob, the pull on the page, and the span of the request. */
  async function told(
    node: LiveNode,
    repository: string,
  ): Promise<{ line: PullStatus; page: PullStatus; span: ReceivedSpan }> {
    const isOf = ({ image }: { image?: unknown }): boolean =>
      String(image).endsWith(`/${repository}`);
    const lines = (): Record<string, unknown>[] =>
      node.log.filter((entry) => entry['msg'] === 'blob sent' && isOf(entry));
    await until(() => lines().length > 0, 'the line of the blob', 20_000);
    const { pulls } = JSON.parse(await node.get('/status/pulls')) as { pulls: PullStatus[] };
    const requestId = lines()[0]!['requestId'];
    const span = (): ReceivedSpan | undefined =>
      collector.named('blob').find(({ attributes: of }) => of['shoal.request_id'] === requestId);
    await until(() => span() !== undefined, 'the span of the request', 20_000);
    const page = pulls.find(isOf);
    assert.ok(page !== undefined, `${repository} on the page`);
    return { line: lines()[0] as unknown as PullStatus, page, span: span()! };
  }

  /** The cause that took longest, with its milliseconds. */
  function worst(waitedMs: object): [cause: string, ms: number] {
    return Object.entries(waitedMs as Record<string, number>).sort(([, a], [, b]) => b - a)[0]!;
  }

  /** The longest of the steps within a request. */
  function longestWithin(span: ReceivedSpan): ReceivedSpan {
    const ids = new Set([span.spanId]);
    const within: ReceivedSpan[] = [];
    for (let size = 0; size !== ids.size;) {
      size = ids.size;
      for (const one of collector.spans)
        if (ids.has(one.parentId) && !ids.has(one.spanId)) {
          ids.add(one.spanId);
          within.push(one);
        }
    }
    // A shard's span lasts as long as the step that it waits for.
    return within
      .filter(({ name, node }) => name !== 'shard' && node === span.node)
      .sort((a, b) => b.ms - a.ms)[0]!;
  }

  it('a registry with 2 s to its first byte', async () => {
    const { line: blobLine, page, span } = await told(alone, 'slow/app');
    // The check of the credential takes as long, beside the read.
    for (const { waitedMs } of [blobLine, page]) {
      assert.ok(['access', 'origin'].includes(worst(waitedMs)[0]), JSON.stringify(waitedMs));
      assert.ok(waitedMs.origin >= SLOW_MS * 0.8, JSON.stringify(waitedMs));
    }
    await until(
      () => ['origin', 'access check'].includes(longestWithin(span)?.name ?? ''),
      'the span of the registry',
      20_000,
    );
    assert.ok(longestWithin(span).ms >= SLOW_MS * 0.8);
  });

  it('a full queue of turns', async () => {
    const { line: blobLine, page, span } = await told(alone, 'quick/second');
    for (const { waitedMs } of [blobLine, page])
      assert.equal(worst(waitedMs)[0], 'turn', JSON.stringify(waitedMs));
    await until(
      () => longestWithin(span)?.name === 'turn',
      `the turn's span, not ${longestWithin(span)?.name}`,
      20_000,
    );
  });

  it('a throttle', async () => {
    const { line: blobLine, page, span } = await told(throttled, 'team/app');
    for (const { waitedMs } of [blobLine, page])
      assert.equal(worst(waitedMs)[0], 'throttle', JSON.stringify(waitedMs));
    const waits = Object.entries(span.attributes).filter(([key]) => key.includes('waited_ms'));
    assert.equal(worst(Object.fromEntries(waits))[0], 'shoal.waited_ms.throttle');
  });

  it('a peer at a hundredth of the speed', async () => {
    const { line: blobLine, page, span } = await told(child, 'team/app');
    for (const { waitedMs, slowestPeer } of [blobLine, page]) {
      assert.equal(worst(waitedMs)[0], 'peer', JSON.stringify({ waitedMs, slowestPeer }));
      assert.equal(slowestPeer?.node, slowPeer);
      assert.ok(slowestPeer.bytesPerSecond < 3e6, String(slowestPeer.bytesPerSecond));
    }
    await until(
      () => longestWithin(span)?.attributes['server.address'] === slowPeer,
      "the peer's span",
      20_000,
    );
    assert.equal(longestWithin(span).name, 'peer');
  });
});
