import { Argument, Option } from 'commander';
import type { Command } from 'commander';
import { calledAs } from './called-as.ts';
import { SHELLS, type Shell } from './completion.ts';
import type { InitOptions } from './init.ts';
import type { Output } from './program.ts';

type Finish = (work: Promise<number>) => Promise<void>;

/** The commands to begin with: `shoal init`, `shoal completion` and `shoal version`. */
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
      finish(
        import('./init.ts').then(({ runInit }) =>
          runInit(options, calledAs(process.argv, process.env), output),
        ),
      ),
    );

  program
    .command('completion')
    .summary('print the completion script of a shell')
    .description(
      'Prints a completion script. For bash: source <(shoal completion bash). ' +
        'For zsh: write it to a file named _shoal in $fpath. For fish: shoal completion fish | source.',
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
    .summary('print version, commit and Node.js version')
    .description('Prints the version of Shoal, the commit it was built from, and what it runs on.')
    .action(() => output.out(`${versionText}\n`));
}

function collect(value: string, earlier: string[]): string[] {
  return [...earlier, value];
}
