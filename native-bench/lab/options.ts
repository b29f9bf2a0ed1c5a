import { Command, Option } from 'commander';
import { atLeastZero, parseBytes, parseShare, whole } from '../sim/options.ts';

export interface LabOptions {
  nodes: number;
  imageBytes: number;
  layers: number;
  small: number;
  /** Part of the agents killed on the way. */
  kill: number;
  spreadMs: number;
  seed: number;
  json: boolean;
  keep: boolean;
}

/** Reads the command line; commander prints help or what is wrong, and exits with 0 or 2. */
export function parseLabOptions(argv: readonly string[]): LabOptions {
  const command = new Command('lab')
    .description(
      'A swarm of real processes on loopback, one root and agents before an embedded registry that counts: all pull one image at once',
    )
    .option('--nodes <n>', 'agents that pull', whole(1), 16)
    .option(
      '--image <size>',
      'bytes of the large layers together',
      parseBytes,
      parseBytes('512MiB'),
    )
    .option('--layers <n>', 'large layers', whole(1), 1)
    .option('--small <n>', 'small blobs besides (layers of 1 to 8 KB)', whole(0), 200)
    .option('--kill <share>', 'part of the agents killed (-9) on the way, e.g. 33%', parseShare, 0)
    .option('--spread <ms>', 'agents begin to pull at random within this time', atLeastZero, 0)
    .option('--seed <n>', "who is killed when, and the image's content", whole(0), 1)
    .option('--json', 'one JSON object on the last line', false)
    .addOption(new Option('--keep', "leaves the nodes' logs and says where").default(false))
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  const got = command.parse(argv, { from: 'user' }).opts<Record<string, never>>();
  return {
    nodes: got['nodes']!,
    imageBytes: got['image']!,
    layers: got['layers']!,
    small: got['small']!,
    kill: got['kill']!,
    spreadMs: got['spread']!,
    seed: got['seed']!,
    json: got['json']!,
    keep: got['keep']!,
  };
}
