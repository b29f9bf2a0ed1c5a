import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { Envelope } from '../../lib/wire/envelope.ts';
import { fetchPath } from '../../lib/wire/fetch.ts';
import { preadPath } from '../../lib/wire/pread.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { digestOf } from './image.ts';
import { MANIFEST_TYPE, send, serve } from './matrix-servers.ts';
import { until } from '../telemetry/until.ts';
import { httpGet, ShoalNode, type Answer } from './node.ts';
import { freePorts } from '../free-ports.ts';

const SECRET = 'a secret of thirty-two characters';
const OWNER = 'Bearer owner';
const PLACES = ['memory', 'disk', 'runtime', 'peer', 'origin'] as const;
/** The signature that the object storage accepts, and one that it gave to somebody else. */
const [SIGNED, OTHERS] = ['?Signature=owner', '?Signature=another'];

/** Where in a path of object storage a blob lies. */
const storePath = (digest: string): string =>
  `/docker/registry/v2/blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}/data`;

/**
 * Who asks x where the bytes are x what is asked. A client without a right gets what the registry
 * says to it, and never a byte of the private blobs. These cells are left out:
 * - a signed URL x manifest, preheat: a signature opens one object, and both ask a registry;
 * - who reaches the p2p port x what the proxy port serves (manifest, HEAD, on-demand, trace,
 *   status): that port has none of them;
 * - a compromised node x blob: it holds the cluster secret, with which every node may ask for what
 *   others keep (SECURITY.md); it cannot change what they serve, which is tested here.
 */
