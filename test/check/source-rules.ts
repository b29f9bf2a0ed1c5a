import { posix } from 'node:path';

/** A source file by its path in the repository, with `/`. */
export interface SourceFile {
  path: string;
  text: string;
}

/** The length at which a file is asked whether it holds one idea. */
export const FILE_LINES_MAX = 400;

/** The formatter's width. It cannot break long strings and comments; this rule asks for it. */
export const LINE_COLUMNS_MAX = 100;

/**
 * What each room may import besides the files at the root of lib/. A room is a folder of lib/, or a
 * folder of lib/control/. Arrows lead toward the core: a room never appears before one that it
 * imports. A room inside another may import its parent's limits.ts.
 */
export const ARROWS: Record<string, readonly string[]> = {
  swarm: [],
  cache: [],
  config: [],
  telemetry: [],
  tls: [],
  wire: ['swarm', 'telemetry'],
  registry: [],
  io: ['cache'],
  'runtime-store': ['cache', 'io'],
  origin: ['registry', 'io', 'tls'],
  cluster: ['swarm', 'wire', 'config'],
  workers: ['io', 'origin', 'registry', 'swarm', 'telemetry', 'wire'],
  front: ['swarm', 'workers', 'registry', 'cluster', 'wire', 'config', 'io', 'telemetry', 'tls'],
  'control/watch': ['workers', 'config', 'telemetry'],
  'control/threads': ['workers', 'registry'],
  'control/shards': ['workers', 'registry', 'swarm', 'cache', 'runtime-store', 'wire', 'io'],
  'control/peers': [
    'registry',
    'control/shards',
    'control/threads',
    'control/watch',
    'workers',
    'swarm',
    'cluster',
    'wire',
    'config',
    'io',
    'telemetry',
  ],
  'control/upstream': [
    'control/peers',
    'control/shards',
    'workers',
    'origin',
    'registry',
    'cluster',
    'wire',
    'io',
    'telemetry',
  ],
  'control/serve': [
    'registry',
    'control/upstream',
    'control/peers',
    'control/shards',
    'workers',
    'swarm',
    'wire',
  ],
  control: [
    'control/serve',
    'control/upstream',
    'control/peers',
    'control/shards',
    'control/threads',
    'control/watch',
    'workers',
    'cache',
    'runtime-store',
    'io',
    'telemetry',
  ],
  node: [
    'control',
    'control/serve',
    'control/upstream',
    'control/peers',
    'control/shards',
    'control/threads',
    'control/watch',
    'front',
    'workers',
    'cluster',
    'cache',
    'config',
    'io',
    'origin',
    'registry',
    'runtime-store',
    'swarm',
    'telemetry',
    'wire',
  ],
  webhook: ['cluster', 'wire', 'config', 'registry', 'telemetry', 'tls'],
  demo: ['registry', 'config', 'telemetry'],
  runtimes: ['config'],
  doctor: ['runtimes', 'cluster', 'wire', 'config', 'origin', 'registry', 'tls'],
  commands: [
    'doctor',
    'node',
    'runtimes',
    'demo',
    'webhook',
    'cluster',
    'registry',
    'wire',
    'config',
    'telemetry',
    'tls',
  ],
};

/** Files at the root of lib/ that everything may import, and those that put everything together. */
const FOUNDATION = new Set([
  'errors.ts',
  'error-fixes.ts',
  'limits.ts',
  'clock.ts',
  'heap.ts',
  'span.ts',
  'version.ts',
  'repeat-cache.ts',
  'share-queue.ts',
  'shard.ts',
  'docker-hub.ts',
  'quantity.ts',
  'system-reason.ts',
  'origin-target.ts',
]);

/**
 * The core that the simulator drives as well as the node: no I/O, no clock, no randomness of its
 * own.
 */
const PURE = [
  /^lib\/swarm\//,
  /^lib\/cache\//,
  /^lib\/registry\/(?!issued-token)/,
  /^lib\/origin\/(content-range|redirect-memory|outages)\.ts$/,
];
const IMPURE_BUILTINS = [
  ...['net', 'fs', 'fs/promises', 'http', 'https', 'dns', 'dgram', 'tls'],
  ...['child_process', 'worker_threads', 'timers', 'timers/promises', 'os', 'process'],
];
const IMPURE_MODULES: ReadonlySet<string> = new Set([
  ...IMPURE_BUILTINS.map((name) => `node:${name}`),
  ...['undici', 'uWebSockets.js', 'piscina'],
]);
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
          return mayImport(from, roomOf(path)) || path === parentLimits(from)
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
        .filter((target) => IMPURE_MODULES.has(target))
        .map((target) => `${file.path}: the pure core must not import ${target}`),
      ...[...withoutComments(file.text).matchAll(IMPURE_NAMES)].map(
        ([name]) => `${file.path}: the pure core must not use ${name}`,
      ),
    ]);
}

/**
 * Lines past LINE_COLUMNS_MAX. What the formatter cannot break has parts with names: a regular
 * expression, a text. A test's title has to be short.
 */
export function wideLines(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => /\.(ts|js|mjs)$/.test(file.path))
    .flatMap(({ path, text }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          line.length > LINE_COLUMNS_MAX
            ? [`${path}:${index + 1}: ${line.length} columns, at most ${LINE_COLUMNS_MAX}`]
            : [],
        ),
    );
}

/** Files past FILE_LINES_MAX. */
export function longFiles(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => /\.(ts|js|css|sh)$/.test(file.path))
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

/** The innermost room of ARROWS a file is in; else its folder of lib/, or its name at the root. */
function roomOf(path: string): string {
  const [, outer = '', inner = ''] = path.split('/');
  return `${outer}/${inner}` in ARROWS ? `${outer}/${inner}` : outer;
}

/** A room's bounds: every room inside it may import them. */
function parentLimits(room: string): string {
  return `lib/${room.split('/')[0]!}/limits.ts`;
}

function importsOf(text: string): string[] {
  return [...withoutComments(text).matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\()'([^']+)'/g)].map(
    (match) => match[1]!,
  );
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}
