import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { TRACE_SECONDS } from './limits.ts';
import { TRACE_SECONDS_MAX } from '../limits.ts';
import {
  CERTS_DIR,
  CONTAINERD_CONFIG,
  DOCKER_FILE,
  MIRROR_URL,
  OVERLAYBD_FILE,
  PODMAN_DIR,
} from '../runtimes/places.ts';
import type { ContainerdAction, ContainerdOptions } from './containerd.ts';
import type { WatchOptions } from './containerd-watch.ts';
import type { DockerAction, DockerOptions } from './docker.ts';
import type { OverlaybdAction, OverlaybdOptions } from './overlaybd.ts';
import type { PodmanAction, PodmanOptions } from './podman.ts';
import type { PreheatOptions } from './preheat.ts';
import type { Output } from './process-output.ts';

type Finish = (work: Promise<number>) => Promise<void>;

/**
 * The commands that point the runtimes of this machine at its node and back, and `shoal preheat`.
 */
export function declareRuntimeCommands(program: Command, finish: Finish, output: Output): void {
  declareOverlaybd(program, finish, output);
  declareContainerd(program, finish, output);
  declareDocker(program, finish, output);
  declarePodman(program, finish, output);
  program
    .command('preheat')
    .summary('bring images into the swarm ahead of a rollout')
    .description(
      'Reads images through a node, so that the swarm has them before the first pull. Cached ' +
        'data is not fetched again, so the command can be repeated.',
    )
    .argument('[image...]', 'images as in pod specs: [HOST[:PORT]/]REPO[:TAG][@DIGEST]')
    .option('--via <url>', 'proxy port of the node to read through, http or https', MIRROR_URL)
    .option('--nodes <all|zone>', 'bring the images to every agent of the swarm, or of one zone')
    .option('--trace <file>', 'read only the shards listed in a trace, in its order')
    .option(
      '--record <file>',
      'write a trace of recent on-demand reads through the node (without images)',
    )
    .addOption(
      new Option(
        '--seconds <n>',
        `how far back --record looks (without it: ${TRACE_SECONDS})`,
      ).argParser(traceSeconds),
    )
    .option(
      '--platform <os/arch>',
      "the platform to read (without it: linux and this machine's architecture)",
    )
    .option('--all-platforms', 'read every platform of multi-platform images')
    .option(
      '--user <name>',
      'user at the registry (needs --password-stdin); without it what docker or podman have stored',
    )
    .option('--password-stdin', 'read the password or token from stdin')
    .option('--json', 'print the result as one JSON object on the last line of stdout')
    .action((images: string[], options: PreheatOptions) =>
      finish(import('./preheat.ts').then(({ runPreheat }) => runPreheat(images, options, output))),
    );
}

function declareOverlaybd(program: Command, finish: Finish, output: Output): void {
  const group = program
    .command('overlaybd')
    .summary('turn P2P of overlaybd on or off')
    .description('Edits p2pConfig in overlaybd.json in place; everything else in the file is kept.')
    .helpCommand(false);
  const describe: Record<OverlaybdAction, string> = {
    enable: 'load on demand through this node',
    disable: 'load on demand from the registry',
    status: 'show the setting and what answers at the address',
  };
  for (const action of Object.keys(describe) as OverlaybdAction[]) {
    const command = group
      .command(action)
      .description(describe[action])
      .option('--file <file>', "overlaybd's config", OVERLAYBD_FILE);
    if (action === 'enable')
      command.option(
        '--address <url>',
        "the node's proxy URL with its prefix (default: the current one if it is this node, " +
          'else http on port 65001)',
      );
    if (action !== 'status') writeOptions(command);
    command
      .option('--json', 'print the result as JSON')
      .action((options: OverlaybdOptions) =>
        finish(
          import('./overlaybd.ts').then(({ runOverlaybd }) =>
            runOverlaybd(action, options, output),
          ),
        ),
      );
  }
}

function declareContainerd(program: Command, finish: Finish, output: Output): void {
  const group = program
    .command('containerd')
    .summary('let containerd pull through this node')
    .description('Writes and restores certs.d/<registry>/hosts.toml.')
    .helpCommand(false);
  declareContainerdWatch(group, finish, output);
  const describe: Record<ContainerdAction, string> = {
    configure: 'ask this node first, then the hosts configured before',
    restore: 'restore the files as they were before',
    status: 'show which hosts containerd asks, in order',
  };
  for (const action of Object.keys(describe) as ContainerdAction[]) {
    const command = group
      .command(action)
      .description(describe[action])
      .addOption(registryOption(action !== 'status'));
    command.option(
      '--certs-dir <dir>',
      "containerd's directory of registry hosts (config_path)",
      CERTS_DIR,
    );
    if (action !== 'restore')
      command.option('--config <file>', "containerd's own config (read only)", CONTAINERD_CONFIG);
    if (action === 'configure')
      command
        .option('--ca <file>', "CA of the node's certificate, for an https mirror")
        .addOption(upstreamOption());
    command.addOption(mirrorOption(action === 'configure'));
    if (action !== 'status') writeOptions(command);
    command
      .option('--json', 'print the result as JSON')
      .action((options: ContainerdOptions) =>
        finish(
          import('./containerd.ts').then(({ runContainerd }) =>
            runContainerd(action, options, output),
          ),
        ),
      );
  }
}

