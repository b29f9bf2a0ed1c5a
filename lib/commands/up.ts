import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { systemClock } from '../clock.ts';
import type { NodeProcess } from '../demo/node-process.ts';
import { pullImage } from '../demo/pull.ts';
import type { PullOutcome } from '../demo/pull.ts';
import { RegistryClient } from '../demo/registry-client.ts';
import { makeSampleImage } from '../demo/sample-image.ts';
import type { SampleImage } from '../demo/sample-image.ts';
import { DemoSwarm } from '../demo/swarm.ts';
import { pullDirectly } from './up-direct.ts';
import { calledAs } from './called-as.ts';
import { UP_PULL_DEADLINE_MS } from './limits.ts';
import type { Output } from './process-output.ts';
import type { UpOptions } from './up-source.ts';
import { formatBytes } from '../quantity.ts';
import { stopSignal } from './stop-signal.ts';
import { laterSteps, nextSteps, watchHint } from './up-hints.ts';
import { progressBoard } from './up-progress.ts';
import { renderReport } from './up-report.ts';
import { embeddedSource, namedImage, namedSource } from './up-source.ts';
import type { Source } from './up-source.ts';
import { tally } from './up-tally.ts';

/** What stands in for the real thing in tests. */
interface UpSurroundings {
  /** Program and first arguments of a node. */
  command: readonly string[];
  sample: () => Promise<SampleImage>;
}

const realSurroundings: UpSurroundings = {
  command: [process.execPath, fileURLToPath(new URL('../shoal.js', import.meta.url))],
  sample: () => makeSampleImage(),
};

/**
 * `shoal up` (docs/SPEC.md 4). Returns 0 when every pull had every digest right, else 1. Throws
 * USAGE
 * for options that do not go together, ORIGIN_* when the registry cannot be reached or refuses, and
 * a node's own code when it does not start. Whatever happens, no process and no file stays behind.
 */
export async function runUp(
  options: UpOptions,
  output: Output,
  surroundings: UpSurroundings = realSurroundings,
): Promise<number> {
  const named = namedImage(options);
  const say = options.json ? output.err : output.out;
  const stream = options.json ? process.stderr : process.stdout;
  const dir = mkdtempSync(join(tmpdir(), 'shoal-up-'));
  const started = new Set<NodeProcess>();
  // The last resort: however this process ends, its nodes and their files go.
  const sweep = (): void => {
    for (const node of started) node.kill();
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  };
  process.on('exit', sweep);
  const stopped = stopSignal((code) => process.exit(code));
  const abort = new AbortController();
  void stopped.then(() => abort.abort());
  const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(UP_PULL_DEADLINE_MS)]);
  let source: Source | null = null;
  let swarm: DemoSwarm | null = null;
  try {
    source =
      named === null
        ? await embeddedSource(surroundings.sample, options.nodes, signal, say)
        : await namedSource(named, signal);
    const { image, upstream } = source;
    say(
      `  ${image.repository} of ${upstream}: ${image.blobs.length} blobs, ` +
        `${formatBytes(image.imageBytes)}\n`,
    );
    say(`  starting 1 root and ${options.nodes} ${options.nodes === 1 ? 'agent' : 'agents'}\n`);
    const layout = {
      dir,
      agents: options.nodes,
      upstream,
      allow: source.allow,
      imageBytes: image.imageBytes,
    };
    swarm = await DemoSwarm.start(layout, surroundings.command, signal, (node) =>
      started.add(node),
    );
    const agents = swarm.nodes.filter((node) => node.role === 'agent');
    const [{ addresses }] = swarm.nodes as [NodeProcess];
    say(watchHint(addresses.exporter ?? addresses.proxy));
    const outcomes = await pullThrough(agents, source, stream, signal);
    const { report, notes } = await tally(swarm.nodes, outcomes, image.imageBytes, source.embedded);
    // A machine does not read the comparison.
    if (!options.json) notes.direct = await pullDirectly(source, options.nodes, say, signal);
    const screen = {
      columns: stream.columns ?? 80,
      colours: stream.isTTY === true && pc.isColorSupported,
    };
    let hints = laterSteps(calledAs());
    if (!options.once) {
      hints = nextSteps({
        dir,
        upstream,
        image,
        // Those of the user are where skopeo and ctr find them.
        credentials: source.embedded === null ? null : source.credentials,
        agents: agents.map((agent) => agent.addresses),
        shoal: calledAs(),
      });
      for (const node of swarm.nodes)
        void node.ended.then(() => !signal.aborted && say(`  ${node.name} has ended\n`));
    }
    // The table is the last on the screen.
    say(`\n${hints}\n${renderReport(report, notes, screen)}`);
    if (options.json) output.out(`${JSON.stringify(report)}\n`);
    if (!options.once) await stopped;
    return report.ok ? 0 : 1;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    say('  stopped\n');
    return 1;
  } finally {
    abort.abort();
    await swarm?.stop();
    await source?.embedded?.close();
    process.off('exit', sweep);
    sweep();
  }
}

/** Pulls the image through every agent at the same time. */
async function pullThrough(
  agents: readonly NodeProcess[],
  source: Source,
  stream: NodeJS.WriteStream,
  signal: AbortSignal,
): Promise<Map<NodeProcess, PullOutcome>> {
  const board = progressBoard(stream);
  const namespace = new URL(source.upstream).host;
  const outcomes = new Map<NodeProcess, PullOutcome>();
  const pulls = agents.map(async (agent) => {
    const progress = board.pull(agent.name, source.image.imageBytes);
    const client = new RegistryClient(
      { url: agent.addresses.proxy, namespace },
      source.credentials,
      signal,
    );
    const outcome = await pullImage(
      client,
      source.image,
      () => systemClock.nowMs(),
      progress.advance,
    );
    progress.done(outcome);
    outcomes.set(agent, outcome);
    await client.close();
  });
  try {
    await Promise.all(pulls);
  } finally {
    board.close();
  }
  signal.throwIfAborted();
  return outcomes;
}
