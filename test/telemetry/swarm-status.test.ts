import assert from 'node:assert/strict';
import { Timeline } from '../../lib/telemetry/history.ts';
import { mayReadAll } from '../../lib/telemetry/page-reader.ts';
import { buildSwarmStatus, type SwarmNode } from '../../lib/telemetry/swarm-status.ts';
import { busySwarm, nodeName, row } from './swarm-fixture.ts';

function one(node: string, rows: ReturnType<typeof row>[]): SwarmNode {
  const members = rows.map(({ node: name, role }) => ({ node: name, role, zone: null }));
  const status = buildSwarmStatus({
    ...{ self: node, head: node, atMs: 1e12, history: [], members, rows },
  });
  return status.nodes.find((found) => found.node === node)!;
}

describe('telemetry/swarm-status', () => {
  const others = [row(1), row(2), row(3)];
  const name = nodeName(0);

  for (const [what, changed, state, reason] of [
    ['not ready', { notReady: ['draining'] }, 'failing', 'not ready: draining'],
    [
      'with a disk that cannot be used',
      { cache: { usedBytes: 0, capacityBytes: 1, suspended: true } },
      'failing',
      'its cache disk cannot be used',
    ],
    ['not heard for a minute', { ageMs: 60_000 }, 'silent', 'nothing heard for 60 s'],
    [
      'far below the median',
      { rates: { ...row(0).rates, client: 1e6 } },
      'slow',
      '1 % of the median rate',
    ],
    ['at the median', {}, 'pulling', ''],
  ] as const)
    it(`judges a node that is ${what}`, () => {
      const node = one(name, [row(0, 0.5, changed as Partial<ReturnType<typeof row>>), ...others]);
      assert.deepEqual([node.state, node.reason], [state, reason]);
    });

  it('takes the word of other nodes: avoided is slow, quarantined is failing', () => {
    const says = (state: 'cooling' | 'quarantined'): ReturnType<typeof row> =>
      row(1, 1, { troubled: [{ node: name, state }] });
    assert.equal(one(name, [row(0, 1), says('cooling')]).state, 'slow');
    assert.equal(one(name, [row(0, 1), says('quarantined')]).state, 'failing');
    assert.match(one(name, [row(0, 1), says('cooling')]).reason, new RegExp(nodeName(1)));
  });

  it('sums what nodes told and counts who has an image', () => {
    const { bytes, savedBytes, images, states, nodes } = busySwarm(100, 1e12);
    const rows = nodes.flatMap(({ summary }) => summary ?? []);
    assert.equal(
      bytes.client,
      rows.reduce((sum, summary) => sum + summary.bytes.client, 0),
    );
    // The bytes that a root fetched for others are not saved.
    assert.ok(bytes.origin > 0);
    assert.equal(savedBytes, bytes.client - bytes.origin);
    assert.equal(images.length, 1);
    assert.equal(images[0]!.have + images[0]!.pulling + images[0]!.failed, 99);
    assert.deepEqual([states.failing, states.silent, states.slow, states.unheard], [1, 1, 1, 1]);
  });

  it('keeps an hour of history: single points for the newest, means of 10 s before', () => {
    const timeline = new Timeline();
    for (let second = 0; second < 4_000; second++)
      timeline.add({ atMs: second * 1_000, origin: 10, peer: second % 2, cache: 0, client: 4 });
    const points = timeline.points();
    const gaps = points.slice(1).map(({ atMs }, i) => atMs - points[i]!.atMs);
    assert.ok(points.at(-1)!.atMs - points[0]!.atMs >= 3_500_000);
    assert.ok(gaps.slice(-100).every((gap) => gap === 1_000));
    assert.ok(gaps.slice(0, 300).every((gap) => gap === 10_000));
    assert.equal(points[0]!.origin, 10);
  });
});

describe('telemetry/page-reader', () => {
  const token = 'a'.repeat(64);
  const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;
  for (const [authorization, may] of [
    ['', false],
    [`Bearer ${token}`, true],
    [`bearer ${token}`, true],
    [`Bearer ${token}b`, false],
    [`Bearer ${'b'.repeat(64)}`, false],
    [basic(`anybody:${token}`), true],
    [basic(token), false],
    [basic('anybody:'), false],
    ['Bearer', false],
  ] as const)
    it(`${may ? 'admits' : 'refuses'} ${authorization.slice(0, 30) || 'no header'}`, () => {
      assert.equal(mayReadAll({ isLocal: false, authorization }, token), may);
      assert.equal(mayReadAll({ isLocal: true, authorization }, token), true);
      assert.equal(mayReadAll({ isLocal: false, authorization }, null), false);
    });
});
