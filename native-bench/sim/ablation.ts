import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Report } from './report.ts';
import { type Rule, RULES } from './rules.ts';

const SCRIPT = fileURLToPath(new URL('../sim.ts', import.meta.url));

/**
 * Without a rule its figure is at least so many times as high. Otherwise the rule is not needed.
 */
const WORSE_MIN = 1.03;

const FIGURES = {
  p95: { name: 'P95', of: ({ p95Seconds }) => p95Seconds, show: seconds },
  slowest: { name: 'slowest pull', of: ({ maxSeconds }) => maxSeconds, show: seconds },
  origin: {
    name: 'from the origin',
    of: ({ originBytes, imageBytes }) => originBytes / imageBytes,
    show: (value) => `${value.toFixed(2)} x the image`,
  },
  requests: {
    name: 'requests to the origin',
    of: ({ originRequests }) => originRequests,
    show: String,
  },
  failed: {
    name: 'failed reads of clients',
    of: ({ failedReads }) => failedReads,
    show: String,
  },
  messages: {
    name: 'messages a shard',
    of: ({ messagesPerShard }) => messagesPerShard,
    show: (value) => value.toFixed(2),
  },
} satisfies Record<
  string,
  { name: string; of: (report: Report) => number; show: (value: number) => string }
>;

export type FigureName = keyof typeof FIGURES;

export interface Ablation {
  rule: Rule;
  withRule: number;
  withoutRule: number;
  isNeeded: boolean;
}

/** Pulls with every rule, by their options: several rules share one. */
const bases = new Map<string, Report>();

/** Pulls the rule's image with it and without it, each in a process of its own. */
export function ablate(rule: Rule): Ablation {
  const { of } = FIGURES[rule.figure];
  const base = bases.get(rule.pull) ?? pull(rule.pull);
  bases.set(rule.pull, base);
  const withRule = of(base);
  const withoutRule = of(pull(`${rule.pull} --without ${rule.name}`));
  return {
    rule,
    withRule,
    withoutRule,
    isNeeded: withoutRule > 0 && withoutRule >= WORSE_MIN * withRule,
  };
}

/** The rules that `name` means: all, or one. Throws if there is none. */
export function rulesNamed(name: string): readonly Rule[] {
  const rules = name === 'all' ? RULES : RULES.filter((rule) => rule.name === name);
  if (rules.length === 0)
    throw new Error(`no rule ${name}; known rules: ${RULES.map((one) => one.name).join(', ')}`);
  return rules;
}

/** A row of the table in docs/SWARM.md. */
export function tableRow({ rule, withRule, withoutRule }: Ablation): string {
  const { name, show } = FIGURES[rule.figure];
  return (
    `| \`${rule.name}\` | ${rule.says} | \`${rule.pull}\` | ` +
    `${name}: ${show(withRule)}, without ${show(withoutRule)} |`
  );
}

function pull(options: string): Report {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [...process.execArgv, SCRIPT, ...options.split(' '), '--json'],
    { encoding: 'utf8' },
  );
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`the pull ${options} failed: ${stderr}`);
  return JSON.parse(last) as Report;
}

function seconds(value: number): string {
  return `${value.toFixed(3)} s`;
}
