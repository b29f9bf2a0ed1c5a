import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { needs } from '../programs.ts';
import { portableNode } from './portable-node.ts';

const MB = 1_000_000;
/**
 * What the issue allows for the whole image, and what debian:bookworm-slim takes of it, unpacked.
 */
const IMAGE_BYTES_MAX = 250 * MB;
const BASE_BYTES = 75 * MB;

const root = fileURLToPath(new URL('../../', import.meta.url));
const dockerfile = readFileSync(`${root}deploy/Dockerfile`, 'utf8');

describe('the container image', () => {
  it('copies only existing files that the ignore file admits', () => {
    const letThrough = new Set(
      readFileSync(`${root}deploy/Dockerfile.dockerignore`, 'utf8')
        .split('\n')
        .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : [])),
    );
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, sources]) =>
      sources!.split(' '),
    );
    assert.ok(copied.includes('lib'));
    for (const source of copied)
      assert.ok(existsSync(root + source) && letThrough.has(source), source);
  });

  it('does not run as root and has a health check', () => {
    assert.match(dockerfile, /^USER 10001:10001$/m);
    assert.match(dockerfile, /^HEALTHCHECK /m);
  });

  describe('built by hand', function () {
    this.timeout(240_000);
    let dir: string;
    let image: string;

    before(async function () {
      needs(this, 'npm', 'strip', 'setpriv');
      dir = await mkdtemp(join(tmpdir(), 'shoal-image-'));
      image = join(dir, 'root');
      const node = portableNode(join(dir, 'node'));
      const PATH = [node, process.env['PATH'] ?? ''].join(delimiter);
      execFileSync(`${root}deploy/image-root.sh`, [image], {
        env: { ...process.env, PATH },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      execFileSync('chmod', ['-R', 'a+rX', dir]);
    });
    after(async () => {
      if (dir !== undefined) await rm(dir, { recursive: true });
    });

    /** As the image runs it: its own node, another user, nothing of this machine's environment. */
    const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } => {
      const asUser =
        process.getuid?.() === 0 ? ['--reuid=10001', '--regid=10001', '--clear-groups'] : [];
      return spawnSync('setpriv', [...asUser, join(image, 'node'), 'lib/shoal.js', ...args], {
        cwd: join(image, 'app'),
        env: { NODE_ENV: 'production' },
        encoding: 'utf8',
      });
    };

    it('stays below 250 MB', () => {
      const bytes = sizeOf(image) + BASE_BYTES;
      console.log(
        `      ${(bytes / MB).toFixed(0)} MB, ${(BASE_BYTES / MB).toFixed(0)} MB of them the base`,
      );
      assert.ok(bytes < IMAGE_BYTES_MAX);
    });

    it('runs every command without development dependencies', () => {
      const { status, stdout, stderr } = run('--version');
      assert.deepEqual(
        [status, stdout.split(' ')[0], stderr],
        [
          0,
          (JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string }).version,
          '',
        ],
      );
      assert.equal(run('webhook', '--config', '/nonexistent').status, 2);
      // Loads the native parts: it gets as far as its directory, which it may not write.
      const agent = run(
        'agent',
        '--set',
        'CacheConfig.dir=/proc/none',
        '--set',
        'ProxyConfig.port=0',
        '--set',
        'P2PConfig.port=0',
        '--set',
        'DeployConfig.logDir=/tmp',
      );
      assert.equal(agent.status, 1);
      assert.match(agent.stderr, /CACHE_DIR_UNUSABLE/);
      assert.doesNotMatch(agent.stderr, /Cannot find|MODULE_NOT_FOUND|uws_/);
    });
  });
});

function sizeOf(path: string): number {
  const found = lstatSync(path);
  return found.isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0)
    : found.size;
}
