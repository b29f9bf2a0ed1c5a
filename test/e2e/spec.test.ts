import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { zstdCompressSync } from 'node:zlib';
import { answer, OriginServer, serveRanges } from '../origin/origin-server.ts';
import { digestOf, noise } from './image.ts';
import { ShoalNode, type Answer } from './node.ts';
import { freePorts } from '../free-ports.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const DOCKER = 'application/vnd.docker.distribution.manifest.v2+json';
const EVERY = [
  INDEX,
  MANIFEST,
  DOCKER,
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');

interface Document {
  type: string;
  bytes: Buffer;
  digest: string;
}

const document = (type: string, value: object): Document => {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, ...value }));
  return { type, bytes, digest: digestOf(bytes) };
};
const blob = (bytes: Buffer): { bytes: Buffer; digest: string; size: number } => ({
  bytes,
  digest: digestOf(bytes),
  size: bytes.length,
});

const config = blob(Buffer.from('{}'));
const zstd = blob(zstdCompressSync(noise(100_000, 1)));
const foreign = blob(noise(10_000, 2));
const [amd64, arm64] = ['amd64', 'arm64'].map((architecture) =>
  document(MANIFEST, {
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: config.digest,
      size: config.size,
    },
    layers: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd',
        digest: zstd.digest,
        size: zstd.size,
      },
    ],
    annotations: { architecture },
  }),
) as [Document, Document];
const index = document(INDEX, {
  manifests: [amd64, arm64].map(({ type, bytes, digest }) => ({
    mediaType: type,
    digest,
    size: bytes.length,
  })),
});
const windows = document(DOCKER, {
  config: {
    mediaType: 'application/vnd.docker.container.image.v1+json',
    digest: config.digest,
    size: config.size,
  },
  layers: [
    {
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      digest: foreign.digest,
      size: foreign.size,
      urls: ['https://vendor.example/layer'],
    },
  ],
});
const chosen = document(DOCKER, {
  config: { digest: config.digest, size: config.size },
  layers: [],
});

