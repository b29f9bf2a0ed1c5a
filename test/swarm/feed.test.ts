import assert from 'node:assert/strict';
import { feedPath } from '../../lib/swarm/feed.ts';
import { FEED_FANOUT, FEED_WATCHERS } from '../../lib/swarm/limits.ts';

const names = (count: number, net = 0): string[] =>
  Array.from({ length: count }, (_, at) => `10.${net}.${at >> 8}.${at & 255}:65002`);

describe('swarm/feed', () => {
  for (const rootCount of [0, 1, 2, 5])
    it(`has few watchers, short paths and bounded children with ${rootCount} roots`, () => {
      const members = { agents: names(1_000), roots: names(rootCount, 1) };
      const paths = members.agents.map((node) => feedPath(members, node, false));
      const watching = paths.filter((path) => path.length === 0).length;
      assert.equal(watching, rootCount === 0 ? FEED_WATCHERS : 0);
      const children = new Map<string, number>();
      for (const [parent] of paths)
        if (parent !== undefined) children.set(parent, (children.get(parent) ?? 0) + 1);
      assert.ok(Math.max(...children.values()) <= FEED_FANOUT);
      assert.ok(Math.max(...paths.map((path) => path.length)) <= 3 + FEED_WATCHERS);
      for (const path of paths) assert.equal(new Set(path).size, path.length);
      for (const root of members.roots) assert.deepEqual(feedPath(members, root, true), []);
    });

  it('has no circle, although every node has another list', () => {
    const agents = names(200);
    const parentOf = new Map(
      agents.map((node, at) => {
        const known = agents.filter((_, other) => (other * 7 + at) % 3 !== 0);
        return [node, feedPath({ agents: known, roots: [] }, node, false)];
      }),
    );
    const depthOf = (node: string, seen: readonly string[]): void => {
      assert.ok(!seen.includes(node), `a circle: ${[...seen, node].join(' -> ')}`);
      for (const next of parentOf.get(node) ?? []) depthOf(next, [...seen, node]);
    };
    for (const node of agents.slice(0, 40)) depthOf(node, []);
  });

  it('places a node that is not in the list yet like any other', () => {
    const agents = names(100);
    const [path] = [feedPath({ agents, roots: [] }, '10.9.9.9:65002', false)];
    assert.ok(path.length === 0 || agents.includes(path[0]!));
    assert.deepEqual(feedPath({ agents: [], roots: [] }, '10.9.9.9:65002', false), []);
  });
});
