import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calledAs, withCalled } from '../../lib/commands/called-as.ts';
import { run } from './run-program.ts';
import { loadConfig } from '../../lib/config/load.ts';
import { commitOf } from '../../lib/version.ts';
import { needs } from '../programs.ts';

describe('shoal init', () => {
  let dir: string;
  beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'shoal-init-'))));
  afterEach(() => rmSync(dir, { recursive: true }));
  const init = (...args: string[]) =>
    run('init', '--dir', join(dir, 'etc'), '--data', join(dir, 'var'), ...args);

  it('writes a config that loads and a secret only its owner can read', async () => {
    const { code, out, err } = await init(
      '--registry',
      'registry.example',
      '--root',
      '10.0.0.1:65002',
    );
    assert.deepEqual([code, err], [0, '']);
    const file = join(dir, 'etc/agent.yaml');
    const config = loadConfig({ file });
    assert.equal(config.ProxyConfig.registries[0]!.upstream, 'https://registry.example');
    assert.deepEqual(config.P2PConfig.roots, ['10.0.0.1:65002']);
    assert.equal(config.CacheConfig.dir, join(dir, 'var/cache'));
    assert.match(readFileSync(config.P2PConfig.secretFile, 'utf8'), /^[0-9a-f]{64}\n$/);
    assert.equal(statSync(config.P2PConfig.secretFile).mode & 0o777, 0o600);
    assert.ok(
      out.includes(`agent --config ${file}`) &&
        !out.includes(readFileSync(config.P2PConfig.secretFile, 'utf8').trim()),
    );
  });

  it('keeps an existing secret, and never overwrites a config', async () => {
    await init('--registry', 'http://127.0.0.1:5000');
    const secret = readFileSync(join(dir, 'etc/secret'), 'utf8');
    const again = await init('--registry', 'http://127.0.0.1:5000');
    assert.equal(again.code, 1);
    assert.match(again.err, /agent\.yaml exists; .*\(FILE_UNUSABLE\)\n  -> Check the path, .*\n$/);
    assert.equal((await init('--registry', 'a.example', '--mode', 'root')).code, 0);
    assert.equal(readFileSync(join(dir, 'etc/secret'), 'utf8'), secret);
    assert.equal(loadConfig({ file: join(dir, 'etc/root.yaml') }).DeployConfig.mode, 'root');
  });

  it('names the default registry of several by its host', async () => {
    await init('--registry', 'a.example', '--registry', 'http://b.example:5000');
    const { registries } = loadConfig({ file: join(dir, 'etc/agent.yaml') }).ProxyConfig;
    assert.deepEqual(
      registries.map(({ p2pHost, upstream }) => [p2pHost, upstream]),
      [
        ['a.example', 'https://a.example'],
        ['b.example:5000', 'http://b.example:5000'],
      ],
    );
  });

  it('writes nothing with --dry-run, nor for an address that is not allowed', async () => {
    const dry = await init('--registry', 'a.example', '--dry-run');
    assert.match(dry.out, /upstream: https:\/\/a\.example/);
    for (const args of [
      ['--registry', 'a.example', '--peer', 'nowhere'],
      ['--registry', 'a//b'],
      ['--registry', 'ftp://a'],
    ]) {
      const { code, err } = await init(...args);
      assert.equal(code, 2);
      assert.match(err, /is not allowed; allowed: .*\(CONFIG_INVALID\)\n$/);
    }
    assert.throws(() => statSync(join(dir, 'etc')), /ENOENT/);
  });

  it('reports why it cannot write', async () => {
    writeFileSync(join(dir, 'etc'), 'a file');
    const { code, err } = await init('--registry', 'a.example');
    assert.equal(code, 1);
    assert.match(
      err,
      /^shoal: cannot write .*etc\/secret: [a-z ]+ \(E\w+\) \(FILE_UNUSABLE\)\n  -> Check .*\n$/,
    );
  });
});

