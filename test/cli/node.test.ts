import assert from 'node:assert/strict';
import { errorFixes } from '../../lib/error-fixes.ts';
import { Running, cliPath, fakeNodePath } from './process.ts';

const READY = /^\{"ready":true.*\}$/m;

describe('shoal agent and root', () => {
  const running: Running[] = [];
  const start = (args: string[], behaviour = ''): Running => {
    const one = new Running(fakeNodePath, args, { FAKE_NODE: behaviour });
    running.push(one);
    return one;
  };
  afterEach(() => {
    for (const one of running.splice(0)) one.child.kill('SIGKILL');
  });

  it('prints one ready line for people', async () => {
    const node = start(['agent']);
    const [line] = await node.printed(/^ready .*$/m);
    const words = line
      .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, 'URL')
      .replace(/p2p=\S+:65002/, 'p2p=NODE')
      .replace(/\d+$/, 'PID');
    assert.equal(words, 'ready mode=agent proxy=URL p2p=NODE exporter=URL pid=PID');
    node.child.kill('SIGTERM');
    assert.equal(await node.exit(), 0);
    assert.equal(node.stdout, `${line}\n`);
  });

  it('prints one ready line for machines', async () => {
    const node = start([
      'root',
      '--json',
      '--set',
      'P2PConfig.port=0',
      '--set',
      'DeployConfig.node=127.0.0.1',
    ]);
    const ready = JSON.parse((await node.printed(READY))[0]) as Record<string, unknown>;
    assert.deepEqual(Object.keys(ready), ['ready', 'mode', 'proxy', 'p2p', 'exporter', 'pid']);
    assert.equal(ready['mode'], 'root');
    assert.equal(ready['pid'], node.child.pid);
    node.child.kill('SIGINT');
    assert.equal(await node.exit(), 0);
  });

  it('exits at once on the second signal', async () => {
    const node = start(['agent', '--json'], 'stuck');
    await node.printed(READY);
    node.child.kill('SIGTERM');
    // The second counts only when the first has been taken.
    await node.printed(/^draining$/m);
    node.child.kill('SIGTERM');
    assert.equal(await node.exit(), 1);
  });

  it('exits with its parent if asked to', async () => {
    const node = start(['agent', '--json', '--exit-with-parent']);
    await node.printed(READY);
    node.child.stdin!.end();
    assert.equal(await node.exit(5_000), 1);
  });

  it('keeps running when stdin closes, if not asked to exit with its parent', async () => {
    const node = start(['agent', '--json']);
    node.child.stdin!.end();
    await node.printed(READY);
    node.child.kill('SIGTERM');
    assert.equal(await node.exit(), 0);
  });

  it('exits with 1 and one line if it cannot start', async () => {
    const node = start(['agent', '--set', 'P2PConfig.port=7'], 'port-in-use');
    assert.equal(await node.exit(), 1);
    assert.equal(
      node.stderr,
      `shoal: 127.0.0.1:7 is in use (PORT_IN_USE)\n  -> ${errorFixes.PORT_IN_USE.fix}\n`,
    );
    assert.equal(node.stdout, '');
  });

  it('exits with 2 on an invalid config, before anything else', async () => {
    const node = new Running(cliPath, ['agent', '--set', 'Nope.x=1']);
    assert.equal(await node.exit(), 2);
    assert.match(node.stderr, /^shoal: Nope: \{"x":1\} is not allowed; no such key; /);
    assert.match(node.stderr, /^[^\n]*; allowed: DeployConfig, .* \(CONFIG_INVALID\)\n$/);
  });
});
