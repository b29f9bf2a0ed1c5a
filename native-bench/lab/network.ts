import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Size of the shaper's bucket: one segment-offload packet. */
const BURST = '64kb';
/** Time a packet may wait in a shaper before it is dropped. */
const QUEUE_MS = 50;
const PREFIX = 'shoal-lab';

/** Bytes that passed the interface of one machine. */
interface InterfaceBytes {
  sentBytes: number;
  receivedBytes: number;
}

interface Machine {
  /** Name of the network namespace. */
  namespace: string;
  address: string;
  /**
   * Program and arguments that run a command inside the namespace. The process id stays the same.
   */
  command: readonly string[];
}

/**
 * A switch with one network namespace per machine. Each machine has one interface, shaped in both
 * directions by `tc tbf`. Needs root, iproute2 and, for `packets`, ethtool.
 */
export class LabNetwork {
  readonly machines: readonly Machine[];
  readonly #names: string[] = [];

  /**
   * Builds the network. `linkMbits` holds the rate of each machine's link. `packets` switches
   * segmentation offload off, so that data arrives packet by packet, as from a real line. Removes
   * what it built when a step fails, and what earlier runs left behind.
   */
  constructor(linkMbits: readonly number[], packets: boolean) {
    checkPrivileges();
    removeLeftovers();
    try {
      const hub = this.#addNamespace('switch');
      run('ip', '-n', hub, 'link', 'add', 'br0', 'type', 'bridge');
      run('ip', '-n', hub, 'link', 'set', 'br0', 'up');
      this.machines = linkMbits.map((mbit, index) => {
        const namespace = this.#addNamespace(String(index));
        const address = addressOf(index);
        const port = `port${index}`;
        const create = ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', port, 'netns', hub];
        run('ip', '-n', namespace, ...create);
        if (packets) {
          const off = ['tso', 'off', 'gso', 'off', 'gro', 'off'];
          run('ip', 'netns', 'exec', namespace, 'ethtool', '-K', 'eth0', ...off);
          run('ip', 'netns', 'exec', hub, 'ethtool', '-K', port, ...off);
        }
        shape(namespace, 'eth0', mbit);
        shape(hub, port, mbit);
        run('ip', '-n', namespace, 'address', 'add', `${address}/16`, 'dev', 'eth0');
        run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
        run('ip', '-n', namespace, 'link', 'set', 'eth0', 'up');
        run('ip', '-n', hub, 'link', 'set', port, 'master', 'br0', 'up');
        return { namespace, address, command: ['ip', 'netns', 'exec', namespace] };
      });
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Bytes on the wire of each machine since the network was built. */
  bytes(): InterfaceBytes[] {
    return this.machines.map(({ namespace }) => {
      const [link] = JSON.parse(run('ip', '-n', namespace, '-s', '-j', 'link', 'show', 'eth0')) as {
        stats64: { rx: { bytes: number }; tx: { bytes: number } };
      }[];
      return {
        sentBytes: link!.stats64.tx.bytes,
        receivedBytes: link!.stats64.rx.bytes,
      };
    });
  }

  /** Removes all namespaces, and their interfaces with them. Synchronous: it also runs at exit. */
  remove(): void {
    for (const name of this.#names.splice(0)) removeNamespace(name);
  }

  #addNamespace(name: string): string {
    const full = `${PREFIX}-${process.pid}-${name}`;
    run('ip', 'netns', 'add', full);
    this.#names.push(full);
    return full;
  }
}

function addressOf(index: number): string {
  return `10.77.${Math.floor(index / 250)}.${1 + (index % 250)}`;
}

function shape(namespace: string, device: string, mbit: number): void {
  const bucket = ['rate', `${mbit}mbit`, 'burst', BURST, 'latency', `${QUEUE_MS}ms`];
  run('tc', '-n', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', ...bucket);
}

function checkPrivileges(): void {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new Error(
      'cannot shape links: network namespaces need Linux and root; run the lab as root, ' +
        'or without --link',
    );
}

/** Removes the namespaces of runs whose process is gone: a killed run cannot clean up. */
function removeLeftovers(): void {
  for (const line of run('ip', 'netns', 'list').split('\n')) {
    const name = line.split(' ')[0]!;
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isLab(pid)) removeNamespace(name);
  }
}

function isLab(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('lab.ts');
  } catch {
    return false;
  }
}

function removeNamespace(name: string): void {
  try {
    run('ip', 'netns', 'delete', name);
  } catch (error) {
    process.stderr.write(`cannot remove the network namespace: ${(error as Error).message}\n`);
  }
}

/** Output of a command. Throws an error that names the command and what it said. */
function run(program: string, ...args: string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: string };
    if (code === 'ENOENT')
      throw new Error(`cannot run ${program}: not found; install iproute2 and ethtool`, {
        cause: error,
      });
    throw new Error(`${program} ${args.join(' ')} failed: ${stderr?.trim()}`, { cause: error });
  }
}
