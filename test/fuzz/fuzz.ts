import { readFileSync } from 'node:fs';
import { ShoalError } from '../../lib/errors.ts';
import { randomFrom } from '../cache/random.ts';
import type { Target } from './targets.ts';

/** Inputs that once failed, by target; each is tried first, always. */
export const CORPUS_FILE = new URL('corpus.json', import.meta.url);

/** An input takes well under a millisecond; one that takes this long is an attack on its parser. */
const INPUT_MS_MAX = 1_000;
/** Longer inputs are refused before they are parsed, or are files of the operator's own. */
const INPUT_CHARS_MAX = 4_096;

export interface Failure {
  target: string;
  input: string;
  reason: string;
}

export function readCorpus(): Record<string, string[]> {
  return JSON.parse(readFileSync(CORPUS_FILE, 'utf8')) as Record<string, string[]>;
}

/** Tries one input. Returns why it failed, or null. */
export function tryInput(target: Target, input: string): string | null {
  const startMs = performance.now();
  try {
    target.run(input);
  } catch (thrown) {
    if (!(thrown instanceof ShoalError))
      return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
  const tookMs = performance.now() - startMs;
  return tookMs > INPUT_MS_MAX ? `took ${Math.round(tookMs)} ms` : null;
}

/**
 * Tries the corpus and then `runs` mutated inputs, shared among the targets so that each gets about
 * the same time. From a seed.
 */
export function fuzz(
  targets: readonly Target[],
  { runs, seed }: { runs: number; seed: number },
): { runs: number; failures: Failure[] } {
  const random = randomFrom(seed);
  const corpus = readCorpus();
  const failures: Failure[] = [];
  let done = 0;
  const perUs = targets.reduce((sum, { costUs }) => sum + 1 / costUs, 0);
  for (const target of targets) {
    const kept = [...target.seeds, ...(corpus[target.name] ?? [])];
    const share = Math.ceil(runs / (target.costUs * perUs));
    for (let run = 0; run < kept.length + share; run++) {
      const input = kept[run] ?? mutate(pick(kept, random), pick(kept, random), random);
      done++;
      const reason = tryInput(target, input);
      if (reason === null) continue;
      failures.push({ target: target.name, input, reason });
      break;
    }
  }
  return { runs: done, failures };
}

const TOKENS = [
  '', '\0', '\r\n', '\n', '\\', '"', "'", '%', '%2F', '%00', '/', '//', '..', '?', '#', '@', ':',
  ',', ';', '=', '-', '-1', '0', '9007199254740993', '1e309', 'NaN', 'null', '{}', '[]', '[[[[',
  '{"a":', '__proto__', 'constructor', '\ud800', '\u00ff', '\u{1f433}', ' ', '\t', '*',
]; // prettier-ignore

/** `input` after one to four small changes; `other` is a valid input to take pieces of. */
function mutate(input: string, other: string, random: () => number): string {
  let text = input;
  for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
    const at = Math.floor(random() * (text.length + 1));
    const to = Math.min(text.length, at + Math.floor(random() * random() * 40));
    const [before, middle, after] = [text.slice(0, at), text.slice(at, to), text.slice(to)];
    const kind = Math.floor(random() * 7);
    if (kind === 0) text = before + after;
    else if (kind === 1) text = before + pick(TOKENS, random) + after;
    else if (kind === 2) text = before + pick(TOKENS, random) + middle + after;
    else if (kind === 3) text = before + middle + middle + after;
    else if (kind === 4) text = before + String.fromCharCode(random() * 256) + text.slice(at + 1);
    else if (kind === 5) text = before + other.slice(Math.floor(random() * other.length));
    else text = before + middle.repeat(Math.floor(random() * 50)) + after;
  }
  return text.slice(0, INPUT_CHARS_MAX);
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)]!;
}
