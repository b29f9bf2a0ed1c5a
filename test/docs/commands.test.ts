import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { sourceFiles } from '../check/source-tree.ts';
import { makeImage } from '../e2e/image.ts';
import { DockerRegistry } from '../e2e/registry.ts';
import { needs } from '../programs.ts';
import { printedCommands } from './printed-commands.ts';

const PAGES = ['README.md', 'docs/GETTING-STARTED.md', 'docs/SIZING.md'];
const DEADLINE_MS = 120_000;

/** What `.ci/run` runs by itself; here they would run the whole of it once more. */
const RUN_BY_CI = new Set(['npm ci', 'npm test', 'npm run test:fast', 'npm run check']);

/** Commands that run until they are stopped, and what they print when they are up. */
const ENDLESS: [RegExp, RegExp][] = [
  [/^npm start(?!.*--once)/, /stop: Ctrl-C/],
  [/shoal -- agent /, /^ready mode=agent .*exporter=(\S+)/m],
];

describe('the commands that README.md and guides print', function () {
  this.timeout(DEADLINE_MS);
  let directory: string;
  let registry: DockerRegistry;
  let image: string;
  /** Of the agent that an earlier command of the page has started. */
  let exporter = '';
  const running = new Set<ChildProcess>();

  before(async function () {
    needs(this, 'npm', 'docker-registry', 'skopeo');
    directory = mkdtempSync(join(tmpdir(), 'shoal-docs-'));
    for (const { path } of sourceFiles())
      if (/^(?:lib\/|native-bench\/|package\.json|\.npmrc)/.test(path))
        cpSync(path, join(directory, path));
    symlinkSync(resolve('node_modules'), join(directory, 'node_modules'));
    const made = await makeImage(join(directory, 'image'), [4_000_000]);
    registry = await DockerRegistry.start(directory);
    await registry.push(made, 'team/app');
    image = `team/app:${made.tag}`;
  });
  after(async () => {
    for (const child of running) await stopped(child);
    await registry?.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  });

  /** The command with this test's registry, free ports and a directory of its own. */
  function withStandIns(command: string): string {
    const here = command
      .replace('127.0.0.1:5000', registry.host)
      .replace('team/app:v1', image)
      .replace('--nodes 8', '--nodes 2')
      .replace(/^npm start(?: --(?= ))?(?!.*--nodes)/, 'npm start -- --nodes 2')
      .replace('--nodes 100 --image 1GB', '--nodes 10 --image 100MB')
      .replace(/( init .*)registry\.example/, `$1http://${registry.host}`);
    if (here.includes(' containerd ')) return `${here} --certs-dir ${directory}/certs.d`;
    if (here.endsWith('-- status')) return `${here} --url ${exporter}`;
    if (here.includes('-- agent '))
      return `${here} --set ProxyConfig.port=0 --set P2PConfig.port=0 --set ExporterConfig.port=0`;
    return here;
  }

  /** Runs a command to its end or, if it is endless, until it is up; stops what is not an agent. */
  async function runs(command: string): Promise<void> {
    const child = spawn('sh', ['-c', `exec ${withStandIns(command)}`], {
      cwd: directory,
      env: {
        ...process.env,
        PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const ended = once(child, 'close').then(([code]) => code as number | null);
    const up = ENDLESS.find(([pattern]) => pattern.test(command))?.[1];
    if (up === undefined) {
      assert.equal(await ended, 0, text);
      running.delete(child);
      return;
    }
    while (!up.test(text)) {
      assert.equal(child.exitCode, null, text);
      await Promise.race([once(child.stdout, 'data'), ended]);
    }
    if (command.includes('-- agent ')) exporter = up.exec(text)![1]!;
    else await stopped(child);
  }

  /** Stops a command and what it has started, as Ctrl-C does. */
  async function stopped(child: ChildProcess): Promise<void> {
    running.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'close');
    process.kill(-child.pid!, 'SIGINT');
    await ended;
  }

  for (const page of PAGES)
    describe(page, () => {
      const commands = printedCommands(readFileSync(page, 'utf8'));
      it('prints commands', () => assert.ok(commands.length > 0));
      for (const command of commands.filter((one) => !RUN_BY_CI.has(one)))
        it(command, () => runs(command));
      after(async () => {
        for (const child of running) await stopped(child);
        for (const made of ['shoal-etc', 'shoal-data', 'certs.d'])
          rmSync(join(directory, made), { recursive: true, force: true });
      });
    });
});
