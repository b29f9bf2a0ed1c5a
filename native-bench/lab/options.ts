import { Command, Option } from 'commander';
import { atLeastZero, parseBytes, parseRate, parseShare, whole } from '../sim/options.ts';

export interface LabOptions {
  nodes: number;
  imageBytes: number;
  layers: number;
  small: number;
  /** Rate of each node's link; null: loopback, not shaped. */
  linkMbit: number | null;
  /** Part of the agents with a quarter of that. */
  slow: number;
  originLinkMbit: number | null;
  /** Without segmentation offload. */
  packets: boolean;
  relay: boolean;
  /** Nodes write their cache with O_DIRECT. */
  direct: boolean;
  /** The program to measure; null: this checkout's, as it ships. */
  shoal: string | null;
  /** Part of the agents killed during the pull. */
  kill: number;
  spreadMs: number;
  seed: number;
  json: boolean;
  keep: boolean;
}

/** Reads the command line. Commander prints help or the mistake, and exits with 0 or 2. */
export function parseLabOptions(argv: readonly string[]): LabOptions {
  const command = new Command('lab')
    .description(
      'Runs a swarm of real processes: one root and agents that all pull one image at ' +
        'once from an ' +
        ('embedded registry that counts. With --link each node has a network namespace ' +
          'and a shaped link.'),
    )
    .option('--nodes <n>', 'agents that pull', whole(1), 16)
    .option(
      '--image <size>',
      'bytes of the large layers together',
      parseBytes,
      parseBytes('512MiB'),
    )
    .option('--layers <n>', 'large layers', whole(1), 1)
    .option('--small <n>', 'layers of 1 to 8 KB besides (default: 200, with --link 0)', whole(0))
    .option('--link <rate>', "rate of every node's link, e.g. 100Mbit (needs root)", parseMbit)
    .option('--origin-link <rate>', "rate of the registry's link (default: --link)", parseMbit)
    .option('--slow <share>', 'part of the agents that have a quarter of --link', parseShare, 0)
    .option('--packets', 'switches segmentation offload off: data arrives packet by packet', false)
    .option('--relay', 'also measures a bare relay in the same network, as a unit of cost', false)
    .option('--direct', 'nodes write their cache with O_DIRECT (aioEnable: 1)', false)
    .option('--shoal <file>', 'the program to run (default: this checkout, built)')
    .option(
      '--kill <share>',
      'part of the agents killed (-9) during the pull, e.g. 33%',
      parseShare,
      0,
    )
    .option('--spread <ms>', 'agents start to pull at random within this time', atLeastZero, 0)
    .option('--seed <n>', "selects who is killed when, and the image's content", whole(0), 1)
    .option('--json', 'prints one JSON object on the last line', false)
    .addOption(
      new Option(
        '--keep',
        "keeps the nodes' logs (with --link: of level debug) and prints where",
      ).default(false),
    )
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  const got = command.parse(argv, { from: 'user' }).opts<Record<string, never>>();
  const unshaped = ['slow', 'originLink', 'packets', 'relay', 'direct', 'shoal'];
  const isGiven = (name: string): boolean => ![undefined, false, 0].includes(got[name]);
  const without = unshaped.find(isGiven);
  if (got['link'] === undefined && without !== undefined)
    command.error(`error: option '${without}' needs --link`, { exitCode: 2 });
  if (got['link'] !== undefined && (got['kill']! > 0 || got['spread']! > 0))
    command.error('error: --kill and --spread do not work with --link', { exitCode: 2 });
  return {
    nodes: got['nodes']!,
    imageBytes: got['image']!,
    layers: got['layers']!,
    small: got['small'] ?? (got['link'] === undefined ? 200 : 0),
    linkMbit: got['link'] ?? null,
    slow: got['slow']!,
    originLinkMbit: got['originLink'] ?? null,
    packets: got['packets']!,
    relay: got['relay']!,
    direct: got['direct']!,
    shoal: got['shoal'] ?? null,
    kill: got['kill']!,
    spreadMs: got['spread']!,
    seed: got['seed']!,
    json: got['json']!,
    keep: got['keep']!,
  };
}

/** `100Mbit`: megabits per second. Throws `InvalidArgumentError`. */
function parseMbit(text: string): number {
  return (parseRate(text) * 8) / 1000;
}
