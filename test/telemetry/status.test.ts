import assert from 'node:assert/strict';
import {
  HISTORY_FINE_POINTS_MAX,
  HISTORY_POINTS_MAX,
  RECENT_ERRORS_MAX,
} from '../../lib/telemetry/limits.ts';
import { STATUS_PEERS_MAX } from '../../lib/limits.ts';
import type { Status } from '../../lib/telemetry/status.ts';
import { telemetryFixture, type TelemetryFixture } from './fixture.ts';

async function status({ route }: TelemetryFixture): Promise<Status> {
  const answer = await route('/status', '', true);
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type']!, /^application\/json/);
  return JSON.parse(answer.body) as Status;
}

/** Lets `seconds` pass, a tick a second, with `each` done before each tick. */
function pass(fixture: TelemetryFixture, seconds: number, each: () => void = () => {}): void {
  for (let i = 0; i < seconds; i++) {
    each();
    fixture.clock.advance(1000);
    fixture.telemetry.tick();
  }
}

describe('telemetry/status', () => {
  it('adds up bytes by source, and the share of each tier', async () => {
    const fixture = telemetryFixture();
    fixture.meter.record('download', 1000, 1);
    fixture.meter.record('peer', 2000, 1);
    fixture.meter.count('served.client.arena', 300);
    fixture.meter.count('served.client.disk', 100);
    fixture.meter.count('served.client.peer', 400);
    fixture.meter.count('served.peer.arena', 55);
    const { bytes, sent, hitRatio, ready, mode, node } = await status(fixture);
    assert.deepEqual(bytes, { origin: 1000, peer: 2000, cache: 400 });
    assert.deepEqual(sent, { client: 800, peer: 55 });
    assert.deepEqual(hitRatio, { arena: 0.375, disk: 0.125, runtime: 0, peer: 0.5, origin: 0 });
    assert.deepEqual(
      { ready, mode, node },
      { ready: true, mode: 'agent', node: '192.168.69.172:65005' },
    );
  });

  it('gives rates of the last window, and history by second and by ten seconds', async () => {
    const fixture = telemetryFixture();
    pass(fixture, 60, () => {
      fixture.meter.record('peer', 10_000, 1);
      fixture.meter.count('served.client.peer', 8_000);
    });
    let now = await status(fixture);
    assert.equal(now.rates.peer, 10_000);
    assert.equal(now.rates.client, 8_000);
    assert.equal(now.rates.origin, 0);
    assert.equal(now.history.length, 60);
    assert.deepEqual(now.history[3], {
      atMs: 1_692_156_721_833 + 4_000,
      origin: 0,
      peer: 10_000,
      cache: 0,
      client: 8_000,
    });
    pass(fixture, 70 * 60);
    now = await status(fixture);
    const hour = (HISTORY_POINTS_MAX * 10_000) / 1_000;
    const firstMs = now.history[0]!.atMs;
    assert.ok(now.history.at(-1)!.atMs - firstMs > (hour - 30) * 1_000);
    assert.ok(now.history.length <= HISTORY_POINTS_MAX + HISTORY_FINE_POINTS_MAX);
    assert.ok(now.history.every(({ peer }) => peer === 0));
    assert.equal(now.uptimeSeconds, 71 * 60);
  });

  it('lists peers in trouble first, then the busiest; counts all, cuts only the list', async () => {
    const fixture = telemetryFixture();
    fixture.inputs.peers = Array.from({ length: STATUS_PEERS_MAX + 5 }, (_, i) => ({
      node: `10.0.${Math.floor(i / 250)}.${i % 250}:65002`,
      zone: null,
      role: 'agent' as const,
      state: i === 0 ? ('cooling' as const) : i === 1 ? ('quarantined' as const) : ('up' as const),
    }));
    pass(fixture, 5, () => {
      fixture.telemetry.peerRates.add('10.0.2.7:65002', 5_000);
      fixture.telemetry.peerRates.add('10.0.3.9:65002', 1_000, 9_000);
    });
    let now = await status(fixture);
    assert.equal(now.peers.length, STATUS_PEERS_MAX);
    assert.deepEqual(now.peersByState, {
      quarantined: 1,
      unauthorized: 0,
      cooling: 1,
      slow: 0,
      unknown: 0,
      up: STATUS_PEERS_MAX + 3,
    });
    assert.deepEqual(
      now.peers.slice(0, 4).map(({ node, state }) => [node, state]),
      [
        ['10.0.0.1:65002', 'quarantined'],
        ['10.0.0.0:65002', 'cooling'],
        ['10.0.3.9:65002', 'up'],
        ['10.0.2.7:65002', 'up'],
      ],
    );
    assert.equal(now.peers[2]!.sentBytesPerSecond, 9_000);
    assert.equal(now.peers[3]!.receivedBytesPerSecond, 5_000);
    pass(fixture, 10);
    now = await status(fixture);
    assert.equal(now.peers[2]!.receivedBytesPerSecond, 0);
  });

  it('remembers recent errors: newest first, repeats counted, bounded, no secrets', async () => {
    const fixture = telemetryFixture();
    const { errors } = fixture.telemetry;
    for (let i = 0; i < RECENT_ERRORS_MAX + 10; i++)
      errors.add(i, 'ORIGIN_TIMEOUT', `no answer for blob ${i}`);
    errors.add(500, 'PEER_BROKEN', 'first');
    errors.add(600, 'ORIGIN_REFUSED', 'GET https://h/p?Signature=s3cr3t: 403');
    errors.add(700, 'PEER_BROKEN', 'first');
    const { recentErrors } = await status(fixture);
    assert.equal(recentErrors.length, RECENT_ERRORS_MAX);
    assert.deepEqual(recentErrors[0], {
      atMs: 700,
      code: 'PEER_BROKEN',
      message: 'first',
      count: 2,
    });
    assert.equal(recentErrors[1]!.message.includes('s3cr3t'), false);
    assert.equal(recentErrors.at(-1)!.message, 'no answer for blob 12');
  });

  it('does not divide by a clock that stands still or count a source backwards', async () => {
    const fixture = telemetryFixture();
    fixture.telemetry.tick();
    fixture.telemetry.tick();
    assert.equal((await status(fixture)).rates.origin, 0);
  });
});

