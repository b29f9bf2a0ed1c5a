import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { chooseNodes, spread, type NodeResult } from '../../lib/commands/preheat-nodes.ts';
import type { NodeHolding } from '../../lib/commands/preheat-source.ts';
import { ShoalError } from '../../lib/errors.ts';
import {
  PREHEAT_FRUITLESS_MAX,
  PREHEAT_NODE_PATIENCE_MS,
  PREHEAT_NODES_AT_ONCE,
} from '../../lib/commands/limits.ts';

const BLOBS = ['a', 'b'].map((name) => ({ digest: `sha256:${name.repeat(64)}`, sizeBytes: 100 }));
const view = {
  self: 'n:1',
  nodes: [
    { node: 'n:1', role: 'agent', zone: 'a' },
    { node: 'n:2', role: 'agent', zone: 'b' },
    { node: 'r:1', role: 'root', zone: 'a' },
  ],
};

describe('preheat --nodes', () => {
  it('selects agents: all, or those of a zone', () => {
    assert.deepEqual(
      chooseNodes(view, 'all').map(({ node }) => node),
      ['n:1', 'n:2'],
    );
    assert.deepEqual(chooseNodes(view, 'a'), [{ node: 'n:1', zone: 'a' }]);
    assert.throws(() => chooseNodes(view, 'c'), {
      code: 'USAGE',
      message: '--nodes c: no agent is there; zones: a, b',
    });
    assert.throws(() => chooseNodes({ self: 'r:1', nodes: [] }, 'all'), { code: 'USAGE' });
  });

  /** Runs with a clock that moves while nothing else does; `answer` says how far a node is. */
  async function run(
    nodes: string[],
    answer: (node: string, digest: string, asked: number) => NodeHolding | ShoalError,
  ): Promise<{
    results: NodeResult[];
    asked: string[];
    atOnceMax: number;
    shown: number;
    tookMs: number;
  }> {
    const clock = new ManualClock();
    const asked: string[] = [];
    let [atOnce, atOnceMax, shown, over] = [0, 0, 0, false];
    const source = {
      async preheat(node: string, _repository: string, digest: string): Promise<NodeHolding> {
        atOnceMax = Math.max(atOnceMax, ++atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        atOnce--;
        asked.push(`${node} ${digest.at(-1)}`);
        const said = answer(
          node,
          digest,
          asked.filter((each) => each === `${node} ${digest.at(-1)}`).length,
        );
        if (said instanceof ShoalError) throw said;
        return said;
      },
    };
    const board = {
      layer: () => assert.fail('no layers'),
      node: () => ({ advance: (bytes: number) => void (shown += bytes), done: () => undefined }),
      close: () => undefined,
    };
    const running = spread(
      source,
      nodes.map((node) => ({ node, zone: null })),
      'a/b',
      BLOBS,
      clock,
      board,
    ).finally(() => (over = true));
    for (let turns = 0; !over && turns < 100_000; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!over) clock.advance(20);
    }
    return { results: await running, asked, atOnceMax, shown, tookMs: clock.nowMs() };
  }

  it('asks each node until it has every shard, layer by layer', async () => {
    const { results, asked, shown } = await run(['n:1'], (_node, _digest, times) => ({
      shards: 4,
      held: times,
      error: null,
    }));
    assert.deepEqual(asked, [
      ...Array.from({ length: 4 }, () => 'n:1 a'),
      ...Array.from({ length: 4 }, () => 'n:1 b'),
    ]);
    assert.deepEqual(
      [results[0]!.ok, results[0]!.layers, results[0]!.problem, shown],
      [true, 2, null, 200],
    );
  });

  it('asks once per layer if the node holds everything', async () => {
    const { asked } = await run(['n:1', 'n:2'], () => ({ shards: 4, held: 4, error: null }));
    assert.equal(asked.length, 4);
  });

  it('continues with the others if one does not answer, and names it', async () => {
    const { results, asked } = await run(['n:1', 'n:2'], (node) =>
      node === 'n:1'
        ? new ShoalError('ORIGIN_REFUSED', 'via answered 502: n:1 is away', { status: 502 })
        : { shards: 1, held: 1, error: null },
    );
    assert.deepEqual(
      results.map(({ node, ok, problem }) => [node, ok, problem]),
      [
        ['n:1', false, 'via answered 502: n:1 is away'],
        ['n:2', true, null],
      ],
    );
    assert.equal(asked.filter((each) => each.startsWith('n:1')).length, PREHEAT_FRUITLESS_MAX);
  });

  it('does not retry a refusal', async () => {
    const { asked } = await run(
      ['n:1'],
      () => new ShoalError('ORIGIN_REFUSED', 'no', { status: 403 }),
    );
    assert.equal(asked.length, 1);
  });

  it('gives up on a node without progress, and reports how far it got', async () => {
    const { results, tookMs } = await run(['n:1'], () => ({
      shards: 9,
      held: 3,
      error: { message: 'its disk is full' },
    }));
    assert.match(
      results[0]!.problem!,
      /^has 3 of 9 shards of sha256:a+, and no more for 60 s: its disk is full$/,
    );
    assert.ok(tookMs > PREHEAT_NODE_PATIENCE_MS && tookMs < 2 * PREHEAT_NODE_PATIENCE_MS);
  });

  it('uses a bounded number of nodes at once', async () => {
    const nodes = Array.from({ length: PREHEAT_NODES_AT_ONCE + 20 }, (_, index) => `n:${index}`);
    const { results, atOnceMax } = await run(nodes, () => ({ shards: 1, held: 1, error: null }));
    assert.equal(atOnceMax, PREHEAT_NODES_AT_ONCE);
    assert.equal(results.filter(({ ok }) => ok).length, nodes.length);
  });
});
