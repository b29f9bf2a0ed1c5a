import { Argument, Option } from 'commander';
import type { Command } from 'commander';
import { calledAs } from './called-as.ts';
import { SHELLS, type Shell } from './completion.ts';
import type { EstimateCommandOptions } from './estimate.ts';
import type { InitOptions } from './init.ts';
import { ESTIMATE_LAYERS_MAX, ESTIMATE_NODES_MAX } from './limits.ts';
import { amount, bitRate, byteSize, collect, wholeNumber } from './option-values.ts';
import type { Output } from './process-output.ts';

type Finish = (work: Promise<number>) => Promise<void>;

/** The commands to begin with: `shoal init`, `estimate`, `completion` and `version`. */
export function declareSetupCommands(
  program: Command,
  finish: Finish,
  output: Output,
  versionText: string,
): void {
  program
    .command('init')
    .summary('write a config and a cluster secret to begin with')
    .description(
      'Writes a config file and, unless there is one, a cluster secret. Says what to do next. ' +
        'Never overwrites a file.',
    )
    .option('--dir <dir>', 'where the config and the secret go', '/etc/shoal')
    .option('--data <dir>', 'where the node keeps cache, logs and certificates', '/var/lib/shoal')
    .addOption(
      new Option('--mode <mode>', 'agent: on every node; root: fetches from the registry')
        .choices(['agent', 'root'])
        .default('agent'),
    )
    .addOption(
      new Option('--registry <url>', 'a registry to pull from; may be repeated')
        .argParser((value: string, earlier: string[] | undefined) => [
          ...(earlier ?? []),
          value.includes('://') ? value : `https://${value}`,
        ])
        .makeOptionMandatory(),
    )
    .option('--root <host:port>', 'p2p address of a root; may be repeated', collect, [])
    .option('--peer <host:port>', 'p2p address of another agent; may be repeated', collect, [])
    .option('--node <address>', 'address at which other nodes reach this one')
    .option('--dry-run', 'print the config; write nothing')
    .action((options: InitOptions) =>
      finish(import('./init.ts').then(({ runInit }) => runInit(options, calledAs(), output))),
    );

  program
    .command('estimate')
    .summary('simulate what a rollout takes and saves')
    .description(
      'Simulates a pull of one image by many nodes, through Shoal and straight from the ' +
        'registry. ' +
        'Takes seconds to a minute.',
    )
    .option('--nodes <n>', 'nodes that pull', wholeNumber(1, ESTIMATE_NODES_MAX), 100)
    .option('--image <bytes>', 'size of the image, such as 4GB', byteSize, 1e9)
    .option('--layers <n>', 'layers of equal size', wholeNumber(1, ESTIMATE_LAYERS_MAX), 8)
    .option('--link <rate>', 'link of each node, such as 10Gbit', bitRate, 10e9)
    .option('--origin-link <rate>', 'link of the registry (default: as --link)', bitRate)
    .option('--roots <n>', 'roots', wholeNumber(0, 100), 3)
    .option('--within <seconds>', 'all nodes begin within this time', amount, 5)
    .option('--price <per GB>', 'price of a GB from the registry; adds the cost', amount)
    .option('--json', 'print the result as one JSON object')
    .action((options: EstimateCommandOptions) =>
      finish(import('./estimate.ts').then(({ runEstimate }) => runEstimate(options, output))),
    );

  program
    .command('completion')
    .summary('print the completion script of a shell')
    .description(
      'Prints a completion script. For bash: source <(shoal completion bash). ' +
        ('For zsh: write it to a file named _shoal in $fpath. For fish: shoal completion ' +
          'fish | source.'),
    )
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action((shell: Shell) =>
      finish(
        import('./completion.ts').then(({ completionScript }) => {
          output.out(completionScript(shell, program));
          return 0;
        }),
      ),
    );

  program
    .command('version')
    .summary('print version, commit and peer protocol')
    .description(
      'Prints the versions of Shoal, of the protocol between nodes and of Node.js, and the commit.',
    )
    .action(() => output.out(`${versionText}\n`));
}
