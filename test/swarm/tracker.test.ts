import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  HOLDER_DOUBTS_MAX,
  HOLDER_STALE_MS,
  OWNER_CHILDREN_MAX,
  OWNER_RETRY_MS,
} from '../../lib/swarm/limits.ts';
import type { Speed } from '../../lib/swarm/lines.ts';
import { isInner, Tracker, type TreeAsker } from '../../lib/swarm/tracker.ts';

const OWNER = { node: '10.1.0.1:65002', zone: null };
const name = (at: number): string => `10.0.${at >> 8}.${at & 255}:65002`;
const anyone = (): boolean => true;
const nobody = (): boolean => false;
const asker = (at: number, more: Partial<TreeAsker> = {}): TreeAsker => ({
  node: name(at),
  zone: null,
  load: 0,
  exclude: [],
  ...more,
});

/** The parent a tracker gives, or `serve` or `busy`. */
function given(tracker: Tracker, at: number, more: Partial<TreeAsker> = {}): string {
  const verdict = tracker.ask(asker(at, more), anyone);
  return verdict.kind === 'redirect' ? verdict.parents[0]! : verdict.kind;
}

/** The parent a tracker gives, `owner` for itself; fails on "busy". */
function parentOf(
  tracker: Tracker,
  node: string,
  zone: string | null = null,
  exclude: string[] = [],
): string {
  const verdict = tracker.ask({ node, zone, load: 0, exclude }, anyone);
  assert.notEqual(verdict.kind, 'busy');
  return verdict.kind === 'redirect' ? verdict.parents[0]! : 'owner';
}

