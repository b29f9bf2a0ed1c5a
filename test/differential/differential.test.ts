import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalNode } from '../e2e/node.ts';
import { scratchFolder } from '../e2e/scratch-folder.ts';
import { COMBINATIONS, sample } from './behaviour.ts';
import { compare, type Nodes } from './compare.ts';
import { MockUpstream } from './upstream.ts';
import { freePorts } from '../free-ports.ts';

/** In CI; `DIFFERENTIAL=COUNT[,SEED]` runs more, `DIFFERENTIAL=all` every combination. */
const COUNT = 2_000;

/** Combinations under way at once: most of their time they wait, for pauses between tries. */
const AT_ONCE = 6;
const [countText = String(COUNT), seedText = '1'] = (process.env['DIFFERENTIAL'] ?? '').split(',');
const count = countText === 'all' ? COMBINATIONS : Number(countText === '' ? COUNT : countText);
const seed = Number(seedText);

/** Failures shown; more would bury the first ones. */
const SHOWN_MAX = 20;

/** Part of the combinations in which the upstream may send more than the blob. */
const WASTED_SHARE_MAX = 0.02;

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

  it(`${count} combinations of ${COMBINATIONS}, seed ${seed}`, async function () {
    this.timeout(60_000 + count * 1_000);
    const faults: string[] = [];
    const left = sample(seed, count);
    const walk = async (): Promise<void> => {
      for (let number = left.pop(); number !== undefined; number = left.pop()) {
        faults.push(...(await compare(upstream, nodes, number)));
        if (faults.length >= SHOWN_MAX) return;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, walk));
    const isWaste = (fault: string): boolean => fault.includes('the upstream sent');
    assert.deepEqual(
      faults.filter((fault) => !isWaste(fault)),
      [],
    );
    // A check may start a whole answer that is cut on its way (docs/REGISTRY.md, limits).
    const wasted = faults.filter(isWaste);
    assert.ok(wasted.length <= Math.max(1, WASTED_SHARE_MAX * count), wasted.join('\n'));
  });
});
