import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CORPUS_FILE, fuzz, readCorpus } from './fuzz.ts';
import { targets } from './targets.ts';

/**
 * `npm run fuzz -- [--runs N] [--seed N] [--target NAME]`: exit 1 and a longer corpus on a failure.
 */
const { values } = parseArgs({
  options: { runs: { type: 'string' }, seed: { type: 'string' }, target: { type: 'string' } },
});
const seed = Number(values.seed ?? Date.now() % 1e9);
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0) throw new Error(`no target ${values.target}; see test/fuzz/targets.ts`);
const startMs = performance.now();
const { runs, failures } = fuzz(chosen, { runs: Number(values.runs ?? 1_000_000), seed });
const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
console.log(`${runs} executions, ${chosen.length} targets, seed ${seed}, ${seconds} s`);
const corpus = readCorpus();
for (const { target, input, reason } of failures) {
  console.log(`FAILED ${target}: ${JSON.stringify(input)}\n${reason}`);
  corpus[target] = [...new Set([...(corpus[target] ?? []), input])];
}
if (failures.length > 0) {
  writeFileSync(CORPUS_FILE, `${JSON.stringify(corpus, null, 2)}\n`);
  process.exitCode = 1;
}
