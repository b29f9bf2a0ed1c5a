import { Option } from 'commander';
import type { Command } from 'commander';
import type { Output } from './process-output.ts';

type Finish = (work: Promise<number>) => Promise<void>;

interface WatchOptions {
  url?: string;
  node?: string;
  json?: boolean;
  secretFile?: string;
  once?: boolean;
}

/** The commands that look at running nodes: `shoal status`, `pulls`, `top` and `token`. */
export function declareWatchCommands(program: Command, finish: Finish, output: Output): void {
  program
    .command('status')
    .summary('show one node')
    .description(
      'Shows cache, peers, rates and blobs in flight of one node. Without --url it asks a ' +
        'node of this user on this machine over its admin socket, which needs no exporter ' +
        'port. Exits with 1 while the node is not ready.',
    )
    .addOption(url())
    .addOption(node())
    .option('--json', 'print everything the table shows as JSON')
    .action(({ json = false, ...at }: WatchOptions) =>
      finish(import('./status.ts').then(({ runStatus }) => runStatus({ ...at, json }, output))),
    );

  program
    .command('pulls')
    .summary('show the last pulls of one node')
    .description(
      'Shows the pulls under way and the last 100 that ended on one node: size, time, where the ' +
        'bytes came from, what the client waited for, and errors.',
    )
    .addOption(url())
    .addOption(node())
    .addOption(secretFile())
    .option('--json', 'print one JSON object')
    .action(({ json = false, secretFile: file, ...at }: WatchOptions) =>
      finish(
        (async () => {
          const [{ runPulls }, { tokenFor }] = await Promise.all([
            import('./pulls.ts'),
            import('./token.ts'),
          ]);
          return runPulls({ ...at, json, token: tokenFor(file, process.env) }, output);
        })(),
      ),
    );

  program
    .command('top')
    .summary('show the swarm, live')
    .description(
      'Shows all nodes of the swarm, as any of them knows it: bytes saved, progress, nodes that ' +
        'are slow or fail, images. Follows them on a terminal until Ctrl-C or q; prints them ' +
        'once elsewhere.',
    )
    .addOption(url())
    .addOption(node())
    .addOption(secretFile())
    .option('--once', 'print once and end')
    .option('--json', 'print one JSON object, once')
    .action(({ json = false, once = false, secretFile: file, ...at }: WatchOptions) =>
      finish(
        (async () => {
          const [{ runTop }, { tokenFor }] = await Promise.all([
            import('./top.ts'),
            import('./token.ts'),
          ]);
          return runTop({ ...at, json, once, token: tokenFor(file, process.env) }, output);
        })(),
      ),
    );

  program
    .command('token')
    .summary('print the read-only token of a cluster')
    .description(
      'Prints the token that opens /swarm and the pulls of a node to readers on other ' +
        'machines, as a bearer token or as the password of any user. It is derived from ' +
        'the cluster secret.',
    )
    .addOption(secretFile().makeOptionMandatory())
    .action(({ secretFile: file }: Required<WatchOptions>) =>
      finish(
        import('./token.ts').then(({ tokenOf }) => {
          output.out(`${tokenOf(file)}\n`);
          return 0;
        }),
      ),
    );
}

function url(): Option {
  return new Option('--url <url>', 'address of the exporter port of a node');
}

function node(): Option {
  return new Option('--node <name>', 'which node of this machine, by address:p2p port');
}

function secretFile(): Option {
  return new Option(
    '--secret-file <file>',
    'the cluster secret, for a node on another machine (without it: the token in SHOAL_TOKEN)',
  );
}
