/*
 * Compares pulls through nodes with direct pulls; see docs/REGISTRY.md.
 *
 *   npm run differential -- [--seed N] [--from N] [--count N] [--minutes N] [--only N,N...]
 *
 * Combinations are taken in the order that belongs to the seed. `--minutes` ends a run early, the
 * last fifth of them for what is pulled again; it then prints the `--from` to go on with.
 * Exit code: 0 no difference, 1 differences.
 */
import { parseArgs } from 'node:util';
import { COMBINATIONS, sample } from './behaviour.ts';
import { walk } from './walk.ts';

const PROGRESS_EVERY = 500;
const MINUTE_MS = 60_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '50000' },
    minutes: { type: 'string', default: '' },
    only: { type: 'string' },
  },
});
const [seed, from, count] = [values.seed, values.from, values.count].map(Number) as [
  number,
  number,
  number,
];
const numbers = values.only?.split(',').map(Number) ?? sample(seed, from, count);
const startMs = performance.now();
const limitMs = values.minutes === '' ? Infinity : Number(values.minutes) * MINUTE_MS;

const outcome = await walk(numbers, {
  untilMs: startMs + limitMs * 0.8,
  againUntilMs: startMs + limitMs,
  progress: (done, answers) => {
    for (const answer of answers) console.log(answer);
    if (done % PROGRESS_EVERY === 0) console.log(`${done} of ${numbers.length}, ${seconds()} s`);
  },
});
for (const difference of outcome.costs) console.log(difference);
const { done, answers, costs, doubtful, again } = outcome;
console.log(
  `${done} of ${COMBINATIONS} combinations in ${seconds()} s: ${answers.length} other answers, ` +
    `${costs.length} costs too high (${again} of ${doubtful} doubtful ones pulled again alone)`,
);
if (done < numbers.length) console.log(`go on with --seed ${seed} --from ${from + done}`);
process.exitCode = answers.length + costs.length === 0 ? 0 : 1;

function seconds(): string {
  return ((performance.now() - startMs) / 1_000).toFixed(0);
}
