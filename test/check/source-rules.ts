import { posix } from 'node:path';

/** A source file by its path in the repository, with `/`. */
export interface SourceFile {
  path: string;
  text: string;
}

/** The length at which a file is asked whether it holds one idea (STYLE.md of the house). */
export const FILE_LINES_MAX = 400;
/** Tables of constants, which are read by searching. */
const TABLES = new Set(['lib/limits.ts']);

/**
 * What each folder of lib/ may import besides the files at its root. Arrows lead toward the core: a
 * folder never appears before one that it is imported by.
 */
export const ARROWS: Record<string, readonly string[]> = {
  swarm: [],
  cache: [],
  config: [],
  telemetry: [],
  tls: [],
  io: ['cache'],
  registry: ['io'],
  cluster: ['config'],
  workers: ['io', 'registry', 'telemetry'],
  front: ['workers', 'registry', 'cluster', 'config', 'io', 'telemetry', 'tls'],
  control: ['workers', 'swarm', 'registry', 'cluster', 'cache', 'config', 'io', 'telemetry'],
  webhook: ['cluster', 'config', 'registry', 'telemetry', 'tls'],
  demo: ['registry', 'config', 'telemetry'],
  runtimes: ['config'],
  commands: ['runtimes', 'demo', 'webhook', 'registry', 'config', 'telemetry'],
};

/** Files at the root of lib/ that everything may import, and those that put everything together. */
const FOUNDATION = new Set(['errors.ts', 'limits.ts', 'clock.ts', 'version.ts']);

/**
 * The core that the simulator drives as well as the node: no I/O, no clock, no randomness of its
 * own.
 */
const PURE = [
  /^lib\/swarm\//,
  /^lib\/cache\//,
  /^lib\/registry\/(route|upstream|url|names|identity|range|origin-range|allow|access|manifest|redirect-memory|media|words|outages)\.ts$/,
];
const IMPURE_MODULES =
  /^(?:node:(?:net|fs|fs\/promises|http|https|dns|dgram|tls|child_process|worker_threads|timers.*|os|process)|undici|uWebSockets\.js|piscina)$/;
const IMPURE_NAMES =
  /\b(?:Date|performance|setTimeout|setInterval|setImmediate|process)\b(?!\s*:)|\bMath\.random\b/g;

const UNFINISHED = /\b(?:TODO|FIXME|XXX)\b|\bstubs?\b|not implemented/i;
const LEFT_IN_TESTS =
  /\b(?:it|describe|suite|test)\.(?:only|skip)\b|\bsetTimeout\(\s*(?:resolve|done)\b|\bsleep\(/;

/** Imports that go against the arrows, or lead nowhere the table knows. */
export function wrongArrows(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => file.path.startsWith('lib/'))
    .flatMap((file) => {
      const from = roomOf(file.path);
      return importsOf(file.text)
        .filter((target) => target.startsWith('.'))
        .flatMap((target) => {
          const path = posix.join(posix.dirname(file.path), target);
          if (!path.startsWith('lib/')) return [`${file.path}: imports ${path}, outside lib/`];
          return mayImport(from, roomOf(path))
            ? []
            : [`${file.path}: ${from} must not import ${path}`];
        });
    });
}

/** I/O, clocks and randomness in the pure core. */
export function impurities(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => PURE.some((pattern) => pattern.test(file.path)))
    .flatMap((file) => [
      ...importsOf(file.text)
        .filter((target) => IMPURE_MODULES.test(target))
        .map((target) => `${file.path}: the pure core must not import ${target}`),
      ...[...withoutComments(file.text).matchAll(IMPURE_NAMES)].map(
        ([name]) => `${file.path}: the pure core must not use ${name}`,
      ),
    ]);
}

/** Files past FILE_LINES_MAX. */
export function longFiles(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => /\.(ts|js|css|sh)$/.test(file.path) && !TABLES.has(file.path))
    .flatMap((file) => {
      const lines = file.text.split('\n').length - 1;
      return lines > FILE_LINES_MAX
        ? [`${file.path}: ${lines} lines, at most ${FILE_LINES_MAX}`]
        : [];
    });
}

/** Marks of unfinished work in what is shipped, and of half-run or sleeping tests. */
export function leftovers(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const pattern = /^(?:lib|native-bench|deploy)\//.test(path)
      ? UNFINISHED
      : /^test\/(?!check\/).*\.ts$/.test(path)
        ? LEFT_IN_TESTS
        : null;
    const found = pattern?.exec(text) ?? null;
    return found === null ? [] : [`${path}: "${found[0]}"`];
  });
}

/** Places of the machine the work was done on, which mean nothing anywhere else. */
export function machinePaths(files: readonly SourceFile[], places: readonly string[]): string[] {
  return files.flatMap(({ path, text }) =>
    places.filter((place) => text.includes(place)).map((place) => `${path}: names ${place}`),
  );
}

/** Where the table of arrows contradicts itself: arrows to a folder that is not further in. */
export function cyclesIn(arrows: Record<string, readonly string[]>): string[] {
  const order = Object.keys(arrows);
  return order.flatMap((from, index) =>
    (arrows[from] ?? [])
      .filter((to) => order.indexOf(to) >= index || !order.includes(to))
      .map((to) => `${from} -> ${to}`),
  );
}

function mayImport(from: string, to: string): boolean {
  if (from === to || FOUNDATION.has(to)) return true;
  if (FOUNDATION.has(from)) return false;
  // The roots of the program put the parts together; nothing imports them but each other.
  if (/\.[jt]s$/.test(from)) return true;
  return (ARROWS[from] ?? []).includes(to) || (from === 'commands' && to === 'node.ts');
}

/** The folder of lib/ a file is in, or its name when it is at the root. */
function roomOf(path: string): string {
  return path.split('/')[1] ?? '';
}

function importsOf(text: string): string[] {
  return [...withoutComments(text).matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\()'([^']+)'/g)].map(
    (match) => match[1]!,
  );
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}