describe('e2e: access matrix', () => {
  let dir: string;
  let registry: Server;
  let registryHost: string;
  let listed: Server;
  let listedHost: string;
  let storage: Server;
  let storageHost: string;
  let nodes: ShoalNode[];
  /** Credentials that the registry accepts for `team/private`. */
  const accepted = new Set([OWNER]);
  const blobs = new Map<string, Buffer>();
  const private_ = Object.fromEntries(
    PLACES.map((place) => [place, randomBytes(2_500_000)]),
  ) as Record<(typeof PLACES)[number], Buffer>;
  const digests = {} as Record<(typeof PLACES)[number], string>;
  const public_ = randomBytes(300_000);
  /** A private manifest for each place. */
  const manifests = Object.fromEntries(
    PLACES.map((place) => [
      place,
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MANIFEST_TYPE,
          config: { place },
          layers: [],
        }),
      ),
    ]),
  ) as Record<(typeof PLACES)[number], Buffer>;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-matrix-'));
    for (const place of PLACES) {
      digests[place] = digestOf(private_[place]);
      blobs.set(digests[place], private_[place]);
      blobs.set(digestOf(manifests[place]), manifests[place]);
    }
    blobs.set(digestOf(public_), public_);
    [registry, registryHost] = await serve('127.0.0.1', answerAsRegistry);
    [listed, listedHost] = await serve('127.0.0.2', answerAsStranger);
    [storage, storageHost] = await serve('127.0.0.3', answerAsStorage);
    const secretFile = join(dir, 'secret');
    await writeFile(secretFile, SECRET, { mode: 0o600 });
    const ports = await freePorts(2);
    const peers = ports.map((port) => `127.0.0.1:${port}`);
    const content = join(dir, 'content');
    const committed = join(content, 'blobs/sha256');
    await mkdir(committed, { recursive: true });
    for (const bytes of [private_.runtime, manifests.runtime])
      await writeFile(join(committed, digestOf(bytes).slice(7)), bytes);
    const start = (at: number): Promise<ShoalNode> =>
      ShoalNode.start(join(dir, `node-${at}`), {
        // Every right is proven anew: what was accepted a moment ago must not decide a cell.
        ProxyConfig: {
          registries: [{ upstream: `http://${registryHost}`, storage: ['127.0.0.3'] }],
          allow: ['127.0.0.2'],
          accessTtl: 0,
        },
        P2PConfig: { port: ports[at], peers, secretFile },
        CacheConfig: { runtimeStore: at === 0 ? content : 'off' },
        ExporterConfig: { enable: true, port: 0 },
      });
    nodes = await Promise.all([start(0), start(1)]);
    // Brings each blob to the place it is asked for at: node 0 is the one under test.
    const read = async (at: number, place: (typeof PLACES)[number]): Promise<void> => {
      for (const path of [`blobs/${digests[place]}`, `manifests/${digestOf(manifests[place])}`]) {
        const answer = await nodes[at]!.get(`/v2/team/private/${path}`, {
          authorization: OWNER,
          accept: MANIFEST_TYPE,
        });
        assert.equal(digestOf(answer.body), path.slice(path.indexOf('/') + 1));
      }
    };
    await read(0, 'disk');
    await nodes[0]!.stop();
    nodes[0] = await start(0);
    await read(0, 'memory');
    await read(1, 'peer');
    await until(hasReadRuntimeStore, 'the blob of the runtime to be known', 30_000);
  });

  after(async () => {
    await Promise.all(nodes?.map((node) => node.stop()) ?? []);
    registry?.closeAllConnections();
    registry?.close();
    listed?.closeAllConnections();
    listed?.close();
    storage?.closeAllConnections();
    storage?.close();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  function answerAsRegistry(request: IncomingMessage, response: ServerResponse): void {
    const [, repository, reference = ''] =
      /^\/v2\/(.+)\/(?:blobs|manifests)\/([^/?]+)/.exec(request.url!) ?? [];
    const { authorization } = request.headers;
    if (repository === undefined) {
      response.writeHead(200).end('{}');
      return;
    }
    const mayRead =
      repository === 'team/public' ||
      (repository === 'team/mine' && authorization === 'Bearer mine') ||
      (repository === 'team/private' && accepted.has(authorization ?? ''));
    if (!mayRead) {
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="x"' }).end();
      return;
    }
    const isThere =
      repository === 'team/private' ||
      (repository === 'team/public' && reference === digestOf(public_));
    const blob = isThere ? blobs.get(reference) : undefined;
    if (blob === undefined) response.writeHead(404).end();
    else send(request, response, blob);
  }

  /** The registry's object storage: a signature opens one object, for its time. */
  function answerAsStorage(request: IncomingMessage, response: ServerResponse): void {
    const digest = /sha256\/[0-9a-f]{2}\/([0-9a-f]{64})\/data/.exec(request.url!)?.[1];
    const blob = blobs.get(`sha256:${digest}`);
    if (blob === undefined) response.writeHead(404).end();
    else if (!request.url!.endsWith(SIGNED))
      response.writeHead(403).end('<Code>AccessDenied</Code>');
    else send(request, response, blob);
  }

  async function hasReadRuntimeStore(): Promise<boolean> {
    const answer = await httpGet(nodes[0]!.exporterPort!, '/status');
    const { runtimeStore } = JSON.parse(answer.body.toString()) as {
      runtimeStore: { unverified: number; blobs: number };
    };
    return runtimeStore.blobs > 0 && runtimeStore.unverified === 0;
  }

  /** A host on the allow-list that answers everything, with the right sizes and digests. */
  function answerAsStranger(request: IncomingMessage, response: ServerResponse): void {
    const digest = /sha256[:/](?:[0-9a-f]{2}\/)?([0-9a-f]{64})/.exec(request.url!)?.[1];
    const size = blobs.get(`sha256:${digest}`)?.length ?? 9;
    response.setHeader('docker-content-digest', `sha256:${digest}`);
    send(request, response, Buffer.alloc(size));
  }

  function assertNothingForeign({ body }: Answer, cell: string): void {
    for (const [name, bytes] of Object.entries(private_))
      for (let at = 0; at < bytes.length; at += 65_536)
        assert.equal(body.indexOf(bytes.subarray(at, at + 16)), -1, `${cell}: bytes of ${name}`);
    for (const [place, bytes] of Object.entries(manifests))
      assert.equal(body.indexOf(bytes), -1, `${cell}: the manifest in ${place}`);
  }

  /** Every way to ask for a blob, and the status that the registry's answer leads to. */
  const asked = (
    repository: string,
    place: (typeof PLACES)[number],
  ): [path: string, more: object, ok: number][] => {
    const digest = digests[place];
    const manifest = `/v2/${repository}/manifests/${digestOf(manifests[place])}`;
    return [
      [`/v2/${repository}/blobs/${digest}`, {}, 200],
      [`/v2/${repository}/blobs/${digest}`, { range: 'bytes=100-199' }, 206],
      [`/v2/${repository}/blobs/${digest}`, { method: 'HEAD' }, 200],
      [manifest, { accept: MANIFEST_TYPE }, 200],
      [manifest, { accept: MANIFEST_TYPE, method: 'HEAD' }, 200],
      [`/accelerator/http://${registryHost}/v2/${repository}/blobs/${digest}`, {}, 200],
      [`/shoal/preheat/127.0.0.1:${nodes[0]!.p2pPort}/v2/${repository}/blobs/${digest}`, {}, 200],
    ];
  };

  /** What tells of all blobs or of one: it may not name them to a client without a right. */
  async function assertNothingTold(headers: Record<string, string>, cell: string): Promise<void> {
    for (const path of ['/shoal/trace?seconds=600', '/shoal/nodes', '/status', '/metrics'])
      for (const port of [nodes[0]!.proxyPort, nodes[0]!.exporterPort!]) {
        const { body } = await httpGet(port, path, headers);
        for (const digest of blobs.keys())
          assert.ok(!body.includes(digest.slice(7, 31)), `${cell}: ${path} tells ${digest}`);
      }
  }

  async function get(path: string, more: Record<string, string>): Promise<Answer> {
    const { method = 'GET', ...headers } = more;
    return nodes[0]!.get(path, headers, method);
  }

  const strangers: [
    who: string,
    repository: string,
    authorization: string | null,
    status: number,
  ][] = [
    ['no credential', 'team/private', null, 401],
    ['a wrong credential', 'team/private', 'Bearer wrong', 401],
    ["another repository's credential", 'team/private', 'Bearer mine', 401],
    ['the own repository', 'team/mine', 'Bearer mine', 404],
    ['a public repository', 'team/public', null, 404],
    ['a revoked credential', 'team/private', 'Bearer revoked', 401],
    ['an expired credential', 'team/private', 'Bearer expired', 401],
  ];
  for (const place of PLACES)
    for (const [who, repository, authorization, status] of strangers)
      it(`${who}, bytes in ${place}: the registry's answer`, async () => {
        if (authorization !== null && /revoked|expired/.test(authorization)) {
          accepted.add(authorization);
          // A revoked one has read from memory before, an expired one this very blob.
          const digest = who === 'a revoked credential' ? digests.memory : digests[place];
          const path = `/v2/team/private/blobs/${digest}`;
          const before = await get(path, { authorization, range: 'bytes=0-9' });
          assert.equal(before.status, 206);
          accepted.delete(authorization);
        }
        const headers: Record<string, string> = authorization === null ? {} : { authorization };
        await assertNothingTold(headers, `${who}, ${place}`);
        for (const [path, more] of asked(repository, place)) {
          const answer = await get(path, { ...headers, ...more });
          const cell = `${who}, ${place}, ${path} ${JSON.stringify(more)}`;
          // A signed URL has no Authorization: an on-demand read carries what the client sent.
          assert.equal(answer.status, status, cell);
          assertNothingForeign(answer, cell);
        }
      });

  for (const place of PLACES)
    it(`the signed URL of another, bytes in ${place}: what the storage says`, async () => {
      const url = `/accelerator/http://${storageHost}${storePath(digests[place])}`;
      for (const query of [OTHERS, ''])
        for (const more of [{}, { range: 'bytes=100-199' }, { method: 'HEAD' }]) {
          const answer = await get(`${url}${query}`, more as Record<string, string>);
          const cell = `${place}, ${query} ${JSON.stringify(more)}`;
          assert.equal(answer.status, 403, cell);
          assertNothingForeign(answer, cell);
        }
      const own = await get(`${url}${SIGNED}`, { range: 'bytes=100-199' });
      assert.deepEqual(own.body, private_[place].subarray(100, 200));
    });

  for (const place of PLACES)
    it(`a client's host under the digest, bytes in ${place}: that host's bytes`, async () => {
      const digest = digests[place];
      for (const path of [
        `/accelerator/http://${listedHost}${storePath(digest)}?Signature=1`,
        `/accelerator/http://${listedHost}/v2/team/private/blobs/${digest}`,
        `/v2/team/private/blobs/${digest}?ns=${listedHost}`,
        `/v2/team/private/manifests/${digestOf(manifests[place])}?ns=${listedHost}`,
        `/v2/team/private/manifests/latest?ns=${listedHost}`,
      ])
        for (const more of [{}, { range: 'bytes=100-199' }, { method: 'HEAD' }]) {
          const answer = await get(path, more as Record<string, string>);
          assertNothingForeign(answer, `${place}, ${path}`);
          assert.ok(answer.body.length < 10_000 || answer.body.every((byte) => byte === 0));
        }
      const owner = await get(`/v2/team/private/blobs/${digest}`, {
        authorization: OWNER,
        range: `bytes=${SHARD_BYTES}-${SHARD_BYTES + 99}`,
      });
      assert.equal(owner.status, 206);
      assert.deepEqual(owner.body, private_[place].subarray(SHARD_BYTES, SHARD_BYTES + 100));
    });

  it('the p2p port: refuses no signature, an old one, one of another request', async () => {
    const self = `127.0.0.1:${nodes[0]!.p2pPort}`;
    const path = (digest: string): string =>
      preadPath({
        key: digest,
        shard: 0,
        fromBytes: 0,
        node: '127.0.0.1:1',
        zone: null,
        role: 'parent',
        exclude: [],
        hops: 0,
        load: 0,
        holdMs: 1000,
      });
    const secret = new ClusterSecret(Buffer.from(SECRET));
    const envelope = (agoMs: number, other = secret): Envelope =>
      new Envelope({ secret: other, self: '127.0.0.1:1', wallMs: () => Date.now() - agoMs });
    const foreign = new ClusterSecret(Buffer.alloc(32, 7));
    for (const digest of [...Object.values(digests), ...Object.values(manifests).map(digestOf)]) {
      const wanted = path(digest);
      for (const headers of [
        {},
        envelope(0, foreign).headers(self, wanted),
        envelope(120_000).headers(self, wanted),
        envelope(0).headers(self, path(digestOf(public_))),
        envelope(0).headers('127.0.0.1:2', wanted),
      ]) {
        const answer = await httpGet(nodes[0]!.p2pPort, wanted, headers);
        assert.ok([400, 401, 421, 426].includes(answer.status), String(answer.status));
        assertNothingForeign(answer, 'p2p');
      }
      for (const method of ['stat', 'fetch', 'tree'])
        for (const headers of [{}, envelope(0).headers(self, wanted)]) {
          const answer = await httpGet(nodes[0]!.p2pPort, `/rpc/${method}/${digest}/0`, headers);
          assert.ok([401, 426].includes(answer.status), `${method}: ${answer.status}`);
          assertNothingForeign(answer, method);
        }
    }
  });

  it('a compromised node cannot fill a digest from its own host', async () => {
    const digest = digests.origin;
    const self = `127.0.0.1:${nodes[0]!.p2pPort}`;
    const origin = {
      url: `http://${listedHost}${storePath(digest)}`,
      upstreamHost: listedHost,
      authorization: null,
    };
    const envelope = new Envelope({
      secret: new ClusterSecret(Buffer.from(SECRET)),
      self: '127.0.0.1:1',
      wallMs: () => Date.now(),
    });
    for (const path of [
      fetchPath({ key: digest, totalBytes: 2_500_000 }),
      ...[0, 1].map((shard) =>
        preadPath({
          key: digest,
          shard,
          fromBytes: 0,
          node: '127.0.0.1:1',
          zone: null,
          role: 'owner',
          exclude: [],
          hops: 0,
          load: 0,
          holdMs: 1000,
        }),
      ),
    ])
      await httpGet(nodes[0]!.p2pPort, path, envelope.headers(self, path, { origin }));
    const metrics = await httpGet(nodes[0]!.exporterPort!, '/metrics');
    assert.match(metrics.body.toString(), /^shoal_unvouched_origins_total [1-9]/m);
    const owner = await get(`/v2/team/private/blobs/${digest}`, { authorization: OWNER });
    assert.equal(digestOf(owner.body), digest);
  });

  it('all clients: no digest in status, page, metrics, trace or list of nodes', async () => {
    const told = await Promise.all([
      ...['/status', '/', '/metrics', '/readyz', `/status/tree?blob=${digests.memory}`].map(
        async (path) => (await httpGet(nodes[0]!.exporterPort!, path)).body.toString(),
      ),
      ...['/shoal/trace?seconds=600', '/shoal/nodes'].map(async (path) =>
        (await get(path, {})).body.toString(),
      ),
    ]);
    const shown = told.map((text) => text.replaceAll(`"blob":"${digests.memory}"`, ''));
    for (const text of shown)
      for (const digest of blobs.keys()) assert.ok(!text.includes(digest.slice(7, 31)), digest);
  });

  it('a client with the right: everything, wherever the bytes are', async () => {
    for (const place of PLACES)
      for (const [path, more, ok] of asked('team/private', place)) {
        const answer = await get(path, { authorization: OWNER, ...more });
        assert.equal(answer.status, ok, `${place}, ${path}`);
      }
    const open = await get(`/v2/team/public/blobs/${digestOf(public_)}`, {});
    assert.deepEqual(open.body, public_);
  });
});
