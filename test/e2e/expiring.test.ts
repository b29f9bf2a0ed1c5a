import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { Line } from '../../lib/demo/line.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { parseRange, resolveRange } from '../../lib/registry/range.ts';
import { freePorts } from '../free-ports.ts';
import { answer, OriginServer } from '../origin/origin-server.ts';
import { digestOf, noise } from './image.ts';
import { ShoalNode } from './node.ts';
import { scratchFolder } from './scratch-folder.ts';

const BLOB_BYTES = 6 * SHARD_BYTES;
const BLOB_SECONDS = 1.5;
/** A right ends when so much of the blob was sent since it was given. */
const RIGHT_BYTES = 1.5 * SHARD_BYTES;
/** What tokens and URLs say: soon. */
const RIGHT_SECONDS = 15;
const CHUNK_BYTES = 32 * 1024;

/** What ends in the middle of a blob. */
const KINDS = [
  ['a JWT, the registry sends the blob', { token: 'jwt', place: 'registry' }],
  ['an opaque token, a store sends the blob', { token: 'opaque', place: 'lasting store' }],
  ['the URL of the store', { token: 'lasting', place: 'ending store' }],
  ['a JWT and the URL of the store', { token: 'jwt', place: 'ending store' }],
  ['a signed URL of a client', { token: 'none', place: 'signed' }],
] as const;
type Kind = (typeof KINDS)[number][1];

/** A blob with one client. */
interface Case {
  kind: Kind;
  bytes: Buffer;
  digest: string;
  line: Line;
  endsAtBytes: number;
  heldFromBytes: number | null;
  sentBytes: number;
  refusals: number;
}

