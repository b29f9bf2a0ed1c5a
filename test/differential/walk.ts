import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalNode } from '../e2e/node.ts';
import { scratchFolder } from '../e2e/scratch-folder.ts';
import { freePorts } from '../free-ports.ts';
import { compare, type Nodes } from './compare.ts';
import { MockUpstream } from './upstream.ts';

/** Combinations under way at once: most of their time they wait, for pauses between tries. */
const AT_ONCE = 24;

/** Other answers found; more would bury the first ones. */
const SHOWN_MAX = 20;

/**
 * Costs count only if they are too high alone, too, and each time: other combinations take the
 * processor, and share the blobs of no byte and of one. So many are pulled again.
 */
const TRIES_ALONE = 3;
const AGAIN_MAX = 60;

export interface Outcome {
  /** Combinations compared; less than asked for when the time was up, or too much was wrong. */
  done: number;
  answers: string[];
  costs: string[];
  /** Combinations that cost too much among others, and those of them that were pulled again. */
  doubtful: number;
  again: number;
}

export interface WalkOptions {
  /** No further combination is begun after this time on `performance.now()`. */
  untilMs: number;
  progress?: (done: number) => void;
}

/** Compares these combinations on three nodes of its own. */
export async function walk(
  numbers: readonly number[],
  options: WalkOptions = { untilMs: Infinity },
): Promise<Outcome> {
  const dir = await scratchFolder();
  const upstream = await MockUpstream.start();
  const started: ShoalNode[] = [];
  try {
    const nodes = await startNodes(dir, upstream, started);
    return await compareAll(upstream, nodes, numbers, options);
  } finally {
    await Promise.all(started.map((node) => node.stop()));
    upstream.close();
    await rm(dir, { recursive: true });
  }
}

async function startNodes(
  dir: string,
  upstream: MockUpstream,
  started: ShoalNode[],
): Promise<Nodes> {
  const secretFile = join(dir, 'secret');
  await writeFile(secretFile, 'ab'.repeat(32), { mode: 0o600 });
  const ports = await freePorts(2);
  const peers = ports.map((port) => `127.0.0.1:${port}`);
  const start = async (name: string, p2p: Record<string, unknown>): Promise<ShoalNode> => {
    const node = await ShoalNode.start(join(dir, name), {
      ProxyConfig: {
        port: 0,
        registries: [{ upstream: upstream.url, storage: [upstream.storageHost] }],
        allow: ['127.0.0.1'],
      },
      P2PConfig: p2p,
    });
    started.push(node);
    return node;
  };
  const [one, first, second] = await Promise.all([
    start('one', { port: 0 }),
    start('first', { port: ports[0], peers, secretFile }),
    start('second', { port: ports[1], peers, secretFile }),
  ]);
  return { one, pair: [first, second] };
}

async function compareAll(
  upstream: MockUpstream,
  nodes: Nodes,
  numbers: readonly number[],
  { untilMs, progress }: WalkOptions,
): Promise<Outcome> {
  const outcome: Outcome = { done: 0, answers: [], costs: [], doubtful: 0, again: 0 };
  const doubtful: { number: number; lateMs: number }[] = [];
  let next = 0;
  const goOn = async (): Promise<void> => {
    while (next < numbers.length && outcome.answers.length < SHOWN_MAX) {
      if (performance.now() >= untilMs) return;
      const number = numbers[next++]!;
      const faults = await compare(upstream, nodes, number);
      outcome.answers.push(...faults.answers);
      if (faults.costs.length > 0) doubtful.push({ number, lateMs: faults.lateMs });
      progress?.(++outcome.done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, goOn));
  const slowestFirst = doubtful.sort((one, other) => other.lateMs - one.lateMs);
  outcome.doubtful = doubtful.length;
  for (const { number } of slowestFirst.slice(0, AGAIN_MAX)) {
    outcome.again++;
    outcome.costs.push(...(await costsAlone(upstream, nodes, number)));
  }
  return outcome;
}

/** What a combination costs too much each time, with nothing else under way. */
async function costsAlone(upstream: MockUpstream, nodes: Nodes, number: number): Promise<string[]> {
  let costs: string[] = [];
  for (let round = 1; round <= TRIES_ALONE; round++) {
    ({ costs } = await compare(upstream, nodes, number, round));
    if (costs.length === 0) break;
  }
  return costs;
}
