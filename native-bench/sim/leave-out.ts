import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type Rule, RULES } from './rules.ts';

/** The folder whose rules can be left out. */
export const SWARM = new URL('../../lib/swarm/', import.meta.url);

/** The text of a file of lib/swarm without a rule. Throws if the text to change is not in it. */
export function without({ name, file, from, to }: Rule): string {
  const path = fileURLToPath(new URL(file, SWARM));
  const text = readFileSync(path, 'utf8');
  if (text.split(from).length !== 2)
    throw new Error(
      `rule ${name}: ${path} must contain this text once: ${from}; ` +
        'correct native-bench/sim/rules.ts',
    );
  return text.replace(from, () => to);
}

/**
 * Leaves the rule out of the source of lib/swarm as it is loaded. So the core needs no switches.
 * To be called before anything of lib/swarm is imported.
 */
export function leaveOut(name: string): void {
  const rule = RULES.find((one) => one.name === name);
  if (rule === undefined)
    throw new Error(`no rule ${name}; known rules: ${RULES.map((one) => one.name).join(', ')}`);
  const source = without(rule);
  const changed = new URL(rule.file, SWARM).href;
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context);
      return url === changed ? { ...loaded, source } : loaded;
    },
  });
}
