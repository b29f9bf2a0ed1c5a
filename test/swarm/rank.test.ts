import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  BLOB_OWNER_NODES_MAX,
  LONE_OWNER_CLIENTS_MAX,
  OWNER_CLIENTS,
  RANK_DEPTH,
} from '../../lib/swarm/limits.ts';
import { Membership, ownerPlace, Ranking } from '../../lib/swarm/rank.ts';
import { KEY } from './fixture.ts';

const nodes = Array.from({ length: 100 }, (_, at) => `10.0.0.${at}:65002`);

describe('swarm/rank', () => {
  it('is the same on every node, whatever order the names come in', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(nodes, { minLength: 1 }), fc.nat(100_000), (some, index) => {
        const shard = { key: KEY, index };
        assert.deepEqual(new Ranking(some).top(shard), new Ranking(some.toSorted()).top(shard));
      }),
    );
  });

  it('is RANK_DEPTH different names, all of them when there are fewer', () => {
    for (const count of [1, 2, RANK_DEPTH, RANK_DEPTH + 1, 100]) {
      const rank = new Ranking(nodes.slice(0, count)).top({ key: KEY, index: 7 });
      assert.equal(new Set(rank).size, Math.min(count, RANK_DEPTH));
    }
    assert.deepEqual(new Ranking([]).top({ key: KEY, index: 0 }), []);
  });

  it('moves only the shards a name that leaves was first for, to its successor', () => {
    const all = new Ranking(nodes);
    const gone = nodes[42]!;
    const less = new Ranking(nodes.filter((node) => node !== gone));
    for (let index = 0; index < 2000; index++) {
      const shard = { key: KEY, index };
      const [first, second] = all.top(shard);
      assert.equal(less.top(shard)[0], first === gone ? second : first);
    }
  });

  it('spreads shards evenly: within 4 standard deviations for every node', () => {
    const ranking = new Ranking(nodes);
    const owned = new Map<string, number>();
    const shards = 20_000;
    for (let index = 0; index < shards; index++) {
      const first = ranking.top({ key: KEY, index })[0]!;
      owned.set(first, (owned.get(first) ?? 0) + 1);
    }
    const mean = shards / nodes.length;
    for (const node of nodes)
      assert.ok(
        Math.abs((owned.get(node) ?? 0) - mean) < 4 * Math.sqrt(mean),
        `${node} owns ${owned.get(node)}`,
      );
  });

  it('lets roots own shards only where there are no agents', () => {
    const member = (node: string, role: 'agent' | 'root') => ({ node, role, zone: null });
    assert.equal(
      new Membership([member('a', 'agent'), member('r', 'root')]).owners.top({
        key: KEY,
        index: 0,
      })[0],
      'a',
    );
    assert.equal(new Membership([member('r', 'root')]).owners.top({ key: KEY, index: 0 })[0], 'r');
  });

  it('gives a blob one owner in a small swarm of one zone, another for each blob', () => {
    const ownersIn = (agents: number, zones: readonly (string | null)[], keys = [KEY]): number => {
      const members = new Membership(
        nodes
          .slice(0, agents)
          .map((node, at) => ({ node, role: 'agent', zone: zones[at % zones.length]! })),
      );
      const shards = keys.flatMap((key) =>
        Array.from({ length: 64 }, (_, index) => ({ key, index })),
      );
      return new Set(shards.map((shard) => members.owners.top(shard)[0])).size;
    };
    const keys = Array.from({ length: 64 }, (_, at) => `${KEY}${at}`);
    for (const zones of [[null], ['a']]) {
      assert.equal(ownersIn(BLOB_OWNER_NODES_MAX, zones), 1);
      assert.ok(ownersIn(BLOB_OWNER_NODES_MAX, zones, keys) > BLOB_OWNER_NODES_MAX / 2);
      assert.ok(ownersIn(BLOB_OWNER_NODES_MAX + 1, zones) > BLOB_OWNER_NODES_MAX / 2);
    }
    for (const zones of [
      ['a', 'b'],
      ['a', null],
    ])
      assert.ok(
        ownersIn(BLOB_OWNER_NODES_MAX, zones) > 1,
        'an uplink between zones is not divided',
      );
  });

  it('leads from the own zone to the zone of the root, in no circle, whatever the zones', () => {
    const zone = fc.constantFrom('a', 'b', 'c', null);
    fc.assert(
      fc.property(
        fc.array(zone, { minLength: 1, maxLength: 30 }),
        fc.array(zone, { maxLength: 2 }),
        fc.nat(1000),
        (agents, roots, index) => {
          const members = new Membership([
            ...agents.map((zone, at) => ({ node: nodes[at]!, role: 'agent' as const, zone })),
            ...roots.map((zone, at) => ({ node: nodes[99 - at]!, role: 'root' as const, zone })),
          ]);
          const shard = { key: KEY, index };
          // Where a node asks when all are well; null: it is the owner of all.
          const ownerOf = (node: string): string | null =>
            members
              .ownersFor(shard, members.byNode.get(node)!.zone)
              .map((ranking) => ranking.top(shard)[0]!)
              .find((owner) => owner !== node) ?? null;
          const ends = new Set<string>();
          const crossings = new Map<string, number>();
          for (let at = 0; at < agents.length; at++) {
            const asked = ownerOf(nodes[at]!);
            const own = agents[at]!;
            if (asked !== null && own !== null && members.byNode.get(asked)!.zone !== own)
              crossings.set(own, (crossings.get(own) ?? 0) + 1);
            let steps = 0;
            let node = nodes[at]!;
            for (let next = ownerOf(node); next !== null; next = ownerOf(node)) {
              node = next;
              assert.ok(++steps <= 3, 'asks go in a circle');
            }
            ends.add(node);
          }
          assert.equal(ends.size, 1, 'one node asks the root or the origin');
          for (const [into, count] of crossings) assert.equal(count, 1, `${into} is entered once`);
        },
      ),
    );
  });

  it("shares a shard's nodes among owners if there are many, and asks better ranks only", () => {
    const owners = 2 * RANK_DEPTH;
    const names = Array.from(
      { length: owners * OWNER_CLIENTS },
      (_, at) => `10.${at >> 8}.${at & 255}.1:65002`,
    );
    const shard = { key: 'sha256:aa', index: 7 };
    const rank = new Ranking(names).top(shard);
    assert.equal(rank.length, owners, 'all owners are in the rank');
    const counts = new Map<number, number>();
    for (const name of names) {
      const place = ownerPlace(shard, name, rank, names.length);
      counts.set(place, (counts.get(place) ?? 0) + 1);
      const own = rank.indexOf(name);
      assert.ok(own < 0 || place === 0, `${own} asks ${place}`);
      // Another node that believes in fewer members takes it for no owner: it asks a better one all
      // the same.
      const fewer = ownerPlace(shard, name, rank, names.length / 2);
      assert.ok(own < 0 || fewer === 0 || fewer < own, `${own} asks ${fewer}`);
    }
    assert.equal(counts.size, owners);
    for (const count of counts.values())
      assert.ok(count < 1.5 * OWNER_CLIENTS, `${count} ask one owner`);
    assert.equal(ownerPlace(shard, names[5]!, rank, LONE_OWNER_CLIENTS_MAX), 0, 'one is enough');
  });
});
