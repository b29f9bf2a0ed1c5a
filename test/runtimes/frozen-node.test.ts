import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { FrozenNode } from '../../lib/runtimes/frozen-node.ts';
import { eventually } from '../kube/eventually.ts';

const CONFIG = `/etc/shoal/frozen-node-test-${process.pid}.yaml`;
/** Works and says so; reads its arguments as a node does. */
const PROGRAM = 'setInterval(() => process.stdout.write("."), 20)';

describe('runtimes/frozen-node', () => {
  let child: ChildProcess;
  let killed: number[];

  beforeEach(async () => {
    killed = [];
    child = spawn(process.execPath, ['-e', PROGRAM, '--', 'agent', '--config', CONFIG], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout!, 'data');
  });
  afterEach(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });

  const of = (config: string): FrozenNode =>
    new FrozenNode(config, { dir: '/proc', kill: (pid) => void killed.push(pid) });
  // SIGSTOP reaches the threads of a process one after the other.
  const isStopped = (): boolean =>
    readdirSync(`/proc/${child.pid}/task`).every((thread) =>
      readFileSync(`/proc/${child.pid}/task/${thread}/stat`, 'utf8')
        .split(') ')[1]!
        .startsWith('T'),
    );

  it('ends a process that did nothing since the look, and no other', async () => {
    child.kill('SIGSTOP');
    await eventually('it is stopped', isStopped);
    const node = of(CONFIG);
    node.look();
    assert.equal(of('/etc/shoal/other.yaml').endIfIdle(), null);
    assert.equal(node.endIfIdle(), child.pid);
    assert.deepEqual(killed, [child.pid]);
  });

  it('leaves a process alone that works, however slowly', async () => {
    const node = of(CONFIG);
    node.look();
    await once(child.stdout!, 'data');
    await once(child.stdout!, 'data');
    assert.equal(node.endIfIdle(), null);
    assert.deepEqual(killed, []);
  });

  it('leaves everything alone without a look, or when the process is another one', async () => {
    const node = of(CONFIG);
    assert.equal(node.endIfIdle(), null);
    node.look();
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(node.endIfIdle(), null);
    assert.deepEqual(killed, []);
  });
});