describe('telemetry/exporter', () => {
  it('is ready only while it serves and nothing is wrong, and says why not', async () => {
    const fixture = telemetryFixture();
    const ask = async (): Promise<[number, unknown]> => {
      const answer = await fixture.route('/readyz', '', true);
      return [answer.status, JSON.parse(answer.body)];
    };
    assert.deepEqual(await ask(), [200, { status: 'ready' }]);
    fixture.inputs.readiness = { phase: 'starting', problems: [] };
    assert.deepEqual(await ask(), [503, { status: 'not ready', reasons: ['starting'] }]);
    fixture.inputs.readiness = { phase: 'draining', problems: [] };
    assert.deepEqual(await ask(), [503, { status: 'not ready', reasons: ['draining'] }]);
    fixture.inputs.readiness = { phase: 'serving', problems: ['no front thread'] };
    assert.deepEqual(await ask(), [503, { status: 'not ready', reasons: ['no front thread'] }]);
    const warnings = ['no DNS server has answered'];
    fixture.inputs.readiness = { phase: 'serving', problems: [], warnings };
    assert.deepEqual(await ask(), [200, { status: 'ready', warnings }]);
    assert.equal((await fixture.route('/healthz', '', true)).status, 200);
  });

  it('gives the tree of a blob it tracks, an empty one of a blob it does not', async () => {
    const fixture = telemetryFixture();
    fixture.trees.set('sha256:dd', {
      blob: 'sha256:dd',
      shards: [{ index: 3, edges: [{ parent: 'a:1', child: 'b:1', state: 'receiving' }] }],
    });
    const found = await fixture.route('/status/tree', 'blob=sha256%3Add', true);
    assert.equal(found.status, 200);
    assert.deepEqual(JSON.parse(found.body), fixture.trees.get('sha256:dd'));
    assert.deepEqual(
      JSON.parse((await fixture.route('/status/tree', 'blob=sha256:00', true)).body),
      {
        blob: 'sha256:00',
        shards: [],
      },
    );
    assert.equal((await fixture.route('/status/tree', '', true)).status, 400);
    assert.equal((await fixture.route('/secret', '', true)).status, 404);
  });

  it("answers when the node's state cannot be read, without telling the reason", async () => {
    const fixture = telemetryFixture();
    Object.defineProperty(fixture.inputs, 'peers', {
      get: () => assert.fail('broken state token=s3cr3t'),
    });
    const answer = await fixture.route('/status', '', true);
    assert.equal(answer.status, 500);
    assert.doesNotMatch(answer.body, /broken|s3cr3t/);
    assert.equal(fixture.telemetry.errors.list()[0]!.code, 'INTERNAL');
    assert.doesNotMatch(JSON.stringify(fixture.telemetry.errors.list()), /s3cr3t/);
  });

  it('tells readers on other machines no digest, image or error text', async () => {
    const fixture = telemetryFixture();
    const key = `sha256:${'ab'.repeat(32)}`;
    const reads = { receivedBytes: 1, sentBytes: 1, totalBytes: 2, clients: 1, nodes: 0 };
    fixture.inputs.inFlight = [{ blob: key, source: 'peer', ...reads }];
    fixture.inputs.trees = { tracked: 1, depthMax: 1, blobs: [key] };
    fixture.telemetry.errors.add(0, 'ORIGIN_REFUSED', 'registry.example/secret-project said 404');
    for (const [path, status] of [
      ['/status', 200],
      ['/status/pulls', 403],
      ['/status/tree', 403],
    ] as const) {
      const query = path === '/status/tree' ? `blob=${key}` : '';
      const answer = await fixture.route(path, query, false);
      assert.equal(answer.status, status);
      assert.doesNotMatch(answer.body, /abab|secret-project/);
    }
    const answer = await fixture.route('/status', '', false);
    const { inFlight, recentErrors } = JSON.parse(answer.body) as Status;
    assert.deepEqual(inFlight, [{ blob: 'hidden', source: 'peer', ...reads }]);
    assert.equal(recentErrors[0]!.code, 'ORIGIN_REFUSED');
  });
});