describe('shoal version and help', () => {
  it('print the same version in every form', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    const answers = await Promise.all([run('version'), run('--version'), run('-v')]);
    for (const { code, out, err } of answers) {
      assert.deepEqual([code, err], [0, '']);
      assert.equal(out, answers[0].out);
      assert.equal(out.split(' ')[0], version);
      assert.match(out, /\(commit .+, peer protocol \d+\.\d+, Node\.js [\d.]+\)\n$/);
    }
  });

  it('name the commit of a clone, loose, packed or without a branch', () => {
    const dir = mkdtempSync(join(tmpdir(), 'shoal-git-'));
    const git = new URL(`${dir}/`, 'file://');
    const commit = 'd34db33fd34d'.padEnd(40, '0');
    try {
      assert.equal(commitOf(git), null);
      writeFileSync(join(dir, 'HEAD'), `${commit}\n`);
      assert.equal(commitOf(git), 'd34db33fd34d');
      writeFileSync(join(dir, 'HEAD'), 'ref: refs/heads/main\n');
      assert.equal(commitOf(git), null);
      writeFileSync(
        join(dir, 'packed-refs'),
        `# pack-refs\n${'a'.repeat(40)} refs/heads/remain\n${commit} refs/heads/main\n`,
      );
      assert.equal(commitOf(git), 'd34db33fd34d');
      mkdirSync(join(dir, 'refs/heads'), { recursive: true });
      writeFileSync(join(dir, 'refs/heads/main'), `${'b'.repeat(40)}\n`);
      assert.equal(commitOf(git), 'b'.repeat(12));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('explain a command', async () => {
    assert.equal((await run('help', 'up')).out, (await run('up', '--help')).out);
  });
});

describe('shoal completion', () => {
  /** What bash completes after `words`. */
  async function bashCompletes(...words: string[]): Promise<string[]> {
    const { out } = await run('completion', 'bash');
    const line =
      `${out}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shoal; printf '%s\\n' ` +
      `"\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-euc', line, 'bash', ...words], { encoding: 'utf8' })
      .trim()
      .split('\n');
  }

  it('completes commands, nested commands and options in bash', async () => {
    assert.ok((await bashCompletes('shoal', '')).includes('preheat'));
    assert.deepEqual(await bashCompletes('shoal', 'sta'), ['status']);
    assert.deepEqual(await bashCompletes('shoal', 'containerd', 'con'), ['configure']);
    assert.deepEqual(await bashCompletes('shoal', 'up', '--once', '--no'), ['--nodes']);
    assert.ok(!(await bashCompletes('shoal', 'agent', '--')).includes('--exit-with-parent'));
  });

  /** Prints what zsh would offer after the words in `$@`: one `word:description` a line. */
  const ZSH_OFFERS = `compdef() { :; }; _describe() { print -rl -- \${(P)2}; }; _files() { :; }
source $1; shift; words=("$@"); CURRENT=$#; _shoal`;

  for (const [shell, offers] of [
    ['zsh', (script, words) => ['-f', '-c', ZSH_OFFERS, 'zsh', script, ...words]],
    [
      'fish',
      (script, words) => [
        '--no-config',
        '-c',
        `source ${script}; complete -C '${words.join(' ')}'`,
      ],
    ],
  ] as const satisfies [string, (script: string, words: string[]) => string[]][])
    it(`completes commands, nested commands and options in ${shell}`, async function () {
      needs(this, shell);
      const { out } = await run('completion', shell);
      const dir = mkdtempSync(join(tmpdir(), 'shoal-completion-'));
      const script = join(dir, 'script');
      writeFileSync(script, out);
      const offered = (...words: string[]): string[] =>
        execFileSync(shell, offers(script, words), { encoding: 'utf8' })
          .split('\n')
          .map((line) => line.split(/[\t:]/)[0]!);
      try {
        assert.ok(offered('shoal', '').includes('preheat'));
        assert.ok(offered('shoal', 'containerd', '').includes('configure'));
        assert.ok(offered('shoal', 'completion', '').includes(shell));
        assert.ok(offered('shoal', 'up', '--nodes', '3', '--').includes('--once'));
        // `shoal status` has --url, a command of the same name below another one has not.
        assert.ok(offered('shoal', 'status', '--').includes('--url'));
        const nested = offered('shoal', 'containerd', 'status', '--');
        assert.ok(nested.includes('--certs-dir') && !nested.includes('--url'), nested.join());
      } finally {
        rmSync(dir, { recursive: true });
      }
    });

  it('names the shells it knows', async () => {
    const { code, err } = await run('completion', 'tcsh');
    assert.equal(code, 2);
    assert.match(err, /Allowed choices are bash, zsh, fish/);
  });
});

describe('shoal estimate', function () {
  this.timeout(60_000);
  const args = ['--nodes', '8', '--image', '64MB', '--layers', '2', '--link', '100Mbit'];

  it('compares a pull through Shoal with direct pulls', async () => {
    const { code, out } = await run('estimate', ...args, '--price', '1', '--json');
    assert.equal(code, 0);
    const { idealSeconds, shoal, direct } = JSON.parse(out) as Record<
      'shoal' | 'direct',
      { p95Seconds: number; originBytes: number; cost: number }
    > & { idealSeconds: number };
    assert.equal(idealSeconds, 5.12);
    assert.ok(shoal.p95Seconds >= idealSeconds && shoal.p95Seconds < direct.p95Seconds / 2);
    assert.ok(shoal.originBytes >= 64e6 && shoal.originBytes < 1.2 * 64e6);
    assert.equal(direct.originBytes, 8 * 64e6);
    assert.equal(direct.cost, 8 * 0.064);
  });

  it('prints a table, with a cost only when a price is given', async () => {
    const { out } = await run('estimate', ...args);
    assert.match(
      out,
      /^8 nodes pull 64\.0 MB in 2 layers, links of 100 Mbit\/s, registry on 100 Mbit\/s/,
    );
    assert.match(out, /through Shoal +[\d.]+ s +[\d.]+ s +6\d\.\d MB\n/);
    assert.doesNotMatch(out, /cost/);
  });

  it('names the allowed values', async () => {
    for (const [option, value] of [
      ['--link', '10'],
      ['--image', 'big'],
      ['--nodes', '0'],
      ['--price', '-1'],
    ] as const) {
      const { code, err } = await run('estimate', option, value);
      assert.equal(code, 2);
      assert.match(err, /is invalid\. allowed: /);
    }
  });
});

describe('hints', () => {
  it('name the program as the user started it', () => {
    const called = (script: string, env: NodeJS.ProcessEnv = {}): string =>
      calledAs({ argv: ['/usr/bin/node', script], env, cwd: () => '/home/me/shoal' });
    const PATH = '/usr/local/bin:/usr/bin';
    assert.equal(called('/usr/bin/shoal', { PATH }), 'shoal');
    assert.equal(called('/opt/node/bin/shoal', { PATH }), '/opt/node/bin/shoal');
    assert.equal(called('/home/me/shoal/lib/shoal.js'), 'node lib/shoal.js');
    assert.equal(called('/opt/shoal/lib/shoal.js'), 'node /opt/shoal/lib/shoal.js');
    const script = '/home/me/shoal/lib/shoal.js';
    assert.equal(called(script, { npm_lifecycle_event: 'start' }), 'npm run -s shoal --');
    assert.equal(
      called('/usr/bin/shoal', { npm_lifecycle_event: 'npx', npm_command: 'exec' }),
      'npx shoal',
    );
    const unpacked = { PATH, SHOAL_LAUNCHER: '/home/me/shoal/bin/shoal' };
    assert.equal(called('/home/me/shoal/lib/shoal/lib/shoal.js', unpacked), 'bin/shoal');
    const installed = { PATH, SHOAL_LAUNCHER: '/usr/bin/shoal' };
    assert.equal(called('/usr/lib/shoal/lib/shoal.js', installed), 'shoal');
  });

  it('name it so in messages, and leave prose alone', () => {
    const message = 'no config of shoal here; run `shoal init`\nshoal doctor finds more';
    assert.equal(
      withCalled(message, 'npx shoal'),
      'no config of shoal here; run `npx shoal init`\nnpx shoal doctor finds more',
    );
  });
});
