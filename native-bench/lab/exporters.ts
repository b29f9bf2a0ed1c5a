import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** A line is tested within seconds of a node's start, if it fetches nothing. */
const LINES_DEADLINE_MS = 30_000;
const LOOK_MS = 250;

/** What `/metrics` says on each of the machines, each asked in its network namespace. */
export function readMetrics(
  machines: readonly { command: readonly string[] }[],
  port: number,
): Promise<string[]> {
  return Promise.all(
    machines.map(async ({ command }) => {
      const url = `http://127.0.0.1:${port}/metrics`;
      const [program, ...args] = [...command, 'curl', '-sSf', url];
      return (await promisify(execFile)(program!, args)).stdout;
    }),
  );
}

/** Whether the agents on the machines have tested their lines, after waiting for that. */
export async function linesTested(...of: Parameters<typeof readMetrics>): Promise<boolean> {
  for (const endMs = performance.now() + LINES_DEADLINE_MS; ; await delay(LOOK_MS)) {
    const texts = await readMetrics(...of);
    if (texts.every((text) => /^shoal_line_bytes_per_second\S* [1-9]/m.test(text))) return true;
    if (performance.now() > endMs) return false;
  }
}
