import './hooks.ts';

const { runSeed } = await import('./run-seed.ts');
const { VARIANTS } = await import('./variants.ts');

/**
 * Prints for each variant the first seed that catches it. The real node must pass the same seed
 * under the same faults.
 */
const [only, from = '1', most = '60'] = process.argv.slice(2);
for (const [name, { breaks, under }] of Object.entries(VARIANTS)) {
  if (only !== undefined && only !== 'all' && only !== name) continue;
  let found: string | null = null;
  for (let seed = Number(from); seed < Number(from) + Number(most) && found === null; seed++) {
    const { violations } = await runSeed(seed, breaks, under);
    if (violations.length === 0) continue;
    const { violations: real } = await runSeed(seed, {}, under);
    const also = real.length > 0 ? ` (the real node, too: ${real[0]})` : '';
    found = `${seed}${also}: ${violations[0]}`;
  }
  console.log(`${name}: ${found ?? 'NOT CAUGHT'}`.slice(0, 250));
}
