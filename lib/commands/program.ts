import { Command, CommanderError, Option } from 'commander';
import { ShoalError, type ErrorCode } from '../errors.ts';
import { COMMIT, VERSION } from '../version.ts';
import { calledAs, withCalled } from './called-as.ts';
import { FRONT_THREADS_MAX, UP_NODES_MAX } from './limits.ts';
import type { NodeMode } from '../config/schema.ts';
import { byteSize, collect, wholeNumber } from './option-values.ts';
import { preadPatterns, type PreadOptions } from './bench.ts';
import type { DoctorOptions } from './doctor.ts';
import { errorFixes } from '../error-fixes.ts';
import type { StartNode } from '../node/running-node.ts';
import type { NodeOptions } from './node.ts';
import { formatVersion, PROTOCOL_VERSION } from '../wire/version.ts';
import { processOutput, type Output } from './process-output.ts';
import type { UpOptions } from './up-source.ts';
import { declareRuntimeCommands } from './runtime-commands.ts';
import { declareSetupCommands } from './setup-commands.ts';
import { declareWatchCommands } from './watch-commands.ts';

/** Exit codes of every command (docs/SPEC.md 4). */
export const ExitCode = { done: 0, failed: 1, misuse: 2 } as const;

/**
 * Runs `shoal <args>` and returns its exit code. Each command loads its modules when it runs: a
 * node
 * does not pay for the webhook's libraries, and `--help` not for the node's. `startNode` replaces
 * lib/node.ts in tests.
 */
export async function runProgram(
  args: readonly string[],
  output: Output = processOutput(),
  startNode?: StartNode,
): Promise<number> {
  let exitCode: number = ExitCode.done;
  const finish: Finish = async (work, waits = true) => {
    exitCode = await work;
    if (waits) await output.taken?.();
  };
  const program = declare(finish, output, startNode);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    return explain(error, output, args.includes('--json'));
  }
}

/** Takes the exit code of a command when it ends and, if `waits`, flushes its output. */
type Finish = (work: Promise<number>, waits?: boolean) => Promise<void>;

/** The commands without a way to run them: for the man page and completions. */
export function describedProgram(): Command {
  const nowhere: Output = { out: () => undefined, err: () => undefined };
  return declare(async () => undefined, nowhere, undefined);
}

const CONFIG_FILE = new Option('--config <file>', 'YAML config file (without it: the defaults)');
const CONFIG_KEY = new Option(
  '--set <Section.key=value>',
  'override one key of the config; may be repeated',
).argParser(collect);

/** `0.1.0 (commit 3c2f9cb, peer protocol 1.0, ...)`: the version itself is the first word. */
function versionText(): string {
  const parts = [
    `commit ${COMMIT ?? 'unknown'}`,
    `peer protocol ${formatVersion(PROTOCOL_VERSION)}`,
    `Node.js ${process.versions.node}`,
  ];
  return `${VERSION} (${parts.join(', ')})`;
}

function declare(finish: Finish, output: Output, startNode: StartNode | undefined): Command {
  const program = new Command('shoal')
    .description(
      'Peer-to-peer distribution of container images: many nodes pull, the registry sends once.',
    )
    .version(versionText(), '-v, --version', 'print version, commit and peer protocol')
    .exitOverride()
    .configureOutput({ writeOut: output.out, writeErr: output.err })
    .showSuggestionAfterError()
    .helpCommand('help [command]', 'explain a command');

  declareNodes(program, finish, output, startNode);
  declareWebhook(program, finish);
  declareUp(program, finish, output);
  declareWatchCommands(program, finish, output);
  declareDoctor(program, finish, output);
  declareBench(program, finish, output);
  declareRuntimeCommands(program, finish, output);
  declareSetupCommands(program, finish, output, versionText());
  return program;
}

function declareNodes(
  program: Command,
  finish: Finish,
  output: Output,
  startNode: StartNode | undefined,
): void {
  for (const mode of ['agent', 'root'] satisfies NodeMode[]) {
    program
      .command(mode)
      .summary(
        mode === 'agent'
          ? 'run the agent of one node'
          : 'run a root: one of the few that fetch from the registry',
      )
      .description(
        `Runs a node as ${mode}, prints one ready line with its addresses, and drains on SIGTERM ` +
          'or SIGINT (a second one ends it at once).',
      )
      .addOption(CONFIG_FILE)
      .addOption(CONFIG_KEY)
      .option(
        '--front-threads <n>',
        'threads that serve the ports',
        wholeNumber(1, FRONT_THREADS_MAX),
      )
      .option('--json', 'print the ready line as JSON')
      .option('--check', 'check every precondition, as `shoal doctor` does, and end')
      .addOption(new Option('--exit-with-parent', 'exit when stdin closes').hideHelp())
      // The drain of a node has flushed its logs, within a deadline.
      .action((options: NodeOptions) =>
        options.check === true
          ? finish(
              import('./doctor.ts').then(({ runDoctor }) =>
                runDoctor({ ...options, mode }, output),
              ),
            )
          : finish(
              import('./node.ts').then(({ runNode }) => runNode(mode, options, output, startNode)),
              false,
            ),
      );
  }
}

