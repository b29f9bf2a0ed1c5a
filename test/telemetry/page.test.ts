import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { nodePage, swarmPage } from '../../lib/telemetry/page.ts';
import type { HistoryPoint } from '../../lib/telemetry/history.ts';
import type { TreeEdge } from '../../lib/telemetry/status.ts';

interface Placed {
  name: string;
  x: number;
  y: number;
  depth: number;
  children: Placed[];
}

/** The page's own scripts: plain JavaScript for the browser, without types. */
async function script(name: string): Promise<Record<string, (...args: never[]) => unknown>> {
  return (await import(
    new URL(`../../lib/telemetry/page/${name}`, import.meta.url).href
  )) as Record<string, (...args: never[]) => unknown>;
}

describe('telemetry/page', () => {
  it('draws shards of the size that nodes use', async () => {
    assert.equal((await script('format.js'))['SHARD_BYTES'] as unknown, SHARD_BYTES);
  });

  for (const [name, page] of [
    ['the page of a node', nodePage],
    ['the page of the swarm', swarmPage],
  ] as const)
    it(`${name} is one file: nothing external, a policy for its own style and script only`, () => {
      const { status, headers, body } = page();
      assert.equal(status, 200);
      assert.equal(headers['content-type'], 'text/html; charset=utf-8');
      const policy = headers['content-security-policy']!;
      for (const tag of ['style', 'script']) {
        const parts = [...body.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, 'g'))];
        assert.equal(parts.length, 1, tag);
        assert.ok(
          policy.includes(
            `${tag}-src 'sha256-${createHash('sha256').update(parts[0]![1]!).digest('base64')}'`,
          ),
          tag,
        );
      }
      assert.ok(policy.startsWith("default-src 'none'"));
      assert.doesNotMatch(policy, /unsafe|\*|https?:/);
      assert.doesNotMatch(body.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\//);
      assert.doesNotMatch(body, /\sstyle=|\son[a-z]+=|javascript:|innerHTML|^import |^export /m);
      assert.ok(body.length < 64 * 1024);
    });
});

describe('telemetry/page/history-scale', () => {
  it('rounds the axis up to 1, 2 or 5 times a power of ten', async () => {
    const { niceMax } = (await script('history-scale.js')) as {
      niceMax: (value: number) => number;
    };
    assert.deepEqual(
      [0, 1, 1.1, 2, 3e6, 5.1e8, 9.99e9].map(niceMax),
      [1e6, 1, 2, 2, 5e6, 1e9, 1e10],
    );
  });

  it('covers the last hour, or less when the node is younger', async () => {
    const { spanMs } = (await script('history-scale.js')) as unknown as {
      spanMs: (points: { atMs: number }[]) => number;
    };
    const minutesOf = (...atMinutes: number[]): number =>
      spanMs(atMinutes.map((minutes) => ({ atMs: minutes * 60_000 }))) / 60_000;
    assert.deepEqual(
      [
        minutesOf(),
        minutesOf(7),
        minutesOf(0, 3),
        minutesOf(0, 3.1),
        minutesOf(0, 9, 14.9),
        minutesOf(0, 16),
        minutesOf(0, 61),
      ],
      [3, 3, 3, 6, 15, 60, 60],
    );
  });

  it('stacks the sources, and breaks the areas where the node was away', async () => {
    const { stack, runs, nearest } = (await script('history-scale.js')) as unknown as {
      stack: (points: HistoryPoint[]) => number[][][];
      runs: (points: HistoryPoint[]) => number[][];
      nearest: (points: HistoryPoint[], atMs: number) => number;
    };
    const points = [0, 5_000, 10_000, 100_000].map((atMs) => ({
      atMs,
      origin: 1,
      peer: 2,
      cache: 4,
      client: 9,
    }));
    assert.deepEqual(stack(points)[0], [
      [0, 1],
      [1, 3],
      [3, 7],
    ]);
    assert.deepEqual(runs(points), [
      [0, 2],
      [3, 3],
    ]);
    assert.deepEqual(runs([]), []);
    assert.deepEqual(
      [-1, 7_600, 1e9].map((atMs) => nearest(points, atMs)),
      [0, 2, 3],
    );
    assert.equal(nearest([], 5), -1);
  });
});

describe('telemetry/page/tree-layout', () => {
  const layOut = async (
    edges: TreeEdge[],
  ): Promise<{
    places: Placed[];
    roots: Placed[];
    depthMax: number;
    named: boolean;
    width: number;
    height: number;
  }> =>
    ((await script('tree-layout.js')) as { layOut: (edges: TreeEdge[]) => never })['layOut'](edges);
  const edge = (parent: string, child: string): TreeEdge => ({ parent, child, state: 'complete' });

  it('puts a parent between its children, a column before them, without overlap', async () => {
    const { places, depthMax, width, height } = await layOut([
      edge('a', 'b'),
      edge('a', 'c'),
      edge('b', 'd'),
      edge('b', 'e'),
      edge('x', 'y'),
    ]);
    const at = Object.fromEntries(places.map((place) => [place.name, place]));
    assert.equal(places.length, 7);
    assert.equal(depthMax, 2);
    assert.equal(at['b']!.y, (at['d']!.y + at['e']!.y) / 2);
    assert.ok(at['a']!.x < at['b']!.x && at['b']!.x === at['c']!.x && at['b']!.x < at['d']!.x);
    assert.equal(new Set(places.map(({ x, y }) => `${x} ${y}`)).size, places.length);
    assert.ok(places.every(({ x, y }) => x > 0 && x < width && y > 0 && y < height));
  });

  it('draws what it is told even when it is no tree', async () => {
    const { places, roots } = await layOut([
      edge('a', 'b'),
      edge('b', 'a'),
      edge('c', 'b'),
      edge('d', 'd'),
    ]);
    assert.equal(new Set(places).size, places.length);
    assert.deepEqual(roots.map(({ name }) => name).sort(), ['a', 'c', 'd']);
    assert.deepEqual((await layOut([])).places, []);
  });

  it('drops the names of a large tree and lowers its rows', async () => {
    const { named, height } = await layOut(
      Array.from({ length: 1000 }, (_, i) => edge('owner', `n${i}`)),
    );
    assert.equal(named, false);
    assert.ok(height <= 12_000);
  });
});