describe('e2e: other parts of the distribution-spec', () => {
  let dir: string;
  let registry: OriginServer;
  let nodes: ShoalNode[] = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    registry = await OriginServer.start(serve);
    const ports = await freePorts(2);
    nodes = await Promise.all(
      ports.map((port, at) =>
        ShoalNode.start(join(dir, `node-${at}`), {
          ProxyConfig: { registries: [{ upstream: registry.url }] },
          P2PConfig: { port, peers: ports.map((peer) => `127.0.0.1:${peer}`) },
        }),
      ),
    );
  });

  after(async () => {
    await Promise.all([...nodes.map((node) => node.stop()), registry?.stop()]);
    await rm(dir, { recursive: true });
  });

  beforeEach(() => void registry.seen.splice(0));

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const [path = '', query = ''] = request.url!.split('?');
    const send = ({ type, bytes, digest }: Document): void =>
      answer(response, 200, bytes, { 'content-type': type, 'docker-content-digest': digest });
    const [, name, kind, reference] =
      /^\/v2\/(.+)\/(manifests|blobs|referrers|tags)\/(.+)$/.exec(path) ?? [];
    if (kind === 'tags')
      return answer(response, 200, '{"name":"app","tags":["v2"]}', {
        'content-type': 'application/json',
        link: '</v2/app/tags/list?n=1&last=v2>; rel="next"',
      });
    if (kind === 'referrers') {
      return answer(response, 200, '{"schemaVersion":2,"manifests":[]}', {
        'content-type': INDEX,
        ...(query === '' ? {} : { 'oci-filters-applied': 'artifactType' }),
        link: `<${path}?page=2>; rel="next"`,
      });
    }
    if (kind === 'blobs') {
      const found = [config, zstd, ...(name === 'windows' ? [] : [foreign])].find(
        ({ digest }) => digest === reference,
      );
      return found === undefined
        ? answer(response, 404, '{"errors":[{"code":"BLOB_UNKNOWN"}]}', {
            'content-type': 'application/json',
          })
        : serveRanges(found.bytes)(request, response);
    }
    if (reference === 'old')
      return answer(response, 200, '{"schemaVersion":1}', {
        'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws',
      });
    if (reference === 'negotiated') return send(request.headers.accept === DOCKER ? chosen : index);
    const found =
      reference === 'latest'
        ? name === 'windows'
          ? windows
          : index
        : [index, amd64, arm64, windows].find(({ digest }) => digest === reference);
    return found === undefined
      ? answer(response, 404, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
      : send(found);
  }

  const get = (node: ShoalNode, path: string, accept = EVERY, method = 'GET'): Promise<Answer> =>
    node.get(`/v2/${path}`, { accept }, method);
  const asked = (method: string, part: string): number =>
    registry.seen.filter((request) => request.method === method && request.url.includes(part))
      .length;

  it('multi-arch: the index and one platform, each manifest from the registry once', async () => {
    // As containerd reads them, with any number of nodes.
    for (const node of nodes) {
      const resolved = await get(node, 'app/manifests/latest', EVERY, 'HEAD');
      assert.deepEqual(
        [
          resolved.status,
          resolved.headers['docker-content-digest'],
          resolved.headers['content-type'],
        ],
        [200, index.digest, INDEX],
      );
      for (const { digest, type, bytes } of [index, arm64]) {
        const manifest = await get(node, `app/manifests/${digest}`);
        assert.deepEqual(
          [
            manifest.status,
            manifest.headers['content-type'],
            manifest.headers['docker-content-digest'],
            manifest.headers.warning,
          ],
          [200, type, digest, undefined],
        );
        assert.ok(manifest.body.equals(bytes));
      }
    }
    assert.deepEqual(
      [
        asked('HEAD', 'latest'),
        asked('GET', index.digest),
        asked('GET', arm64.digest),
        asked('GET', amd64.digest),
      ],
      [2, 1, 1, 0],
    );
    assert.equal(
      registry.seen.find(({ url }) => url.includes(arm64.digest))!.headers.accept,
      MANIFEST,
    );
  });

  it('zstd layers: unchanged bytes', async () => {
    const layer = await get(nodes[0]!, `app/blobs/${zstd.digest}`);
    assert.deepEqual(
      [
        layer.headers['content-encoding'],
        layer.headers['content-type'],
        layer.body.equals(zstd.bytes),
      ],
      [undefined, 'application/octet-stream', true],
    );
  });

  it('foreign layers: the manifest is unchanged and gives no right to the blob', async () => {
    const [node] = nodes as [ShoalNode, ShoalNode];
    assert.ok(
      (await get(node, `app/blobs/${foreign.digest}`)).body.equals(foreign.bytes),
      'another repository holds it',
    );
    const manifest = await get(node, 'windows/manifests/latest');
    assert.ok(manifest.body.equals(windows.bytes));
    assert.equal((await get(node, `windows/blobs/${foreign.digest}`)).status, 404);
    assert.equal((await get(node, `windows/blobs/${config.digest}`)).status, 200);
  });

  it('referrers and tags: query, OCI-Filters-Applied and Link go through', async () => {
    const path = `app/referrers/${index.digest}`;
    const filtered = await get(nodes[0]!, `${path}?artifactType=application%2Fvnd.example%2Bjson`);
    assert.deepEqual(
      [
        filtered.status,
        filtered.headers['content-type'],
        filtered.headers['oci-filters-applied'],
        filtered.headers.link,
      ],
      [200, INDEX, 'artifactType', `</v2/${path}?page=2>; rel="next"`],
    );
    assert.equal(
      registry.seen.at(-1)!.url,
      `/v2/${path}?artifactType=application%2Fvnd.example%2Bjson`,
    );
    assert.equal((await get(nodes[0]!, path)).headers['oci-filters-applied'], undefined);
    const tags = await get(nodes[0]!, 'app/tags/list?n=1&last=v1');
    assert.deepEqual(
      [tags.status, tags.headers.link],
      [200, '</v2/app/tags/list?n=1&last=v2>; rel="next"'],
    );
    assert.equal(registry.seen.at(-1)!.url, '/v2/app/tags/list?n=1&last=v1');
  });

  it('Accept: the registry chooses from the types that the client sent', async () => {
    for (const [accept, expected] of [
      [DOCKER, chosen],
      [EVERY, index],
    ] as const) {
      const manifest = await get(nodes[0]!, 'app/manifests/negotiated', accept);
      assert.deepEqual(
        [manifest.headers['content-type'], registry.seen.at(-1)!.headers.accept],
        [expected.type, accept],
      );
    }
    assert.equal(
      (await get(nodes[0]!, `app/manifests/${index.digest}`, DOCKER)).headers['content-type'],
      INDEX,
      'what the registry says to it',
    );
    assert.equal(registry.seen.at(-1)!.headers.accept, DOCKER);
  });

  it('schema 1: refused with an OCI error that names it', async () => {
    const refused = await get(nodes[0]!, 'app/manifests/old');
    const { errors } = JSON.parse(refused.body.toString()) as {
      errors: { code: string; message: string; detail: { code: string } }[];
    };
    assert.deepEqual(
      [refused.status, errors[0]!.code, errors[0]!.detail.code],
      [406, 'UNSUPPORTED', 'SCHEMA1_UNSUPPORTED'],
    );
    assert.match(errors[0]!.message, /schema 1/);
  });
});