describe('swarm/tracker', () => {
  it("keeps every tree flat and every node's children few, however many ask at once", () => {
    const shape = { fanout: 4, ownerFanout: 8, ownerLeaves: 2 };
    const tracker = new Tracker(3, OWNER, shape);
    const children = new Map<string, number>();
    const nodes = Array.from({ length: 1000 }, (_, at) => name(at));
    // Inner nodes ask earlier; see ReadWindow.
    for (const node of [
      ...nodes.filter((at) => isInner(at, 3, 4)),
      ...nodes.filter((at) => !isInner(at, 3, 4)),
    ]) {
      const parent = parentOf(tracker, node);
      children.set(parent, (children.get(parent) ?? 0) + 1);
    }
    assert.ok(tracker.depth <= 12, `depth ${tracker.depth}`);
    assert.equal(Math.max(...nodes.map((node) => tracker.depthOf(node)!)), tracker.depth);
    assert.equal(tracker.depthOf('nobody'), null);
    assert.ok(Math.max(...children.values()) <= 8);
    for (const [node, count] of children)
      if (node !== 'owner' && !isInner(node, 3, 4))
        assert.equal(count, 1, 'a leaf has one child at most');
  });

  it('makes each node inner in one tree of as many as the fan-out', () => {
    for (let at = 0; at < 50; at++) {
      const inner = Array.from({ length: 60 }, (_, index) => isInner(name(at), index, 6)).filter(
        Boolean,
      ).length;
      assert.equal(inner, 10);
    }
  });

  it('never names the requester, an excluded node, an unfit one or one below the requester', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            node: fc.nat(20),
            excluded: fc.array(fc.nat(20), { maxLength: 4 }),
            act: fc.constantFrom('ask', 'done', 'forget', 'lied', 'sent'),
            speed: fc.constantFrom('usual', 'slow'),
          }),
          { maxLength: 200 },
        ),
        fc.nat(5),
        fc.constantFrom(1, 2),
        (steps, unfit, fanout) => {
          const tracker = new Tracker(0, OWNER, { fanout, ownerFanout: 2, ownerLeaves: 1 });
          const parents = new Map<string, string | null>();
          for (const { node: at, excluded, act, speed } of steps) {
            const node = name(at);
            if (act === 'forget') {
              tracker.forget(node);
              parents.delete(node);
            } else if (act === 'sent') tracker.sent(node, false);
            else if (act !== 'ask') tracker.report(node, null, parents.get(node) ?? null, act);
            else {
              const exclude = excluded.map(name);
              const verdict = tracker.ask(
                asker(at, { exclude, speed }),
                (candidate) => candidate !== name(unfit),
              );
              if (verdict.kind === 'busy') continue;
              const parent = verdict.kind === 'redirect' ? verdict.parents[0]! : null;
              assert.notEqual(parent, node);
              assert.ok(parent === null || (!exclude.includes(parent) && parent !== name(unfit)));
              parents.set(node, parent);
            }
            // A receiving node must lead up to the owner or to a complete node, never to itself.
            const edges = new Map(tracker.edges(1000).map((edge) => [edge.node, edge]));
            for (const start of edges.values()) {
              let above = start.complete ? undefined : edges.get(start.parent ?? '');
              for (let up = 0; above !== undefined && !above.complete; up++) {
                assert.notEqual(above.node, start.node, 'a node above itself');
                assert.ok(up <= edges.size, 'a circle');
                above = edges.get(above.parent ?? '');
              }
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps one chain when answers are lost, as those of a busy owner may be', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    const parents = (order: readonly number[]): string[] =>
      order.map((at) => parentOf(tracker, name(at)));
    const first = parents([1, 2, 3, 4, 5]);
    assert.equal(first[0], 'owner');
    tracker.sent(name(1), false);
    const again = parents([3, 2, 5, 4, 1]);
    assert.deepEqual(
      again,
      [2, 1, 4, 3, 0].map((at) => first[at]),
    );
  });

  it('names no child of a node that was forgotten and asks again', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    tracker.ask(asker(1), () => true);
    assert.deepEqual(
      tracker.ask(asker(2), () => true),
      { kind: 'redirect', parents: [name(1)] },
    );
    tracker.forget(name(1));
    const verdict = tracker.ask(asker(1, { exclude: [OWNER.node] }), () => true);
    assert.ok(verdict.kind !== 'redirect' || !verdict.parents.includes(name(2)));
  });

  it('begins as many chains as the shape says, and then each node has one child', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 2, ownerLeaves: 2 });
    const parents = Array.from({ length: 9 }, (_, at) => parentOf(tracker, name(at + 1)));
    assert.equal(parents.filter((parent) => parent === 'owner').length, 2);
    const children = parents.filter((parent) => parent !== 'owner');
    assert.equal(new Set(children).size, children.length, 'no node has two children');
  });

  it('begins a chain in each zone, so that a shard crosses into a zone once', () => {
    const owner = { node: OWNER.node, zone: 'a' };
    const tracker = new Tracker(0, owner, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    const zones = new Map([['owner', 'a']]);
    let crossings = 0;
    for (let at = 0; at < 30; at++) {
      const zone = ['a', 'b', 'c'][(at * 7) % 3]!;
      zones.set(name(at), zone);
      if (zones.get(parentOf(tracker, name(at), zone)) !== zone) crossings++;
    }
    assert.equal(crossings, 2);
  });

  it('gives the head of a chain its place again after "busy"', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    assert.deepEqual(
      [name(1), name(2)].map((node) => parentOf(tracker, node)),
      ['owner', name(1)],
    );
    assert.equal(parentOf(tracker, name(9), 'elsewhere'), 'owner');
    tracker.sent(name(1), false);
    assert.equal(parentOf(tracker, name(1)), 'owner', 'not behind the head of another zone');
  });

  describe('with nodes whose lines were found to be slow', () => {
    function chain(...speeds: Speed[]): string[] {
      const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
      return speeds.map((speed, at) => given(tracker, at, { speed }));
    }

    it('lets them have a chain of their own, that begins beside the usual one', () => {
      const parents = chain('usual', 'slow', 'usual', 'slow', 'usual', 'slow');
      assert.deepEqual(parents, ['serve', name(0), name(0), name(1), name(2), name(3)]);
    });

    it('sends them the shard itself before there is another node, beside the usual chain', () => {
      const parents = chain('slow', 'usual', 'slow', 'usual');
      assert.deepEqual(parents, ['serve', 'serve', name(0), name(1)]);
    });

    it('makes leaves of them in trees', () => {
      const tracker = new Tracker(0, OWNER, { fanout: 2, ownerFanout: 8, ownerLeaves: 8 });
      for (let at = 0; at < 8; at++) tracker.ask(asker(at, { speed: 'slow' }), anyone);
      for (let at = 8; at < 30; at++) {
        const parent = parentOf(tracker, name(at));
        assert.ok(parent === 'owner' || Number(parent.split('.')[3]!.split(':')[0]) >= 8, parent);
      }
    });

    it('gives a place back when the node leaves it, or turns out to be fast', () => {
      const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
      const ask = (at: number, speed: Speed): string => given(tracker, at, { speed });
      ask(0, 'usual');
      assert.equal(ask(1, 'slow'), name(0));
      tracker.forget(name(1));
      assert.equal(ask(2, 'slow'), name(0));
      assert.equal(ask(2, 'usual'), name(0), 'which takes it as a usual child now');
      assert.equal(ask(3, 'slow'), name(2), 'which is at the end of the usual chain');
    });

    it('begins their chain anew, and leaves the head of the usual one, when a sending ends', () => {
      const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
      const ask = (at: number, speed: Speed): string => given(tracker, at, { speed });
      assert.equal(ask(0, 'slow'), 'serve');
      assert.equal(ask(1, 'usual'), 'serve');
      tracker.sent(name(0), false);
      assert.equal(ask(2, 'usual'), name(1), 'the usual chain still has a head');
      assert.equal(ask(3, 'slow'), name(0), 'which is still at the end of its chain');
    });
  });

  it("gives a parent's place to another when its child is done", () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    assert.equal(parentOf(tracker, name(1)), 'owner');
    assert.equal(parentOf(tracker, name(2)), name(1));
    assert.equal(parentOf(tracker, name(3)), name(2));
    tracker.report(name(1), null, null, 'done');
    assert.equal(
      parentOf(tracker, name(4)),
      name(3),
      "a free slot in the tree comes before the owner's",
    );
    tracker.report(name(2), null, name(1), 'done');
    assert.ok([name(1), name(4)].includes(parentOf(tracker, name(5))));
  });

  it('prefers the own zone, and crosses to another once for a zone', () => {
    const tracker = new Tracker(
      0,
      { node: OWNER.node, zone: 'a' },
      { fanout: 3, ownerFanout: 4, ownerLeaves: 4 },
    );
    let crossings = 0;
    for (let at = 0; at < 60; at++) {
      const parent = parentOf(tracker, name(at), 'b');
      if (parent === 'owner') crossings++;
    }
    assert.equal(crossings, 1);
    assert.equal(parentOf(tracker, name(100), 'a'), 'owner');
  });

  it('leaves a parent alone that several have left, and one that was caught lying', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    parentOf(tracker, name(1));
    tracker.report(name(1), null, null, 'done');
    for (let at = 2; at < 2 + HOLDER_DOUBTS_MAX; at++)
      tracker.report(name(at), null, name(1), 'failed');
    for (let at = 10; at < 20; at++) assert.notEqual(parentOf(tracker, name(at)), name(1));

    const other = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    parentOf(other, name(1));
    other.report(name(1), null, null, 'done');
    other.report(name(2), null, name(1), 'lied');
    for (let at = 10; at < 20; at++) assert.notEqual(parentOf(other, name(at)), name(1));
  });

  it('gives the children of a node that left new parents', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    parentOf(tracker, name(1));
    assert.equal(parentOf(tracker, name(2)), name(1));
    tracker.forgetAll((node) => node !== name(1));
    assert.equal(parentOf(tracker, name(2), null, [name(1)]), 'owner');
    assert.equal(tracker.size, 1);
  });

  it('sends the child of a node that has failed to the parent of that node', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    for (let at = 1; at <= 5; at++) parentOf(tracker, name(at));
    const again = (at: number, without: number[], parentFailed: boolean): string =>
      given(tracker, at, { exclude: without.map(name), parentFailed });
    assert.equal(again(4, [3], true), name(2));
    assert.equal(again(2, [1], true), 'serve', 'by the owner itself');
    assert.equal(again(3, [2], true), name(1), 'the owner has another child, and name(1) none');
    assert.notEqual(again(5, [4], false), name(2), 'late only');
  });

  it('says busy rather than send to more children than it can', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    const verdicts = Array.from(
      { length: OWNER_CHILDREN_MAX + 1 },
      (_, at) => tracker.ask(asker(at), nobody).kind,
    );
    assert.deepEqual([verdicts.at(-2), verdicts.at(-1)], ['serve', 'busy']);
    tracker.sent(name(0), false);
    assert.equal(tracker.ask(asker(99), nobody).kind, 'serve');
  });

  it('gives back the places of those it has not heard of for long', () => {
    const tracker = new Tracker(0, OWNER, { fanout: 1, ownerFanout: 1, ownerLeaves: 1 });
    for (let at = 0; at < OWNER_CHILDREN_MAX; at++) tracker.ask(asker(at), nobody, 1000);
    const kindAt = (ms: number): string => tracker.ask(asker(99), nobody, 1000 + ms).kind;
    assert.equal(kindAt(HOLDER_STALE_MS - OWNER_RETRY_MS - 1), 'busy');
    assert.equal(kindAt(HOLDER_STALE_MS + OWNER_RETRY_MS), 'serve');
  });

  it('learns of holders it did not know from their reports', () => {
    const tracker = new Tracker(0, OWNER);
    tracker.report(name(1), null, null, 'done');
    tracker.report(OWNER.node, null, null, 'done');
    assert.equal(tracker.size, 1);
    assert.deepEqual(tracker.edges(9), [{ shard: 0, node: name(1), parent: null, complete: true }]);
  });
});
