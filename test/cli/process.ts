import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export { cliPath } from '../built-program.ts';
export const fakeNodePath = fileURLToPath(new URL('./fake-node.ts', import.meta.url));

export const fakeUpPath = fileURLToPath(new URL('./fake-up.ts', import.meta.url));

const DEADLINE_MS = 20_000;

/** A command under test: its output so far, and ways to wait for something in it. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #exited: Promise<number | null>;

  /** `ulimit`: arguments of bash's ulimit, for the process. */
  constructor(
    script: string,
    args: readonly string[],
    env: Record<string, string> = {},
    ulimit?: string,
  ) {
    const command = [process.execPath, script, ...args];
    const [program, ...programArgs] =
      ulimit === undefined
        ? command
        : ['bash', '-c', `ulimit ${ulimit}; exec "$0" "$@"`, ...command];
    this.child = spawn(program!, programArgs, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#exited = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** The exit code; the process is ended, and the wait fails, after the deadline. */
  async exit(deadlineMs = DEADLINE_MS): Promise<number | null> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), deadlineMs);
    try {
      const code = await this.#exited;
      if (this.child.signalCode === 'SIGKILL')
        throw new Error(`no exit within ${deadlineMs} ms\n${this.stdout}\n${this.stderr}`);
      return code;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The first match of `pattern` in stdout, now or when it comes. */
  async printed(pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<RegExpExecArray> {
    const signal = AbortSignal.timeout(deadlineMs);
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      if (this.child.exitCode !== null)
        throw new Error(`ended without ${pattern}:\n${this.stdout}\n${this.stderr}`);
      await Promise.race([once(this.child.stdout!, 'data', { signal }), this.#exited]);
    }
  }
}

/** Waits for a condition that no event announces. */
export async function until(
  holds: () => boolean,
  what: string,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((give) => setImmediate(give));
  }
}
