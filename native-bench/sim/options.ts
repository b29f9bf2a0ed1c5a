import { Command, InvalidArgumentError, Option } from 'commander';
import { quantaFor } from './pieces.ts';
import { defaultPuller } from './puller.ts';
import { noFaults, type Faults } from './shoal.ts';

export interface SimOptions {
  mode: 'shoal' | 'direct' | 'layer-tree';
  nodes: number;
  imageBytes: number;
  layers: number;
  linkBytesPerMs: number;
  originBytesPerMs: number;
  roots: number;
  zones: number;
  cores: number;
  delayMs: number;
  spreadMs: number;
  quanta: number;
  treeFanout: number;
  /** Shape of Shoal's trees, and the shards a reader has under way: for finding the best. */
  fanout: number | null;
  ownerFanout: number | null;
  windowShards: number;
  seed: number;
  faults: Faults;
  /** The agents have tested their lines before the pull. */
  tested: boolean;
  table: boolean;
  grid: boolean;
  conditions: boolean;
  json: boolean;
  ablate?: string;
  plot?: string;
}

const BYTES: Record<string, number> = {
  '': 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};
const BITS: Record<string, number> = { kbit: 1e3, mbit: 1e6, gbit: 1e9, tbit: 1e12 };

/** `1GB`, `512MiB`: bytes. Throws `InvalidArgumentError`. */
export function parseBytes(text: string): number {
  return measure(text, BYTES, 'a size such as 1GB or 512MiB');
}

/** `10Gbit`: bytes per millisecond. Throws `InvalidArgumentError`. */
export function parseRate(text: string): number {
  return measure(text, BITS, 'a rate such as 10Gbit or 100Mbit') / 8 / 1000;
}

function measure(text: string, units: Record<string, number>, what: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)(?:\/s)?$/i.exec(text.trim());
  const unit = match === null ? undefined : units[match[2]!.toLowerCase()];
  if (match === null || unit === undefined || Number(match[1]) <= 0)
    throw new InvalidArgumentError(`Expected ${what}.`);
  return Number(match[1]) * unit;
}

/** A whole number from `least`. Throws `InvalidArgumentError`. */
export function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least)
      throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
    return value;
  };
}

/** A number from 0. Throws `InvalidArgumentError`. */
export function atLeastZero(text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new InvalidArgumentError('Expected a number from 0.');
  return value;
}

/** `33%` or `0.33`, at most the whole. Throws `InvalidArgumentError`. */
export function parseShare(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim());
  const share = match === null ? Number.NaN : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (!(share <= 1)) throw new InvalidArgumentError('Expected a share such as 33%.');
  return share;
}

/** `kill=5%,slow=0.05`: the part of the nodes each happens to. Throws `InvalidArgumentError`. */
export function parseFaults(text: string): Faults {
  const faults = { ...noFaults };
  for (const part of text.split(',')) {
    const match = /^([a-zA-Z]+)=(\d+(?:\.\d+)?)(%?)$/.exec(part.trim());
    const name = match?.[1];
    const share = match === null ? Number.NaN : Number(match[2]) / (match[3] === '%' ? 100 : 1);
    if (name === undefined || !Object.hasOwn(faults, name) || !(share <= 1)) {
      throw new InvalidArgumentError(
        `Expected a list such as kill=5%,slow=5%; known: ${Object.keys(faults).join(', ')}.`,
      );
    }
    faults[name as keyof Faults] = share;
  }
  return faults;
}

/** What runs pulls of its own, and the options that still count for them. */
const SERIES: Record<string, readonly string[]> = {
  grid: ['nodes', 'seed', 'json', 'without'],
  conditions: ['seed', 'json', 'without'],
  table: ['seed', 'originLink', 'json', 'without'],
  ablate: [],
};

/** Prints which option would be ignored, and exits with 2. */
function refuseUnused(command: Command): void {
  const given = command.options
    .map((option) => option.attributeName())
    .filter((name) => command.getOptionValueSource(name) === 'cli');
  const series = Object.keys(SERIES).find((name) => given.includes(name));
  if (series === undefined) return;
  const unused = given.filter((name) => name !== series && !SERIES[series]!.includes(name));
  if (unused.length === 0) return;
  const flagOf = (name: string): string =>
    command.options.find((option) => option.attributeName() === name)!.long!;
  command.error(
    `error: ${flagOf(series)} runs pulls of its own; leave out ${unused.map(flagOf).join(', ')}`,
  );
}

