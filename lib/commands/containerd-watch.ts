import { existsSync, readdirSync, watch, type FSWatcher } from 'node:fs';
import { join, resolve } from 'node:path';
import { systemClock } from '../clock.ts';
import { NODES } from '../cluster/kubernetes/client.ts';
import { HttpKubeClient } from '../cluster/kubernetes/http.ts';
import { InClusterConnection } from '../cluster/kubernetes/in-cluster.ts';
import { NodeReporter } from '../cluster/kubernetes/node-reporter.ts';
import { liftTaint } from '../cluster/kubernetes/startup-taint.ts';
import { ShoalError } from '../errors.ts';
import { CertsDir } from '../runtimes/certs-dir.ts';
import { obstaclesIn } from '../runtimes/containerd-config.ts';
import { FrozenNode } from '../runtimes/frozen-node.ts';
import { HostsKeeper, type HostsState, type KeptHost } from '../runtimes/hosts-keeper.ts';
import { registryBehind, serverOf } from '../runtimes/hosts-toml.ts';
import { livenessOf } from '../runtimes/node-liveness.ts';
import { configReport, mirrorOf } from './containerd.ts';
import { TAINT_RETRY_MS } from './limits.ts';
import { exitAtOnce } from './exit-at-once.ts';
import type { Output } from './process-output.ts';
import { registryNames, upstreamsOf } from './registry-names.ts';
import { stopSignal } from './stop-signal.ts';

export interface WatchOptions {
  registry: string[];
  upstream?: string[];
  certsDir: string;
  config: string;
  mirror: string;
  ca?: string;
  report?: boolean;
  liftTaint?: string;
  removeAll?: boolean;
  endFrozen?: string;
}

/**
 * `shoal containerd watch`: keeps the hosts.toml files of the named hosts in place until SIGTERM or
 * SIGINT. Returns 0, or 1 when a file could not be restored at the end. Throws USAGE.
 */
export async function runContainerdWatch(options: WatchOptions, output: Output): Promise<number> {
  const upstreams = upstreamsOf(options.upstream ?? []);
  const hosts: KeptHost[] = registryNames(
    [...options.registry, ...upstreams.keys()],
    ['_default'],
  ).map((registry) => ({
    registry,
    server: upstreams.get(registry) ?? registryBehind(registry) ?? serverOf(registry),
  }));
  if (hosts.length === 0)
    throw new ShoalError('USAGE', 'name the hosts with --registry or --upstream');
  const mirror = mirrorOf(options);
  const cluster = options.report === true ? await clusterOf(process.env, output) : null;
  const obstacles = (): string[] =>
    obstaclesIn(configReport(options), options, cluster?.runtime ?? null);
  const folder = resolve(options.certsDir);
  const node = options.endFrozen === undefined ? null : new FrozenNode(options.endFrozen);
  const keeper = new HostsKeeper({
    certs: new CertsDir(folder),
    hosts,
    mirror,
    clock: systemClock,
    liveness() {
      node?.look();
      return livenessOf(mirror.url);
    },
    onSilent: () => node !== null && endFrozen(node, output),
    watch: (onChange) => watchFolders(folder, onChange),
    onPass: (state) => {
      output.out(`${describe(state)}\n`);
      for (const problem of state.problems) output.err(`shoal: ${problem} (FILE_UNUSABLE)\n`);
      cluster?.reporter.offer(state.hosts, [...state.problems, ...obstacles()]);
      if (state.liveness === 'answers' && options.liftTaint !== undefined)
        cluster?.liftTaint(options.liftTaint);
    },
  });
  for (const obstacle of obstacles()) output.err(`shoal: ${obstacle}\n`);
  keeper.start();
  await stopSignal(exitAtOnce);
  await cluster?.reporter.stop(options.removeAll === true);
  try {
    await keeper.stop(options.removeAll === true);
    return 0;
  } catch (error) {
    output.err(`shoal: ${ShoalError.from(error).message} (FILE_UNUSABLE)\n`);
    return 1;
  }
}

/** Ends a frozen node; says so, or why it cannot. */
function endFrozen(node: FrozenNode, output: Output): void {
  try {
    const pid = node.endIfIdle();
    if (pid !== null)
      output.out(`the node (process ${pid}) is frozen; it was ended, so that pulls go on\n`);
  } catch (error) {
    output.err(
      `shoal: cannot end the frozen node: ${ShoalError.from(error).message}; ` +
        'give this container the capability KILL\n',
    );
  }
}

function describe({ hosts, liveness }: HostsState): string {
  const state = {
    answers: 'the node is asked first',
    refuses: 'the node is not up; pulls go to the registries',
    silent: 'the node does not answer; it is left out until it does',
  }[liveness];
  return `${hosts.length} hosts configured: ${state}`;
}

/** What the command does in a cluster, besides its files. */
interface Cluster {
  reporter: NodeReporter;
  /** The node's container runtime (`containerd://2.2.0`); null if the API does not say. */
  runtime: string | null;
  /** Removes a taint from the node. Failures are logged and tried again. */
  liftTaint: (key: string) => void;
}

/** Null outside a pod: the files are kept in place all the same. */
async function clusterOf(env: NodeJS.ProcessEnv, output: Output): Promise<Cluster | null> {
  const { NODE_NAME: node, POD_NAMESPACE: namespace } = env;
  if (node === undefined || namespace === undefined) {
    output.err('shoal: no report to the webhook: NODE_NAME and POD_NAMESPACE are not both set\n');
    return null;
  }
  const client = new HttpKubeClient(new InClusterConnection(env, systemClock));
  const onError = (error: unknown): void =>
    output.err(`shoal: Kubernetes API: ${ShoalError.from(error).message}\n`);
  const found = await client.get(NODES, null, node).catch(onError);
  const status = found?.['status'] as
    | { nodeInfo?: { containerRuntimeVersion?: string } }
    | undefined;
  const lift = (key: string): void => {
    liftTaint(client, node, key).then(
      (lifted) => lifted && output.out(`taint ${key} removed from ${node}\n`),
      (error: unknown) => {
        onError(error);
        systemClock.after(TAINT_RETRY_MS, () => lift(key));
      },
    );
  };
  return {
    reporter: new NodeReporter({
      client,
      clock: systemClock,
      random: Math.random,
      node,
      place: { namespace, nodeUid: found?.metadata.uid ?? null },
      onError,
    }),
    runtime: status?.nodeInfo?.containerRuntimeVersion ?? null,
    liftTaint: lift,
  };
}

/** Watches a directory and those in it. One that appears later is watched from then on. */
function watchFolders(root: string, onChange: () => void): () => void {
  const watchers = new Map<string, FSWatcher>();
  const add = (path: string): void => {
    if (watchers.has(path) || !existsSync(path)) return;
    const watcher = watch(path, () => {
      arm();
      onChange();
    });
    // A directory that is removed ends its watch; its replacement is found by the parent's.
    watcher.on('error', () => forget(path));
    watchers.set(path, watcher);
  };
  const forget = (path: string): void => {
    watchers.get(path)?.close();
    watchers.delete(path);
  };
  const arm = (): void => {
    for (const path of watchers.keys()) if (!existsSync(path)) forget(path);
    add(root);
    if (!existsSync(root)) return;
    for (const entry of readdirSync(root, { withFileTypes: true }))
      if (entry.isDirectory()) add(join(root, entry.name));
  };
  arm();
  return () => {
    for (const watcher of watchers.values()) watcher.close();
  };
}