function declareWebhook(program: Command, finish: Finish): void {
  program
    .command('webhook')
    .summary('run the admission webhook and the pull-secret controller')
    .description(
      'Rewrites the images of labelled pods to their P2P names and keeps copies of their pull ' +
        'secrets under those names. Drains on SIGTERM.',
    )
    .requiredOption('--config <file>', 'YAML config file of the webhook')
    .action((options: { config: string }) =>
      finish(import('../webhook/main.ts').then(({ runWebhook }) => runWebhook(options.config))),
    );
}

function declareUp(program: Command, finish: Finish, output: Output): void {
  program
    .command('up')
    .summary('try it: run a swarm on this machine and pull an image')
    .description(
      'Starts 1 root and N agents on loopback in front of a registry (without --registry: an ' +
        'embedded one with a sample image), pulls the image through every node at once, checks ' +
        'every digest, and shows what came from the registry and what from peers.',
    )
    .option('--nodes <n>', 'number of agents', wholeNumber(1, UP_NODES_MAX), 3)
    .option('--registry <url>', 'pull from this registry, http or https (needs --image)')
    .option('--image <repo:tag>', 'the image to pull from it, also as repo@sha256:digest')
    .option('--once', 'tear everything down afterwards; exit 0 only if every digest held')
    .option('--json', 'print the result as one JSON object on the last line of stdout')
    .action((options: UpOptions) =>
      finish(import('./up.ts').then(({ runUp }) => runUp(options, output))),
    );
}

function declareDoctor(program: Command, finish: Finish, output: Output): void {
  program
    .command('doctor')
    .summary('check every precondition of a node')
    .description(
      'Checks config, secret, cache disk, ports, peers, registries and the container runtime, ' +
        'and says what to do about each problem. Changes nothing. Exits with 1 when a check ' +
        'failed.',
    )
    .addOption(CONFIG_FILE)
    .addOption(CONFIG_KEY)
    .addOption(
      new Option(
        '--image <name>',
        'an image to try range requests with, as host/repo:tag; may be repeated',
      ).argParser(collect),
    )
    .option('--json', 'print one JSON object')
    .action((options: DoctorOptions) =>
      finish(import('./doctor.ts').then(({ runDoctor }) => runDoctor(options, output))),
    );
}

function declareBench(program: Command, finish: Finish, output: Output): void {
  program
    .command('bench')
    .summary('measure a node')
    .description('Measures what a node, or any server of byte ranges, delivers.')
    .command('pread')
    .summary('load a URL with ranged reads')
    .description(
      'Reads ranges over many connections and shows rates, latencies and, with --pid, the CPU ' +
        'time of the server. Exits with 1 when a read fails or returns a wrong byte.',
    )
    .requiredOption('--url <url>', 'the object, http or https, on Shoal or not')
    .option('--size <bytes>', 'bytes per read, such as 65536, 64KiB or 2MiB', byteSize, 65_536)
    .addOption(
      new Option('--pattern <pattern>', 'where the reads go')
        .choices(preadPatterns)
        .default('random'),
    )
    .option('--seconds <n>', 'length of the measurement', wholeNumber(1, 86_400), 10)
    .option('--warmup <n>', 'seconds before it that do not count', wholeNumber(0, 3_600), 1)
    .option('--connections <n>', 'connections kept busy', wholeNumber(1, 10_000), 16)
    .option('--threads <n>', 'threads of the generator', wholeNumber(1, 64), 1)
    .option(
      '--rate <n>',
      'reads per second at fixed times (without it: as fast as answers come)',
      wholeNumber(1, 10_000_000),
    )
    .option(
      '--verify <seed>',
      'check every byte against the benchmark object of this seed',
      wholeNumber(0, 999_999_999),
    )
    .option(
      '--pid <n>',
      "the server's process on this machine, for its processor time",
      wholeNumber(1, 999_999_999),
    )
    .option('--insecure', 'https: accept any certificate')
    .option('--json', 'print the result as one JSON object')
    .action((options: PreadOptions) =>
      finish(import('./bench.ts').then(({ runBenchPread }) => runBenchPread(options, output))),
    );
}

/**
 * Prints what failed, one line per problem, and the next step; returns the exit code. With `json`
 * the last line of stdout says it for machines (docs/SPEC.md 9).
 */
function explain(error: unknown, output: Output, json: boolean): number {
  // Commander has printed its own message; its exit code 0 means --help or --version.
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return ExitCode.done;
    if (json) output.out(failureLine('USAGE', error.message.replace(/^error: /, '')));
    return ExitCode.misuse;
  }
  const { code, message } = ShoalError.from(error);
  for (const line of withCalled(message, calledAs()).split('\n'))
    output.err(`shoal: ${line} (${code})\n`);
  // What is wrong with a key or an option is told with what is allowed.
  const isMisuse = code === 'CONFIG_INVALID' || code === 'USAGE';
  if (!isMisuse) output.err(`  -> ${errorFixes[code].fix}\n`);
  if (json) output.out(failureLine(code, message));
  return isMisuse ? ExitCode.misuse : ExitCode.failed;
}

function failureLine(code: ErrorCode, message: string): string {
  return `${JSON.stringify({ ok: false, error: { code, message, fix: errorFixes[code].fix } })}\n`;
}
