import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { isLong } from '../long.ts';
import { findProgram } from '../programs.ts';

const DEADLINE_MS = 30_000;
/** Of a program that runs to its end. */
const RUN_DEADLINE_MS = isLong ? 590_000 : 120_000;
const OUTPUT_KEPT_CHARS = 64 * 1024;

/** A program that runs beside a test, and what it says. */
export class Daemon {
  readonly child: ChildProcess;
  output = '';
  readonly ended: Promise<void>;
  readonly #name: string;
  #heard = Promise.withResolvers<void>();

  constructor(
    program: string,
    args: readonly string[],
    options: { env?: Record<string, string>; cwd?: string } = {},
  ) {
    this.#name = program;
    this.child = spawn(findProgram(program) ?? program, args, {
      ...options,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdin!.on('error', () => undefined);
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.#hear(text));
    }
    this.ended = once(this.child, 'close').then(
      () => undefined,
      (error: Error) => void (this.output += error.message),
    );
  }

  get running(): boolean {
    return (
      this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null
    );
  }

  /** The first match of `pattern` in what it has said, now or when it does. */
  async said(pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<RegExpExecArray> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () =>
        late.reject(
          new Error(
            `${this.#name} did not say ${pattern} within ${deadlineMs} ms:\n${this.output}`,
          ),
        ),
      deadlineMs,
    );
    try {
      for (;;) {
        const match = pattern.exec(this.output);
        if (match !== null) return match;
        if (!this.running)
          throw new Error(`${this.#name} ended without ${pattern}:\n${this.output}`);
        await Promise.race([this.#heard.promise, this.ended, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #hear(text: string): void {
    this.output = (this.output + text).slice(-OUTPUT_KEPT_CHARS);
    const heard = this.#heard;
    this.#heard = Promise.withResolvers();
    heard.resolve();
  }

  /** Ends it with `signal`, and with SIGKILL when that is not enough. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.running) return;
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), DEADLINE_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end; fails the test unless its exit code is 0. */
export async function run(
  program: string,
  args: readonly string[],
  deadlineMs = RUN_DEADLINE_MS,
): Promise<Finished> {
  const finished = await tryRun(program, args, deadlineMs);
  if (finished.code !== 0)
    throw new Error(
      `${program} ${args.join(' ')} exited with ` +
        `${finished.code}:\n${finished.stdout}\n${finished.stderr}`,
    );
  return finished;
}

/** Runs a program to its end, whatever that is. */
export async function tryRun(
  program: string,
  args: readonly string[],
  deadlineMs = RUN_DEADLINE_MS,
): Promise<Finished> {
  const child = spawn(findProgram(program) ?? program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: deadlineMs,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/**
 * `program args` as it would be run where `names` resolve to loopback, without touching the
 * machine's own /etc/hosts.
 */
export function withHosts(
  hostsFile: string,
  program: string,
  args: readonly string[],
): { program: string; args: string[] } {
  const script = 'mount --bind "$0" /etc/hosts && exec "$@"';
  return {
    program: 'unshare',
    args: ['--mount', 'sh', '-c', script, hostsFile, findProgram(program) ?? program, ...args],
  };
}
