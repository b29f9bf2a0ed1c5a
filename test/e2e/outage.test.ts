import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs } from '../programs.ts';
import { Containerd } from './containerd.ts';
import { tryRun, withHosts, type Finished } from './daemon.ts';
import { digestOf, makeImage, type TestImage } from './image.ts';
import { ShoalNode, type Answer } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { TokenServer } from './token-server.ts';
import { freePorts } from '../free-ports.ts';

const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');
/** bcrypt of "wonder" and "builder". */
const HTPASSWD = [
  'alice:$2b$05$abcdefghijklmnopqrstuuLZNkQ1VL/QsuI/EN8Qq4Ia5232KBp7m',
  'bob:$2b$05$bbcdefghijklmnopqrstuuW.uLGujJqVQZvJxvrThC1lrWEZ2Cl4a',
  '',
].join('\n');
const basic = (login: string): string => `Basic ${Buffer.from(login).toString('base64')}`;

/**
 * Three registries are pulled from through the first of two nodes; then they stop, and the second
 * node has never heard of them.
 */
describe('e2e: the registry stops after one pull', () => {
  let dir: string;
  let image: TestImage;
  let tokens: TokenServer;
  let token: string;
  let open: DockerRegistry;
  let behindPassword: DockerRegistry;
  let behindTokens: DockerRegistry;
  let nodes: ShoalNode[] = [];
  let second: ShoalNode;
  let containerd: Containerd | undefined;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo');
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    image = await makeImage(join(dir, 'image'), [3_000_000, 2_000], 1);
    const htpasswdFile = join(dir, 'htpasswd');
    await writeFile(htpasswdFile, HTPASSWD);
    const secretFile = join(dir, 'secret');
    await writeFile(secretFile, 'a secret of thirty-two characters', { mode: 0o600 });
    tokens = await TokenServer.start(dir, {
      alice: { password: 'wonder', repositories: ['team/app'] },
      carol: { password: 'sings', repositories: ['team/app'] },
    });
    token = tokens.token('alice', 'team/app');
    [open, behindPassword, behindTokens] = (await Promise.all(
      [undefined, { htpasswdFile }, tokens].map(async (auth, index) => {
        const registryDir = join(dir, `registry-${index}`);
        await mkdir(registryDir);
        return DockerRegistry.start(registryDir, auth);
      }),
    )) as [DockerRegistry, DockerRegistry, DockerRegistry];
    await Promise.all([
      open.push(image, 'team/app'),
      behindPassword.push(image, 'team/app', 'alice:wonder'),
      behindTokens.push(image, 'team/app', 'alice:wonder'),
    ]);
    await open.push(image, 'team/unseen');
    const ports = await freePorts(2);
    nodes = await Promise.all(
      ports.map((port, index) =>
        ShoalNode.start(join(dir, `node-${index}`), {
          // By which name a client reaches the node says which registry it means.
          ProxyConfig: {
            registries: [
              { upstream: `http://${open.host}` },
              { p2pHost: 'localhost', upstream: `http://${behindPassword.host}` },
              { p2pHost: 'tokens', upstream: `http://${behindTokens.host}` },
            ],
          },
          CacheConfig: { capacity: 32 * 1024 * 1024 },
          P2PConfig: { port, peers: ports.map((peer) => `127.0.0.1:${peer}`), secretFile },
        }),
      ),
    );
    const [first] = nodes as [ShoalNode, ShoalNode];
    second = nodes[1]!;
    await assertCopied(await copy(first.proxyHost, 'team/app:test', 'open'), 'open');
    await assertCopied(
      await copy(`localhost:${first.proxyPort}`, 'team/app:test', 'password', [
        '--src-creds',
        'alice:wonder',
      ]),
      'password',
    );
    // A client that pulls with a token it has: by tag, then what the manifest names.
    for (const path of [
      'manifests/test',
      `blobs/${image.config.digest}`,
      ...image.layers.map(({ digest }) => `blobs/${digest}`),
    ]) {
      const headers = { host: 'tokens', accept: MANIFEST_TYPES };
      assert.equal((await first.get(`/v2/team/app/${path}`, headers)).status, 401);
      assert.equal(
        (await first.get(`/v2/team/app/${path}`, { ...headers, authorization: `Bearer ${token}` }))
          .status,
        200,
        path,
      );
    }
    await Promise.all([open.stop(), behindPassword.stop(), behindTokens.stop()]);
  });

  after(async () => {
    await Promise.all([
      ...nodes.map((node) => node.stop()),
      containerd?.stop(),
      tokens?.stop(),
      open?.stop(),
      behindPassword?.stop(),
      behindTokens?.stop(),
    ]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const copy = (
    host: string,
    reference: string,
    target: string,
    options: string[] = [],
  ): Promise<Finished> =>
    tryRun('skopeo', [
      'copy',
      '--src-tls-verify=false',
      '--preserve-digests',
      ...options,
      `docker://${host}/${reference}`,
      `dir:${join(dir, target)}`,
    ]);
  const get = (
    path: string,
    headers: Record<string, string> = {},
    method = 'GET',
  ): Promise<Answer> => second.get(`/v2/${path}`, { accept: MANIFEST_TYPES, ...headers }, method);

  /** skopeo went well, and what it wrote into the directory is the image, byte for byte. */
  async function assertCopied(finished: Finished, target: string): Promise<void> {
    assert.equal(finished.code, 0, finished.stderr);
    assert.equal(
      digestOf(await readFile(join(dir, target, 'manifest.json'))),
      image.manifest.digest,
    );
    for (const { digest } of [image.config, ...image.layers])
      assert.equal(
        digestOf(await readFile(join(dir, target, digest.slice('sha256:'.length)))),
        digest,
      );
  }

  function assertStale(answer: Answer, { manifest } = image): void {
    assert.equal(answer.status, 200, answer.body.toString());
    assert.match(answer.headers.warning ?? '', /^299 - ".*"$/);
    assert.deepEqual(
      [
        answer.headers['docker-content-digest'],
        answer.headers['content-type'],
        Number(answer.headers['content-length']),
      ],
      [manifest.digest, manifest.mediaType, manifest.size],
    );
  }

  it('another node serves tag and digest, with a warning that they are stale', async () => {
    for (const [reference, target] of [
      ['team/app:test', 'by-tag'],
      [`team/app@${image.manifest.digest}`, 'by-digest'],
    ] as const)
      await assertCopied(await copy(second.proxyHost, reference, target), target);
    for (const reference of ['test', image.manifest.digest]) {
      for (const method of ['GET', 'HEAD']) {
        const stale = await get(`team/app/manifests/${reference}`, {}, method);
        assertStale(stale);
        assert.equal(stale.body.length, method === 'HEAD' ? 0 : image.manifest.size);
      }
    }
    const layer = await get(`team/app/blobs/${image.layers[0]!.digest}`);
    assert.deepEqual(
      [digestOf(layer.body), layer.headers.warning === undefined],
      [image.layers[0]!.digest, false],
    );
  });

  it('tags that no client resolved, and blobs of other repositories, are not served', async () => {
    for (const path of [
      'team/app/manifests/other',
      'team/unseen/manifests/test',
      `team/unseen/manifests/${image.manifest.digest}`,
      `team/unseen/blobs/${image.layers[0]!.digest}`,
      'team/app/tags/list',
    ]) {
      assert.equal((await get(path)).status, 502, path);
    }
  });

  it('behind a password: only clients that were accepted before are served', async () => {
    const host = `localhost:${second.proxyPort}`;
    await assertCopied(
      await copy(host, 'team/app:test', 'again', ['--src-creds', 'alice:wonder']),
      'again',
    );
    for (const options of [[], ['--src-creds', 'bob:builder']])
      assert.notEqual(
        (await copy(host, 'team/app:test', 'refused', options)).code,
        0,
        options.join(' '),
      );
    assertStale(
      await get('team/app/manifests/test', {
        host: 'localhost',
        authorization: basic('alice:wonder'),
      }),
    );
    const challenged = await get('team/app/manifests/test', { host: 'localhost' });
    assert.deepEqual(
      [
        challenged.status,
        challenged.headers['www-authenticate'],
        challenged.headers.warning === undefined,
      ],
      [401, 'Basic realm="tests"', false],
    );
    for (const path of [
      'manifests/test',
      `manifests/${image.manifest.digest}`,
      `blobs/${image.layers[0]!.digest}`,
    ]) {
      assert.equal(
        (await get(`team/app/${path}`, { host: 'localhost', authorization: basic('alice:wrong') }))
          .status,
        502,
        path,
      );
    }
  });

  it('behind a token server: accepted tokens and new ones are served', async function () {
    needs(this, 'unshare');
    const authorization = `Bearer ${token}`;
    for (const reference of ['test', image.manifest.digest]) {
      assertStale(await get(`team/app/manifests/${reference}`, { host: 'tokens', authorization }));
      // The token server would let carol in, but she was never here.
      for (const other of [
        `${authorization.slice(0, -4)}AAAA`,
        'Bearer nonsense',
        basic('alice:wonder'),
        `Bearer ${tokens.token('carol', 'team/app')}`,
        `Bearer ${tokens.token('alice', 'team/other')}`,
      ]) {
        assert.equal(
          (await get(`team/app/manifests/${reference}`, { host: 'tokens', authorization: other }))
            .status,
          502,
          other,
        );
      }
    }
    const hostsFile = join(dir, 'hosts');
    await writeFile(hostsFile, '127.0.0.1 localhost tokens\n');
    for (const [index, options] of [
      ['--src-registry-token', token],
      ['--src-creds', 'alice:wonder'],
    ].entries()) {
      const target = `by-token-${index}`;
      const skopeo = withHosts(hostsFile, 'skopeo', [
        'copy',
        '--src-tls-verify=false',
        '--preserve-digests',
        ...options,
        `docker://tokens:${second.proxyPort}/team/app:test`,
        `dir:${join(dir, target)}`,
      ]);
      await assertCopied(await tryRun(skopeo.program, skopeo.args), target);
    }
    const challenged = await get('team/app/manifests/test', { host: 'tokens' });
    assert.deepEqual(
      [challenged.status, challenged.headers['www-authenticate']],
      [
        401,
        'Bearer ' +
          `realm="${tokens.realm}",service="${tokens.service}",scope="repository:team/app:pull"`,
      ],
    );
  });

  it('containerd pulls through its mirror', async function () {
    needs(this, 'containerd', 'ctr', 'runc');
    containerd = await Containerd.start(dir);
    const { host } = behindPassword;
    await containerd.configure(
      host,
      `server = "http://${host}"\n\n[host."http://${second.proxyHost}"]\n  capabilities ` +
        '= ["pull", "resolve"]\n',
    );
    assert.notEqual((await containerd.tryPull(`${host}/team/app:test`, 'alice:wrong')).code, 0);
    await containerd.pull(`${host}/team/app:test`, 'alice:wonder');
    assert.equal(await containerd.digest(`${host}/team/app:test`), image.manifest.digest);
  });

  it('leaves no password and no token in log or cache', async () => {
    for (const node of nodes) {
      const secrets = [
        'wonder',
        basic('alice:wonder').slice('Basic '.length),
        token.split('.')[2]!,
      ];
      for (const text of secrets) assert.ok(!node.daemon.output.includes(text));
      assert.equal(
        (await tryRun('grep', ['-raqF', ...secrets.flatMap((text) => ['-e', text]), node.dir]))
          .code,
        1,
        'a secret is in a file of the node',
      );
    }
  });

  it('a registry that has recovered is asked again', async () => {
    const moved = await makeImage(join(dir, 'moved'), [1_000], 2);
    const back = await DockerRegistry.start(join(dir, 'registry-0'), undefined, open.port);
    try {
      await back.push(moved, 'team/app');
      for (const node of nodes) {
        const fresh = await node.get('/v2/team/app/manifests/test', { accept: MANIFEST_TYPES });
        assert.deepEqual(
          [fresh.headers['docker-content-digest'], fresh.headers.warning],
          [moved.manifest.digest, undefined],
        );
      }
    } finally {
      await back.stop();
    }
    assertStale(await get('team/app/manifests/test'), moved);
  });

  it('accessStaleTtl: 0 serves nothing stale', async () => {
    const registry = await DockerRegistry.start(join(dir, 'registry-0'), undefined, open.port);
    const node = await ShoalNode.start(join(dir, 'node-off'), {
      ProxyConfig: {
        registries: [{ upstream: `http://${registry.host}` }],
        accessStaleTtl: 0,
        accessTtl: 0,
      },
    });
    nodes.push(node);
    const paths = [
      '',
      'team/app/manifests/test',
      `team/app/manifests/${image.manifest.digest}`,
      `team/app/blobs/${image.layers[0]!.digest}`,
    ];
    for (const path of paths)
      assert.equal((await node.get(`/v2/${path}`, { accept: MANIFEST_TYPES })).status, 200, path);
    await registry.stop();
    for (const path of paths)
      assert.equal((await node.get(`/v2/${path}`, { accept: MANIFEST_TYPES })).status, 502, path);
  });
});
