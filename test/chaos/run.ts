import type { FaultKind } from './plan.ts';
import './hooks.ts';

const { runSeed } = await import('./run-seed.ts');
const { VARIANTS } = await import('./variants.ts');

const args = process.argv.slice(2);
const option = (name: string, otherwise: number): number => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(args[at + 1]);
};
const first = option('seed', 1);
const count = option('seeds', args.includes('--seed') ? 1 : 1_000);
const untilMs = Date.now() + option('seconds', 3_600) * 1_000;

if (args.includes('--variants')) {
  for (const [name, { breaks, under }] of Object.entries(VARIANTS)) {
    let seed = first;
    while (seed < first + count && Date.now() < untilMs) {
      if ((await runSeed(seed, breaks, under)).violations.length > 0) break;
      seed += 1;
    }
    console.log(`${name}: ${seed < first + count ? `caught by seed ${seed}` : 'not caught'}`);
  }
  process.exit();
}

const at = args.indexOf('--under');
/** The kinds of faults of every seed, instead of some of all. */
const under = at < 0 ? undefined : (args[at + 1]!.split(',') as FaultKind[]);

const startCpu = process.cpuUsage();
let [bad, done, pulls, ok, events] = [0, 0, 0, 0, 0];
for (let seed = first; seed < first + count && Date.now() < untilMs; seed++) {
  const result = await runSeed(seed, {}, under);
  done += 1;
  pulls += result.pulls.length;
  ok += result.pulls.filter(({ outcome }) => outcome.kind === 'done').length;
  events += result.events;
  if (result.violations.length === 0) continue;
  bad += 1;
  const { agents, roots, faults } = result.plan;
  const lie = result.lie === '' ? '' : ` (${result.lie})`;
  console.log(
    `seed ${seed} (${agents} agents, ${roots} roots; ${faults.join(', ') || 'calm'}${lie}):`,
  );
  for (const violation of result.violations.slice(0, 5)) console.log(`  ${violation}`);
}
const { user, system } = process.cpuUsage(startCpu);
console.log(
  `${done} seeds, ${bad} with violations; ${pulls} pulls, ${ok} done; ${events} events; ` +
    `${((user + system) / 1_000 / Math.max(1, done)).toFixed(0)} ms of CPU a seed; ` +
    `replay one with \`npm run chaos -- --seed N\``,
);
process.exitCode = bad > 0 ? 1 : 0;
