import { readdirSync, readFileSync } from 'node:fs';

/** The process of a node, and the processor time that it has used. */
interface Usage {
  pid: number;
  usedNs: bigint;
}

/** Reads /proc, or a directory like it. */
interface ProcessTable {
  dir: string;
  kill(pid: number): void;
}

const SYSTEM: ProcessTable = {
  dir: '/proc',
  kill: (pid) => void process.kill(pid, 'SIGKILL'),
};

/**
 * Ends a node whose process is frozen (stopped, or stuck in the kernel): it used no processor time
 * while it left a request unanswered. Its connections then break, and the pulls that wait there go
 * on with the next host. A node that is only slow uses processor time, and is left alone.
 */
export class FrozenNode {
  readonly #configFile: string;
  readonly #table: ProcessTable;
  #before: Usage | null = null;

  /** `configFile`: what the node's command line has behind `--config`. */
  constructor(configFile: string, table: ProcessTable = SYSTEM) {
    this.#configFile = configFile;
    this.#table = table;
  }

  /** Call it before the node is asked for a sign of life. */
  look(): void {
    this.#before = this.#usage();
  }

  /**
   * Call it when no answer came. Ends the process if it has done nothing since `look`; returns its
   * id then, otherwise null. Throws if the process may not be ended.
   */
  endIfIdle(): number | null {
    const [before, now] = [this.#before, this.#usage()];
    if (before === null || now === null) return null;
    if (before.pid !== now.pid || before.usedNs !== now.usedNs) return null;
    this.#table.kill(now.pid);
    return now.pid;
  }

  #usage(): Usage | null {
    const { dir } = this.#table;
    for (const name of readdirSync(dir).filter((entry) => /^\d+$/.test(entry))) {
      const args = read(`${dir}/${name}/cmdline`).split('\0');
      const at = args.indexOf('--config');
      if (at === -1 || args[at + 1] !== this.#configFile) continue;
      if (args.includes('agent') || args.includes('root'))
        return { pid: Number(name), usedNs: usedNs(`${dir}/${name}/task`) };
    }
    return null;
  }
}

/** Time on a processor of all threads: first field of schedstat (proc(5)), ns. */
function usedNs(tasks: string): bigint {
  let sum = 0n;
  for (const task of readdirSync(tasks))
    sum += BigInt(/^\d+/.exec(read(`${tasks}/${task}/schedstat`))?.[0] ?? 0);
  return sum;
}

/** A file of a process that may end meanwhile: then empty. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
