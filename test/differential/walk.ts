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
 * Costs count only if they are too high each time, at last alone: other combinations take the
 * processor, and share the blobs of no byte and of one. So many, the worst ones, are pulled again,
 * with so many under way at once in each round.
 */
const AGAIN_MAX = 200;
const AT_ONCE_AGAIN = [6, 1, 1];

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
  /** None is pulled again after this time. */
  againUntilMs: number;
  /** After each combination, with what was found other than directly. */
  progress?: (done: number, answers: readonly string[]) => void;
}

/** Compares these combinations on three nodes of its own. */
export async function walk(
  numbers: readonly number[],
  options: WalkOptions = { untilMs: Infinity, againUntilMs: Infinity },
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
      DeployConfig: { logLevel: 'error' },
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
  { untilMs, againUntilMs, progress }: WalkOptions,
): Promise<Outcome> {
  const outcome: Outcome = { done: 0, answers: [], costs: [], doubtful: 0, again: 0 };
  const doubtful: Doubtful[] = [];
  await inParallel(numbers, AT_ONCE, async (number) => {
    if (performance.now() >= untilMs || outcome.answers.length >= SHOWN_MAX) return;
    const { answers, costs, lateMs } = await compare(upstream, nodes, number);
    outcome.answers.push(...answers);
    if (costs.length > 0) doubtful.push({ number, costs, lateMs });
    progress?.(++outcome.done, answers);
  });
  outcome.doubtful = doubtful.length;
  let left = doubtful.sort((one, other) => other.lateMs - one.lateMs).slice(0, AGAIN_MAX);
  for (const [round, atOnce] of AT_ONCE_AGAIN.entries()) {
    const again: Doubtful[] = [];
    await inParallel(left, atOnce, async ({ number }) => {
      if (performance.now() >= againUntilMs) return;
      if (round === 0) outcome.again++;
      const { costs, lateMs } = await compare(upstream, nodes, number, round + 1);
      if (costs.length > 0) again.push({ number, costs, lateMs });
    });
    left = again;
  }
  outcome.costs = left.flatMap(({ costs }) => costs);
  return outcome;
}

/** A combination that cost too much. */
interface Doubtful {
  number: number;
  costs: string[];
  lateMs: number;
}

async function inParallel<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  let next = 0;
  const goOn = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: atOnce }, goOn));
}