/** Reads the command line; commander prints help or what is wrong, and exits with 0 or 2. */
export function parseOptions(argv: readonly string[]): SimOptions {
  const command = new Command('sim')
    .description(
      'Simulates an image pull of many nodes at once, driving the same core as the nodes do',
    )
    .addOption(
      new Option(
        '--mode <mode>',
        'shoal; direct: everybody from the origin; layer-tree: one fixed tree a layer',
      )
        .choices(['shoal', 'direct', 'layer-tree'])
        .default('shoal'),
    )
    .option('--nodes <n>', 'agents that pull', whole(1), 1000)
    .option('--image <size>', 'image size', parseBytes, 1e9)
    .option('--layers <n>', 'layers of equal size', whole(1), 1)
    .option(
      '--link <rate>',
      "every node's link, each way, e.g. 25Mbit, 1Gbit, 10Gbit",
      parseRate,
      parseRate('10Gbit'),
    )
    .option('--origin-link <rate>', "the origin's link", parseRate, parseRate('10Gbit'))
    .option('--roots <n>', 'roots', whole(0), 3)
    .option('--zones <n>', 'zones', whole(1), 1)
    .option('--cores <n>', "cores a node's agent has", whole(1), 4)
    .option('--delay <ms>', 'one way between nodes', atLeastZero, 0.25)
    .option('--spread <ms>', 'nodes begin at random within this time', atLeastZero, 50)
    .option(
      '--quanta <n>',
      'parts a shard is sent in; fewer are cheaper to simulate, and pass on later ' +
        '(default: as agents gather bytes on such a line; in large runs 8 or 4)',
      whole(2),
    )
    .option('--tree-fanout <n>', 'children of a node in layer-tree', whole(1), 2)
    .option(
      '--fanout <n>',
      'children of an inner node (default: chosen by nodes and line)',
      whole(1),
    )
    .option('--owner-fanout <n>', 'children of an owner', whole(1))
    .option('--window <n>', 'shards a reader has under way', whole(1), defaultPuller.windowShards)
    .option('--seed <n>', 'the run to replay', whole(0), 1)
    .option(
      '--fail <list>',
      `e.g. kill=5%,slow=5%; of ${Object.keys(noFaults).join(', ')}`,
      parseFaults,
      noFaults,
    )
    .option('--tested', 'the agents have run for a while, and tested their lines', false)
    .option('--table', 'the seven rows of the reference measurement', false)
    .option('--grid', 'pulls over a grid of nodes (up to --nodes), lines and images', false)
    .option(
      '--conditions',
      'pulls of 64 MB by 40 nodes over uneven lines, and with a third of them failing',
      false,
    )
    .option('--without <rule>', 'leaves out a rule of lib/swarm (native-bench/sim/rules.ts)')
    .option(
      '--ablate <rule>',
      'a pull with and without a rule of lib/swarm, as in docs/SWARM.md; all: of every rule',
    )
    .option('--json', 'one JSON object on the last line', false)
    .option('--plot <file>', 'draws how the nodes finished, as SVG')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  const got = command.parse(argv, { from: 'user' }).opts<Record<string, never>>();
  refuseUnused(command);
  return {
    mode: got['mode']!,
    nodes: got['nodes']!,
    imageBytes: got['image']!,
    layers: got['layers']!,
    linkBytesPerMs: got['link']!,
    originBytesPerMs: got['originLink']!,
    roots: got['roots']!,
    zones: got['zones']!,
    cores: got['cores']!,
    delayMs: got['delay']!,
    spreadMs: got['spread']!,
    quanta: got['quanta'] ?? quantaFor(got['nodes']!, got['image']!, got['link']!),
    treeFanout: got['treeFanout']!,
    fanout: got['fanout'] ?? null,
    ownerFanout: got['ownerFanout'] ?? null,
    windowShards: got['window']!,
    seed: got['seed']!,
    faults: got['fail']!,
    tested: got['tested']!,
    table: got['table']!,
    grid: got['grid']!,
    conditions: got['conditions']!,
    json: got['json']!,
    ...(got['ablate'] === undefined ? {} : { ablate: got['ablate'] }),
    ...(got['plot'] === undefined ? {} : { plot: got['plot'] }),
  };
}
