import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { authFiles, storedCredentials } from '../../lib/commands/stored-credentials.ts';

const auth = (text: string): string => Buffer.from(text).toString('base64');

describe('stored credentials', () => {
  let home = '';
  let env: Record<string, string> = {};
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'shoal-home-'));
    env = { HOME: home, XDG_RUNTIME_DIR: join(home, 'run'), PATH: `${home}/bin:/usr/bin:/bin` };
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  async function put(path: string, content: object | string, mode = 0o600): Promise<void> {
    const file = join(home, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    await chmod(file, mode);
  }
  const user = async (host: string, repository = 'a/b'): Promise<string | null> =>
    (await storedCredentials(host, repository, env))?.credentials.username ?? null;
  /** A helper that knows `servers` and says what it was asked. */
  const helper = (name: string, servers: Record<string, string>): Promise<void> =>
    put(
      `bin/docker-credential-${name}`,
      `#!/bin/sh\nread -r server\ncase "$1 $server" in\n${Object.entries(servers)
        .map(([server, answer]) => `"get ${server}") echo '${answer}' ;;\n`)
        .join('')}*) echo 'credentials not found in native keychain'; exit 1 ;;\nesac\n`,
      0o700,
    );

  it("are read from the files of podman and docker, podman's first", async () => {
    const files = [
      'run/containers/auth.json',
      '.config/containers/auth.json',
      '.docker/config.json',
    ];
    for (const [index, file] of files.entries())
      await put(file, {
        auths: { [`r${index}`]: { auth: auth(`u${index}:p`) }, all: { auth: auth(`u${index}:p`) } },
      });
    await put('.dockercfg', { old: { auth: auth('old:p') } });
    assert.deepEqual(
      [await user('r0'), await user('r1'), await user('r2'), await user('old'), await user('all')],
      ['u0', 'u1', 'u2', 'old', 'u0'],
    );
    assert.equal(await user('r3'), null);
  });

  it('follow REGISTRY_AUTH_FILE, DOCKER_CONFIG and XDG_CONFIG_HOME', async () => {
    assert.deepEqual(
      authFiles({ HOME: '/h', XDG_RUNTIME_DIR: '/r', XDG_CONFIG_HOME: '/c', DOCKER_CONFIG: '/d' }),
      ['/r/containers/auth.json', '/c/containers/auth.json', '/d/config.json', '/h/.dockercfg'],
    );
    await put('.docker/config.json', { auths: { r: { auth: auth('docker:p') } } });
    await put('named.json', { auths: { r: { auth: auth('named:p') } } });
    env['REGISTRY_AUTH_FILE'] = join(home, 'named.json');
    assert.equal(await user('r'), 'named');
    env['REGISTRY_AUTH_FILE'] = join(home, 'missing.json');
    await assert.rejects(user('r'), { code: 'FILE_UNUSABLE', message: /missing\.json: ENOENT/ });
  });

  it('come from the helper of the host, else from the store, else from the file', async () => {
    await helper('own', { r: '{"Username":"own","Secret":"s"}' });
    await helper('store', {
      'https://index.docker.io/v1/': '{"Username":"hub","Secret":"s"}',
      'https://by-url': '{"Username":"url","Secret":"s"}',
      tokens: '{"Username":"<token>","Secret":"refresh"}',
    });
    await put('.docker/config.json', {
      auths: { r: {}, plain: { auth: auth('plain:p') } },
      credHelpers: { r: 'own' },
      credsStore: 'store',
    });
    assert.deepEqual(
      [await user('r'), await user('docker.io'), await user('by-url'), await user('plain')],
      ['own', 'hub', 'url', 'plain'],
    );
    const tokens = await storedCredentials('tokens', 'a', env);
    assert.equal(tokens?.credentials.identityToken, 'refresh');
    assert.equal(await user('other'), null);
  });

  it('name a missing or failing helper, and a damaged file', async () => {
    await put('.docker/config.json', { credHelpers: { a: 'absent', b: 'broken' } });
    await put('bin/docker-credential-broken', '#!/bin/sh\necho locked >&2; exit 2\n', 0o700);
    await assert.rejects(user('a'), { message: /docker-credential-absent .*not installed/ });
    await assert.rejects(user('b'), { message: /docker-credential-broken .*locked/ });
    await put('.docker/config.json', '{"auths":');
    await assert.rejects(user('a'), { message: /config\.json: it is not JSON; log in again/ });
  });
});
