import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { Summaries } from '../../../lib/control/peers/summaries.ts';
import { collectorsFor } from '../../../lib/swarm/collectors.ts';
import { Membership } from '../../../lib/swarm/rank.ts';
import type { Member } from '../../../lib/swarm/types.ts';
import type { NodeSummary } from '../../../lib/telemetry/node-summary.ts';
import { Envelope } from '../../../lib/wire/envelope.ts';
import { ClusterSecret } from '../../../lib/wire/secret.ts';
import { parseTelling, SUMMARY_PATH } from '../../../lib/wire/summary.ts';
import { nodeName, row } from '../../telemetry/swarm-fixture.ts';

const secret = new ClusterSecret(Buffer.from('a secret for the summaries'));

/** A swarm of nodes that only tell each other summaries, through real envelopes. */
class TellingSwarm {
  readonly clock = new ManualClock();
  readonly nodes = new Map<string, Summaries>();
  readonly summaries = new Map<string, NodeSummary>();
  readonly down = new Set<string>();
  /** Bytes of request heads and, of one node, the processor time of taking them. */
  readonly received = new Map<string, number>();
  messages = 0;
  membership: Membership;
  timed: { node: string; cpuMs: number } | null = null;

  constructor(nodes: number, roots: number) {
    const members = Array.from({ length: nodes }, (_, i): Member => ({
      node: nodeName(i),
      role: i < roots ? 'root' : 'agent',
      zone: null,
    }));
    this.membership = new Membership(members);
    members.forEach(({ node, role }, i) => {
      const { ageMs: _ageMs, ...own } = row(i, 0, { role });
      this.summaries.set(node, own);
      const envelope = new Envelope({ secret, self: node, wallMs: () => this.clock.wallMs() });
      this.nodes.set(
        node,
        new Summaries({
          self: node,
          clock: this.clock,
          secret,
          membership: () => this.membership,
          own: () => this.summaries.get(node)!,
          call: async (to, path, options) => {
            const headers = envelope.headers(to, path, options);
            return this.#arrive(to, path, headers);
          },
        }),
      );
    });
  }

  #arrive(
    to: string,
    path: string,
    headers: Record<string, string>,
  ): Awaited<ReturnType<ConstructorParameters<typeof Summaries>[0]['call']>> {
    if (this.down.has(to))
      return { kind: 'failed', error: { code: 'PEER_UNREACHABLE', message: 'down', status: 502 } };
    this.messages += 1;
    const head = Object.entries(headers).reduce(
      (sum, [name, value]) => sum + name.length + value.length + 4,
      0,
    );
    assert.ok(head < 64 * 1024, `a head of ${head} bytes`);
    this.received.set(to, (this.received.get(to) ?? 0) + head);
    const startMs = this.timed?.node === to ? process.cpuUsage() : null;
    const node = this.nodes.get(to)!;
    const opened = new Envelope({
      secret,
      self: to,
      wallMs: () => this.clock.wallMs(),
    }).open({ path, header: (name) => headers[name] ?? '' });
    assert.ok(opened.kind === 'opened');
    let body: object = {};
    if (path === SUMMARY_PATH) node.accept(parseTelling(opened.words!)!);
    else body = node.answer() ?? {};
    if (startMs !== null) {
      const { user, system } = process.cpuUsage(startMs);
      this.timed!.cpuMs += (user + system) / 1000;
    }
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    return { kind: 'answer', status: 200, body: bytes, checksum: null };
  }

  /** `rounds` times 2 s, in which every node ticks once. */
  async run(rounds: number, change: (round: number) => void = () => undefined): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      change(round);
      this.clock.advance(2_000);
      for (const [name, node] of this.nodes)
        if (!this.down.has(name)) {
          node.sample();
          node.tick();
        }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Every node has pulled a little more. */
  pull(round: number): void {
    [...this.summaries].forEach(([node, summary], i) =>
      this.summaries.set(node, {
        ...row(i, Math.min(1, (round * 31 + i) / 1_100)),
        role: summary.role,
        rates: { ...summary.rates, client: 1e8 + ((round * 7919 + i * 104_729) % 1e7) },
      }),
    );
  }

  seen(by: number): ReturnType<Summaries['swarm']> {
    return this.nodes.get(nodeName(by))!.swarm();
  }
}

