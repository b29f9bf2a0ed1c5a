import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';

const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 10_000;
const LOOK_MS = 20;

/** One core, or from one to another; null: wherever the parent may run. */
export type Cores = number | `${number}-${number}` | null;

/** A server under test, held to one core. */
export class PinnedProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  #words = '';

  /** Debian keeps servers in /usr/sbin, which may not be on the PATH. */
  constructor(core: Cores, command: readonly string[], env: Record<string, string> = {}) {
    const [program = '', ...args] =
      core === null ? command : ['taskset', '-c', String(core), ...command];
    this.#name = command[0] ?? '';
    this.#child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env, PATH: `${process.env['PATH']}:/usr/sbin` },
    });
    // Whatever ends this program must not leave a server behind.
    process.once('exit', () => this.#child.kill('SIGKILL'));
    this.#child.on('error', (error) => (this.#words += error.message));
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.on(
        'data',
        (text: Buffer) => (this.#words = (this.#words + text.toString()).slice(-4096)),
      );
  }

  /** taskset becomes what it starts: the process has one id throughout. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has written so far, the last 4 KB. */
  get words(): string {
    return this.#words;
  }

  /**
   * Resolves once `port` takes connections, on loopback unless told; throws the server's own words
   * when it ends instead.
   */
  async listening(port: number, host = '127.0.0.1'): Promise<void> {
    const untilMs = performance.now() + START_DEADLINE_MS;
    while (!(await answers(port, host))) {
      if (
        this.#child.exitCode !== null ||
        this.#child.pid === undefined ||
        performance.now() > untilMs
      )
        throw new Error(`${this.#name} does not serve: ${this.#words}`);
      await after(LOOK_MS);
    }
  }

  /** Its first whole line that holds `part`; throws its words when it ends before. */
  async line(part = ''): Promise<string> {
    const untilMs = performance.now() + START_DEADLINE_MS;
    for (;;) {
      const line = this.#words
        .split('\n')
        .slice(0, -1)
        .find((words) => words.includes(part));
      if (line !== undefined) return line;
      if (
        this.#child.exitCode !== null ||
        this.#child.pid === undefined ||
        performance.now() > untilMs
      )
        throw new Error(`${this.#name} does not say ${part}: ${this.#words}`);
      await after(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    if (
      this.#child.exitCode !== null ||
      this.#child.signalCode !== null ||
      this.#child.pid === undefined
    )
      return;
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await ended;
    clearTimeout(timer);
  }
}

/** Whether the machine has this program. */
export function hasProgram(name: string): boolean {
  return (
    spawnSync('sh', ['-c', `command -v ${name}`], {
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` },
    }).status === 0
  );
}

/** Holds this process, all threads it has and will have, to one core. */
export function pinSelf(core: number): void {
  spawnSync('taskset', ['-acp', String(core), String(process.pid)]);
}

function answers(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}