function declareContainerdWatch(group: Command, finish: Finish, output: Output): void {
  group
    .command('watch')
    .description('keep the files in place while the node runs; the sidecar of the chart')
    .addOption(registryOption(false))
    .addOption(upstreamOption())
    .option(
      '--certs-dir <dir>',
      "containerd's directory of registry hosts (config_path)",
      CERTS_DIR,
    )
    .option('--config <file>', "containerd's own config (read only)", CONTAINERD_CONFIG)
    .option('--ca <file>', "CA of the node's certificate, for an https mirror")
    .addOption(mirrorOption(true))
    .option('--report', 'report to the webhook what is configured (in a pod only)')
    .option('--lift-taint <key>', "remove this taint from the pod's node once the node answers")
    .option(
      '--end-frozen <config>',
      'end the node that runs with this config file when its process is frozen',
    )
    .option('--remove-all', 'at the end restore the files of P2P hosts, too')
    .action((options: WatchOptions) =>
      finish(
        import('./containerd-watch.ts').then(({ runContainerdWatch }) =>
          runContainerdWatch(options, output),
        ),
      ),
    );
}

function declareDocker(program: Command, finish: Finish, output: Output): void {
  const group = program
    .command('docker')
    .summary("let Docker pull Docker Hub's images through this node")
    .description('Edits registry-mirrors in daemon.json; everything else in the file is kept.')
    .helpCommand(false);
  const describe: Record<DockerAction, string> = {
    configure: 'add this node as the first mirror',
    restore: 'remove this node from the mirrors',
    status: 'show which mirrors Docker asks, in order',
  };
  for (const action of Object.keys(describe) as DockerAction[]) {
    const command = group
      .command(action)
      .description(describe[action])
      .option('--file <file>', "Docker's config", DOCKER_FILE)
      .addOption(mirrorOption(true));
    if (action === 'status') command.option('--json', 'print the result as JSON');
    else writeOptions(command);
    command.action((options: DockerOptions) =>
      finish(import('./docker.ts').then(({ runDocker }) => runDocker(action, options, output))),
    );
  }
}

function declarePodman(program: Command, finish: Finish, output: Output): void {
  const group = program
    .command('podman')
    .summary('let Podman, CRI-O, Buildah and skopeo pull through this node')
    .description('Writes and removes drop-ins of registries.conf.d.')
    .helpCommand(false);
  const describe: Record<PodmanAction, string> = {
    configure: 'add this node as a mirror of the registry',
    restore: 'remove it again',
    status: 'show which registries are pulled through a node',
  };
  for (const action of Object.keys(describe) as PodmanAction[]) {
    const command = group
      .command(action)
      .description(describe[action])
      .option('--dir <dir>', 'directory of drop-ins', PODMAN_DIR);
    if (action === 'status') command.option('--json', 'print the result as JSON');
    else {
      command.addOption(registryOption(true)).addOption(mirrorOption(action === 'configure'));
      writeOptions(command);
    }
    if (action === 'configure') command.addOption(upstreamOption());
    command.action((options: PodmanOptions) =>
      finish(import('./podman.ts').then(({ runPodman }) => runPodman(action, options, output))),
    );
  }
}

/** The two options of every command that changes files. */
function writeOptions(command: Command): void {
  command
    .addOption(new Option('--write', 'write the changes (the default)').conflicts('dryRun'))
    .option('--dry-run', 'print what would be written, and write nothing');
}

function traceSeconds(value: string): number {
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (!(seconds >= 1 && seconds <= TRACE_SECONDS_MAX))
    throw new InvalidArgumentError(`allowed: a whole number from 1 to ${TRACE_SECONDS_MAX}`);
  return seconds;
}

function registryOption(mandatory: boolean): Option {
  const option = new Option(
    '--registry <host...>',
    'registries as in image names; may be repeated',
  ).makeOptionMandatory(mandatory);
  return mandatory ? option : option.default([], 'all');
}

function upstreamOption(): Option {
  return new Option(
    '--upstream <host=url...>',
    "the registry behind a P2P host, asked when the node is away (default: the node's config)",
  );
}

function mirrorOption(shown: boolean): Option {
  return new Option('--mirror <url>', "the node's proxy port").default(MIRROR_URL).hideHelp(!shown);
}