describe('e2e: rights that end in the middle of a blob', () => {
  let dir: string;
  const cases = new Map<string, Case>();
  const servers: OriginServer[] = [];
  const nodes: ShoalNode[] = [];

  /** Checks, and requests for bytes before those of the long one, come while the right is there. */
  function ended(one: Case, { headers: { range } }: IncomingMessage): boolean {
    const { from, isLong } = rangeOf(range);
    if (one.heldFromBytes !== null) return from > 0 && from >= one.heldFromBytes;
    return !isLong && one.sentBytes >= one.endsAtBytes;
  }

  function refuse(one: Case, response: ServerResponse, status: number): void {
    one.refusals++;
    answer(response, status, '', status === 401 ? { 'www-authenticate': 'Bearer realm="r"' } : {});
  }

  async function send(
    one: Case,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { from, isLong } = rangeOf(request.headers.range);
    if (isLong) one.heldFromBytes = from;
    const span = resolveRange(parseRange(request.headers.range), one.bytes.length);
    response.writeHead(span.status, {
      'content-length': span.endBytes - span.startBytes,
      ...(span.contentRange === undefined ? {} : { 'content-range': span.contentRange }),
    });
    if (request.method === 'HEAD') return void response.end();
    for (let at = span.startBytes; at < span.endBytes && !response.destroyed; at += CHUNK_BYTES) {
      const chunk = one.bytes.subarray(at, Math.min(at + CHUNK_BYTES, span.endBytes));
      await one.line.pass(chunk.length);
      one.sentBytes += chunk.length;
      if (!response.write(chunk) && !response.destroyed)
        await new Promise<void>((resolve) =>
          response.once('drain', resolve).once('close', resolve),
        );
    }
    response.end();
  }

  const caseOf = ({ url = '' }: IncomingMessage): Case | undefined =>
    cases.get(/sha256[:/](?:[0-9a-f]{2}\/)?([0-9a-f]{64})/.exec(url)?.[1] ?? '');

  before(async () => {
    dir = await scratchFolder();
    const store = await OriginServer.start((request, response) => {
      const one = caseOf(request);
      if (one === undefined) return answer(response, 404);
      if (one.kind.place !== 'lasting store' && ended(one, request)) refuse(one, response, 403);
      else void send(one, request, response);
    });
    const registry = await OriginServer.start((request, response) => {
      const one = caseOf(request);
      if (one === undefined) return answer(response, 200, '{}');
      const { token, place } = one.kind;
      if (token !== 'lasting' && ended(one, request)) return refuse(one, response, 401);
      if (place === 'registry') return void send(one, request, response);
      // Each redirect is signed anew.
      if (token === 'lasting') one.endsAtBytes = one.sentBytes + RIGHT_BYTES;
      answer(response, 307, '', { location: urlAt(store, one) });
    });
    servers.push(registry, store);
    const secretFile = join(dir, 'secret');
    await writeFile(secretFile, 'ab'.repeat(32), { mode: 0o600 });
    const ports = await freePorts(2);
    const peers = ports.map((port) => `127.0.0.1:${port}`);
    const start = (name: string, P2PConfig: Record<string, unknown>): Promise<ShoalNode> =>
      ShoalNode.start(join(dir, name), {
        ProxyConfig: {
          port: 0,
          registries: [{ upstream: registry.url, storage: [store.host] }],
          allow: ['127.0.0.1'],
        },
        P2PConfig,
      });
    nodes.push(
      ...(await Promise.all([
        start('alone', { port: 0 }),
        ...ports.map((port, at) => start(`peer${at}`, { port, peers, secretFile })),
      ])),
    );
  });

  after(async () => {
    await Promise.all([...nodes, ...servers].map((one) => one.stop()));
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const urlAt = ({ url }: OriginServer, { digest }: Case): string => {
    const hex = digest.slice('sha256:'.length);
    const seconds = Math.ceil(Date.now() / 1_000) + RIGHT_SECONDS;
    return `${url}/sha256/${hex.slice(0, 2)}/${hex}/data?Expires=${seconds}&Signature=x`;
  };

  let seed = 100;
  /** One client's pull of a blob nobody has; returns what is wrong. */
  async function pull(node: ShoalNode, what: string, kind: Kind): Promise<string[]> {
    const bytes = noise(BLOB_BYTES, seed++);
    const digest = digestOf(bytes);
    const line = new Line(BLOB_BYTES / BLOB_SECONDS, systemClock);
    const one: Case = {
      kind,
      bytes,
      digest,
      line,
      endsAtBytes: RIGHT_BYTES,
      heldFromBytes: null,
      sentBytes: 0,
      refusals: 0,
    };
    cases.set(digest.slice('sha256:'.length), one);
    const exp = Math.ceil(Date.now() / 1_000) + RIGHT_SECONDS;
    const claims = Buffer.from(JSON.stringify({ exp })).toString('base64url');
    const token = kind.token === 'jwt' ? `e30.${claims}.c2ln` : 'opaque';
    const [path, headers] =
      kind.token === 'none'
        ? [`/accelerator/${urlAt(servers[1]!, one)}`, {}]
        : [`/v2/team/app/blobs/${digest}`, { authorization: `Bearer ${token}` }];
    const got = await node.get(path, headers).catch((error: Error) => error.message);
    const sent = one.sentBytes / BLOB_BYTES;
    const outcome = typeof got === 'string' ? got : `${got.status}, ${got.body.length} bytes`;
    const isGood = typeof got !== 'string' && got.status === 200 && got.body.equals(bytes);
    const refusals = `${one.refusals} refusals`;
    return [
      ...(isGood ? [] : [`${what}: ${outcome}; ${refusals}`]),
      ...(sent <= 1.5 ? [] : [`${what}: ${sent.toFixed(2)} times the blob was sent`]),
    ];
  }

  for (const [at, way] of ['one node', 'the first of two nodes', 'the second'].entries())
    it(`the blob arrives through ${way}`, async () => {
      const faults = await Promise.all(KINDS.map(([what, kind]) => pull(nodes[at]!, what, kind)));
      assert.deepEqual(faults.flat(), []);
    });
});

function rangeOf(range: string | undefined): { from: number; isLong: boolean } {
  const [, from = '0', to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  return { from: Number(from), isLong: to === '' };
}