describe('control/peers/summaries', function () {
  this.timeout(30_000);

  it('shows all nodes of a small swarm at any node, with the rates of all', async () => {
    const swarm = new TellingSwarm(6, 1);
    await swarm.run(3, (round) => swarm.pull(round));
    for (const by of [0, 3, 5]) {
      const { rows, history, head } = await swarm.seen(by);
      assert.equal(head, nodeName(0));
      assert.deepEqual(rows.map(({ node }) => node).toSorted(), [...swarm.nodes.keys()].toSorted());
      const clients = [...swarm.summaries.values()].reduce(
        (sum, { rates }) => sum + rates.client,
        0,
      );
      assert.ok(Math.abs(history.at(-1)!.client - clients) < 6e7, 'at most one tick old');
    }
  });

  it('tells nothing new only every 20 s, and what is new within 2 s', async () => {
    const swarm = new TellingSwarm(6, 1);
    await swarm.run(2);
    swarm.messages = 0;
    await swarm.run(9);
    assert.ok(swarm.messages <= 5, `${swarm.messages} messages of 5 idle nodes in 18 s`);
    swarm.messages = 0;
    await swarm.run(1, () => swarm.pull(3));
    assert.equal(swarm.messages, 5);
  });

  it('goes on when a head is down, and when a leader is down', async () => {
    const small = new TellingSwarm(6, 2);
    const [first] = collectorsFor(small.membership, nodeName(5)).heads;
    small.down.add(first!);
    await small.run(2, (round) => small.pull(round));
    const { rows, head } = await small.seen(5);
    assert.equal(
      head,
      [nodeName(0), nodeName(1)].find((node) => node !== first),
    );
    assert.equal(rows.length, 5);

    const large = new TellingSwarm(100, 2);
    const [leader] = collectorsFor(large.membership, nodeName(50)).leaders;
    large.down.add(leader!);
    await large.run(6, (round) => large.pull(round));
    const seen = await large.seen(0);
    assert.equal(seen.rows.length, 99, 'all but the one that is down');
  });

  it('shows what a node alone knows when no head answers', async () => {
    const swarm = new TellingSwarm(6, 1);
    swarm.down.add(nodeName(0));
    const { rows, head } = await swarm.seen(4);
    assert.equal(head, null);
    assert.deepEqual(
      rows.map(({ node }) => node),
      [nodeName(4)],
    );
  });

  it('splits what does not fit into one request head', async () => {
    const swarm = new TellingSwarm(200, 2);
    let seed = 1;
    const noise = (): string => {
      let text = '';
      while (text.length < 390) text += (seed = (seed * 48_271) % 2_147_483_647).toString(36);
      return text.slice(0, 390);
    };
    await swarm.run(4, () => {
      for (const [node, summary] of swarm.summaries) {
        const images = Array.from({ length: 8 }, () => ({ ...summary.images[0]!, image: noise() }));
        swarm.summaries.set(node, { ...summary, images });
      }
    });
    assert.equal((await swarm.seen(0)).rows.length, 200);
  });

  it('costs the busiest of 1,000 nodes less than 100 KB/s and 1 % of a core', async () => {
    const swarm = new TellingSwarm(1_000, 2);
    const rounds = 5;
    await swarm.run(3, (round) => swarm.pull(round));
    swarm.received.clear();
    const [head] = collectorsFor(swarm.membership, nodeName(9)).heads;
    swarm.timed = { node: head!, cpuMs: 0 };
    await swarm.run(rounds, (round) => swarm.pull(round + 3));
    const bytesPerSecond = Math.max(...swarm.received.values()) / (rounds * 2);
    assert.ok(bytesPerSecond < 100_000, `${Math.round(bytesPerSecond)} bytes/s`);
    // Signing and parsing a request's head, which come on top, are counted with every p2p request.
    const share = swarm.timed.cpuMs / (rounds * 2_000);
    assert.ok(share < 0.01, `${(share * 100).toFixed(2)} % of a core`);
    const { rows } = await swarm.seen(700);
    assert.equal(rows.length, 1_000);
  });
});
