import assert from 'node:assert/strict';
import { collectorsFor } from '../../lib/swarm/collectors.ts';
import { Membership } from '../../lib/swarm/rank.ts';
import type { Member } from '../../lib/swarm/types.ts';

function swarm(agents: number, roots: number): Membership {
  const members = (role: Member['role'], count: number): Member[] =>
    Array.from({ length: count }, (_, i) => ({ node: `${role}-${i}:65002`, role, zone: null }));
  return new Membership([...members('agent', agents), ...members('root', roots)]);
}

describe('swarm/collectors', () => {
  it('takes roots for heads where there are any, else agents, and two at most', () => {
    const heads = (members: Membership): readonly string[] =>
      collectorsFor(members, 'agent-0:65002').heads;
    assert.deepEqual(heads(swarm(5, 1)), ['root-0:65002']);
    assert.equal(heads(swarm(5, 3)).length, 2);
    assert.ok(heads(swarm(5, 3)).every((node) => node.startsWith('root')));
    assert.equal(heads(swarm(5, 0)).length, 2);
  });

  it('names the same heads to every node, and no leaders in a small swarm', () => {
    const members = swarm(20, 2);
    const all = [...members.byNode.keys()].map((node) => collectorsFor(members, node));
    assert.equal(new Set(all.map(({ heads }) => heads.join())).size, 1);
    assert.ok(all.every(({ leaders }) => leaders.length === 0));
  });

  it('spreads 1,000 nodes over about 32 leaders, none with more than a few times its share', () => {
    const members = swarm(1_000, 3);
    const led = new Map<string, number>();
    for (const node of members.byNode.keys()) {
      const [leader] = collectorsFor(members, node).leaders;
      led.set(leader!, (led.get(leader!) ?? 0) + 1);
    }
    assert.ok(led.size >= 25 && led.size <= 32, `${led.size} leaders`);
    assert.ok(Math.max(...led.values()) <= 130, `${Math.max(...led.values())} nodes at one leader`);
  });
});
