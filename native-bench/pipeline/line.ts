import { execFileSync } from 'node:child_process';

/** Of the range for benchmarks of network devices (RFC 2544): nobody has them. */
const [FAR, NEAR] = ['198.18.0.1', '198.18.0.2'];
/** What the shaper passes at once: a few of the kernel's largest segments. */
const BURST = '512kb';

/**
 * A network namespace behind a line of so many Mbit/s, in both directions; needs root, `ip` and
 * `tc`.
 */
export class Line {
  /** Where what runs behind the line is reached. */
  readonly host = FAR;
  readonly #name = `shoal-line-${process.pid}`;
  readonly #near = `sl${process.pid}`;

  constructor(megabits: number) {
    const ip = (...args: string[]): void =>
      void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const shape =
      (...prefix: string[]): ((device: string) => void) =>
      (device) => {
        const [program = 'tc', ...args] = [
          ...prefix,
          'tc',
          'qdisc',
          'add',
          'dev',
          device,
          'root',
          'tbf',
          'rate',
          `${megabits}mbit`,
          'burst',
          BURST,
          'latency',
          '20ms',
        ];
        execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
      };
    ip('netns', 'add', this.#name);
    process.once('exit', () => this.remove());
    ip('link', 'add', this.#near, 'type', 'veth', 'peer', 'name', 'far', 'netns', this.#name);
    ip('addr', 'add', `${NEAR}/30`, 'dev', this.#near);
    ip('link', 'set', this.#near, 'up');
    ip('-n', this.#name, 'addr', 'add', `${FAR}/30`, 'dev', 'far');
    ip('-n', this.#name, 'link', 'set', 'far', 'up');
    shape()(this.#near);
    shape('ip', 'netns', 'exec', this.#name)('far');
  }

  /** The command that runs `command` behind the line. */
  wrap(command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.#name, ...command];
  }

  remove(): void {
    for (const args of [
      ['link', 'delete', this.#near],
      ['netns', 'delete', this.#name],
    ]) {
      try {
        execFileSync('ip', args, { stdio: 'ignore' });
      } catch {
        // It was removed before.
      }
    }
  }
}
