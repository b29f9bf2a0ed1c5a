import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { NodeProcess } from '../lib/demo/node-process.ts';
import { DemoSwarm } from '../lib/demo/swarm.ts';
import { cliPath } from '../test/built-program.ts';
import { residentBytes, threadSeconds, threadWork } from './processor-time.ts';
import { atLeastZero } from './sim/options.ts';

// Processor time, wake-ups and memory of an idle agent that has one root as its only peer.

const MIB = 1024 * 1024;
const command = new Command('idle')
  .description('Measures an idle agent: processor time, wake-ups and memory')
  .option('--seconds <n>', 'length of the measurement', atLeastZero, 60)
  .option('--settle <n>', 'seconds to wait before it, after the node is ready', atLeastZero, 15)
  .option('--shoal <file>', 'the program to run (default: this checkout, built)', cliPath)
  .option('--json', 'prints one JSON object', false)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
const options = command.parse().opts<{
  seconds: number;
  settle: number;
  shoal: string;
  json: boolean;
}>();

const dir = mkdtempSync(join(tmpdir(), 'shoal-idle-'));
const nodes: NodeProcess[] = [];
process.once('exit', () => {
  for (const node of nodes) node.kill();
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const layout = {
  dir,
  agents: 1,
  upstream: 'http://127.0.0.1:1',
  allow: [],
  imageBytes: 64 * MIB,
};
const swarm = await DemoSwarm.start(
  layout,
  [process.execPath, options.shoal],
  AbortSignal.timeout(60_000),
  (node) => nodes.push(node),
);
const { pid } = swarm.nodes.find(({ role }) => role === 'agent')!.addresses;
const wait = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000));
await wait(options.settle);
const before = { threads: threadSeconds(pid), work: threadWork(pid), wakes: wakeUpsByThread(pid) };
const startMs = performance.now();
await wait(options.seconds);
const seconds = (performance.now() - startMs) / 1000;
const after = { threads: threadSeconds(pid), work: threadWork(pid), wakes: wakeUpsByThread(pid) };
const cpuPercent: Record<string, number> = {};
for (const [name, used] of after.threads)
  cpuPercent[name] = ((used - (before.threads.get(name) ?? 0)) / seconds) * 100;
const wakeUps: Record<string, number> = {};
for (const [name, count] of after.wakes)
  wakeUps[name] = (count - (before.wakes.get(name) ?? 0)) / seconds;
const sum = (values: Record<string, number>): number =>
  Object.values(values).reduce((total, value) => total + value, 0);
const report = {
  seconds,
  cpuPercent: sum(cpuPercent),
  wakeUpsPerSecond: (after.work.wakeUps - before.work.wakeUps) / seconds,
  rssMB: residentBytes(pid)!.nowBytes / 1e6,
  cpuPercentByThread: cpuPercent,
  wakeUpsPerSecondByThread: wakeUps,
};
if (options.json) console.log(JSON.stringify(report));
else {
  const parts = (values: Record<string, number>): string =>
    Object.entries(values)
      .filter(([, value]) => value >= 0.005)
      .map(([name, value]) => `${name} ${value.toFixed(2)}`)
      .join(', ');
  console.log(
    [
      `processor   ${report.cpuPercent.toFixed(2)} % of a core: ${parts(cpuPercent)}`,
      `wake-ups    ${report.wakeUpsPerSecond.toFixed(1)} per second: ${parts(wakeUps)}`,
      `memory      ${report.rssMB.toFixed(1)} MB resident`,
    ].join('\n'),
  );
}
process.exit();

function wakeUpsByThread(of: number): Map<string, number> {
  const wakes = new Map<string, number>();
  for (const tid of readdirSync(`/proc/${of}/task`)) {
    const status = readFileSync(`/proc/${of}/task/${tid}/status`, 'latin1');
    const name = tid === String(of) ? 'control' : /^Name:\s+(.*)$/m.exec(status)![1]!;
    const count = Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)![1]);
    wakes.set(name, (wakes.get(name) ?? 0) + count);
  }
  return wakes;
}
