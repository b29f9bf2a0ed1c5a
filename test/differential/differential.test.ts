import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalNode } from '../e2e/node.ts';
import { scratchFolder } from '../e2e/scratch-folder.ts';
import { freePorts } from '../free-ports.ts';
import { COMBINATIONS, sample } from './behaviour.ts';
import { compare, type Nodes } from './compare.ts';
import { MockUpstream } from './upstream.ts';

/** In CI. */
const COUNT = 2_000;

/** Combinations under way at once: most of their time they wait, for pauses between tries. */
const AT_ONCE = 12;
/** `COUNT[,SEED]`; `all`: every combination; `only:NUMBER,...`: these. */
const choice = process.env['DIFFERENTIAL'] ?? '';
const numbers = chosen(choice === '' ? String(COUNT) : choice);

/** Failures shown; more would bury the first ones. */
const SHOWN_MAX = 20;

/**
 * Costs count only if they are too high alone, too, and each time: other combinations take the
 * processor, and share the blobs of no byte and of one. So many are pulled again.
 */
const TRIES_ALONE = 3;
const AGAIN_MAX = 60;

describe('differential: what pulls directly pulls through one node and through two', () => {
  let dir: string;
  let upstream: MockUpstream;
  let nodes: Nodes;

  before(async () => {
    dir = await scratchFolder();
    upstream = await MockUpstream.start();
    const secretFile = join(dir, 'secret');
    await writeFile(secretFile, 'ab'.repeat(32), { mode: 0o600 });
    const ports = await freePorts(2);
    const peers = ports.map((port) => `127.0.0.1:${port}`);
    const start = (name: string, p2p: Record<string, unknown>): Promise<ShoalNode> =>
      ShoalNode.start(join(dir, name), {
        ProxyConfig: {
          port: 0,
          registries: [{ upstream: upstream.url, storage: [upstream.storageHost] }],
          allow: ['127.0.0.1'],
        },
        P2PConfig: p2p,
      });
    const [one, first, second] = await Promise.all([
      start('one', { port: 0 }),
      start('first', { port: ports[0], peers, secretFile }),
      start('second', { port: ports[1], peers, secretFile }),
    ]);
    nodes = { one, pair: [first, second] };
  });

  after(async () => {
    await Promise.all([nodes?.one, ...(nodes?.pair ?? [])].map((node) => node?.stop()));
    upstream?.close();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  it(`${numbers.length} combinations of ${COMBINATIONS}`, async function () {
    this.timeout(60_000 + numbers.length * 1_000);
    const answers: string[] = [];
    const doubtful: { number: number; lateMs: number }[] = [];
    const left = [...numbers];
    const walk = async (): Promise<void> => {
      for (let number = left.pop(); number !== undefined; number = left.pop()) {
        const faults = await compare(upstream, nodes, number);
        answers.push(...faults.answers);
        if (faults.costs.length > 0) doubtful.push({ number, lateMs: faults.lateMs });
        if (answers.length >= SHOWN_MAX) return;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, walk));
    assert.deepEqual(answers, []);
    const costs: string[] = [];
    const slowestFirst = doubtful.sort((one, other) => other.lateMs - one.lateMs);
    for (const { number } of slowestFirst.slice(0, AGAIN_MAX))
      costs.push(...(await costsAlone(number)));
    assert.deepEqual(costs, []);
  });

  /** What a combination costs too much each time, with nothing else under way. */
  async function costsAlone(number: number): Promise<string[]> {
    let costs: string[] = [];
    for (let round = 1; round <= TRIES_ALONE; round++) {
      ({ costs } = await compare(upstream, nodes, number, round));
      if (costs.length === 0) break;
    }
    return costs;
  }
});

function chosen(text: string): number[] {
  if (text.startsWith('only:')) return text.slice('only:'.length).split(',').map(Number);
  const [count = '', seed = '1'] = text.split(',');
  return sample(Number(seed), count === 'all' ? COMBINATIONS : Number(count));
}
