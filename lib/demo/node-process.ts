import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { NodeMode } from '../config/schema.ts';
import { ShoalError, errorTable } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import { UP_READY_TIMEOUT_MS } from './limits.ts';

/** The ready line of a node (docs/SPEC.md 9). */
export interface NodeReady {
  ready: true;
  mode: NodeMode;
  proxy: string;
  p2p: string;
  exporter: string | null;
  pid: number;
}

interface NodeProcessOptions {
  name: string;
  role: NodeMode;
  /** Directory of its own: `config.yaml` is in it, `node.log` will be. */
  dir: string;
  /** Program and first arguments of the node: `[node, lib/shoal.js]`. */
  command: readonly string[];
}

/**
 * A node run as a child process. It ends when this process does: its stdin is a pipe that closes
 * with us.
 */
export class NodeProcess {
  readonly name: string;
  readonly role: NodeMode;
  readonly dir: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #ready: NodeReady | null = null;
  #lastWords = '';

  constructor(options: NodeProcessOptions) {
    this.name = options.name;
    this.role = options.role;
    this.dir = options.dir;
    const [program = process.execPath, ...first] = options.command;
    const args = [
      ...first,
      options.role,
      '--config',
      join(options.dir, 'config.yaml'),
      '--json',
      '--exit-with-parent',
    ];
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const log = createWriteStream(join(options.dir, 'node.log'), { mode: 0o600 });
    this.#child.stdout!.pipe(log, { end: false });
    this.#child.stderr!.pipe(log, { end: false });
    this.#child.stdin!.on('error', () => undefined);
    createInterface(this.#child.stderr!).on('line', (line) => {
      if (line.startsWith('shoal: ') || this.#lastWords === '')
        this.#lastWords = line.replace(/^shoal: /, '');
    });
    this.#ended = once(this.#child, 'close').then(
      () => void log.end(),
      (error: Error) => {
        this.#lastWords = error.message;
        log.end();
      },
    );
  }

  /** Its addresses; only after `started`. */
  get addresses(): NodeReady {
    if (this.#ready === null) throw new Error(`${this.name} is not ready`);
    return this.#ready;
  }

  get running(): boolean {
    return (
      this.#child.pid !== undefined &&
      this.#child.exitCode === null &&
      this.#child.signalCode === null
    );
  }

  /** When it has ended, for whatever reason; never rejects. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /**
   * Waits for the ready line. Throws the node's own code and words when it ends instead, INTERNAL
   * after the deadline, CANCELLED on `signal`.
   */
  async started(signal: AbortSignal): Promise<NodeReady> {
    const lines = createInterface(this.#child.stdout!);
    let timer: NodeJS.Timeout | undefined;
    try {
      this.#ready = await new Promise<NodeReady>((give, fail) => {
        timer = setTimeout(
          () =>
            fail(
              new ShoalError(
                'INTERNAL',
                `${this.name} was not ready within ${UP_READY_TIMEOUT_MS / 1_000} s`,
              ),
            ),
          UP_READY_TIMEOUT_MS,
        );
        lines.on('line', (line) => {
          const ready = readReady(line);
          if (ready !== null) give(ready);
        });
        void this.#ended.then(() => fail(this.#obituary()));
        signal.addEventListener(
          'abort',
          () => fail(new ShoalError('CANCELLED', `${this.name} is no longer wanted`)),
          { once: true },
        );
      });
      return this.#ready;
    } finally {
      clearTimeout(timer);
      lines.close();
      // The interface leaves the stream paused, and a full pipe would hold the node up.
      this.#child.stdout!.resume();
    }
  }

  /** SIGTERM, and SIGKILL to whoever is still there after `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    if (this.running) this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), timeoutMs);
    await this.#ended;
    clearTimeout(timer);
  }

  kill(): void {
    if (this.running) this.#child.kill('SIGKILL');
  }

  #obituary(): ShoalError {
    const [, words = '', code] = /^(.*?)(?: \(([A-Z_]+)\))?$/.exec(this.#lastWords) ?? [];
    const known: ErrorCode =
      code !== undefined && code in errorTable ? (code as ErrorCode) : 'INTERNAL';
    const how = this.#child.signalCode ?? `code ${this.#child.exitCode ?? '?'}`;
    return new ShoalError(
      known,
      `${this.name} did not start (${how}): ${words || 'without a word'}`,
    );
  }
}

function readReady(line: string): NodeReady | null {
  if (!line.startsWith('{"ready":true')) return null;
  try {
    return JSON.parse(line) as NodeReady;
  } catch {
    return null;
  }
}
