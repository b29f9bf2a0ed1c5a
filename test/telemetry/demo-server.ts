import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExporterRoute } from '../../lib/telemetry/exporter.ts';
import type { TreeEdge } from '../../lib/telemetry/status.ts';
import { telemetryFixture, type TelemetryFixture } from './fixture.ts';

export const DEMO_BLOB = `sha256:dd65726c224b${'0'.repeat(52)}`;

/** A tree of `nodes` nodes below one owner, three children each. */
export function demoEdges(nodes: number): TreeEdge[] {
  const name = (i: number): string => `10.0.${Math.floor(i / 200)}.${(i % 200) + 1}:65002`;
  return Array.from({ length: nodes - 1 }, (_, i) => ({
    parent: name(Math.floor(i / 3)),
    child: name(i + 1),
    state:
      i % 11 === 7
        ? ('failed' as const)
        : i < nodes / 2
          ? ('complete' as const)
          : ('receiving' as const),
  }));
}

/** A node in the middle of a busy quarter of an hour, as the page would meet it. */
export function busyFixture(): TelemetryFixture {
  const fixture = telemetryFixture('10.0.0.1:65002', Date.now() - 15 * 60_000);
  const { meter, telemetry, clock, inputs, pulls, trees } = fixture;
  inputs.cache = {
    allocatedBytes: 4_294_967_296,
    usedBytes: 2_900_000_000,
    entries: 1383,
    suspended: false,
  };
  inputs.arena = { slots: 128, used: 74 };
  inputs.peers = Array.from({ length: 30 }, (_, i) => ({
    node: `10.0.0.${i + 2}:65002`,
    zone: i % 3 === 0 ? null : `cn-hangzhou-${'bcd'[i % 3]}`,
    role: i < 2 ? ('root' as const) : ('agent' as const),
    state: i === 5 ? ('cooling' as const) : i === 9 ? ('quarantined' as const) : ('up' as const),
  }));
  inputs.inFlight = [
    {
      blob: DEMO_BLOB,
      receivedBytes: 402_653_184,
      sentBytes: 0,
      totalBytes: 536_870_912,
      source: 'peer',
      clients: 0,
      nodes: 1,
    },
    {
      blob: `sha256:ab${'1'.repeat(62)}`,
      receivedBytes: 12_582_912,
      sentBytes: 0,
      totalBytes: 104_857_600,
      source: 'origin',
      clients: 0,
      nodes: 1,
    },
    {
      blob: `url:ff${'2'.repeat(62)}`,
      receivedBytes: 2_097_152,
      sentBytes: 0,
      totalBytes: null,
      source: 'disk',
      clients: 0,
      nodes: 1,
    },
  ];
  inputs.queues = { layers: 3, throttle: 12, disk: 0 };
  pulls.push({
    image: 'registry.example:5000/team/backend/service-with-a-long-name:v1.24.3',
    digest: DEMO_BLOB,
    requestId: '0123456789abcdef',
    running: true,
    endedAtMs: 0,
    blobs: 7,
    imageBytes: 536_870_912,
    sentBytes: 404_750_336,
    bytes: 402_653_184,
    seconds: 3.21,
    bytesPerSecond: 125_437_128,
    sources: { memory: 2_000_000, disk: 0, runtime: 0, peer: 390_653_184, origin: 10_000_000 },
    waitedMs: { access: 40, turn: 0, throttle: 310, tracker: 12, peer: 1_900, origin: 260 },
    slowestPeer: { node: '10.0.0.7:65002', bytesPerSecond: 1_200_000 },
    errors: [{ code: 'PEER_TIMEOUT', message: '10.0.0.9:65002 sent nothing for 2 s', count: 2 }],
  });
  inputs.trees = { tracked: 41, depthMax: 4, blobs: [DEMO_BLOB] };
  trees.set(DEMO_BLOB, {
    blob: DEMO_BLOB,
    shards: [
      { index: 0, edges: demoEdges(4) },
      { index: 7, edges: demoEdges(25) },
      { index: 12, edges: demoEdges(2) },
    ],
  });
  for (let second = 0; second < 900; second++) {
    const wave = 1 + Math.sin(second / 60);
    const pulling = second % 300 > 40;
    meter.record('download', pulling ? 8e6 * wave : 0, 267_172);
    meter.record('peer', pulling ? 140e6 * wave : 2e6, 3_000);
    meter.count('served.client.arena', pulling ? 30e6 * wave : 60e6);
    meter.count('served.client.disk', pulling ? 5e6 : 20e6);
    meter.count('served.client.peer', pulling ? 140e6 * wave : 2e6);
    meter.count('served.client.origin', pulling ? 8e6 * wave : 0);
    meter.count('served.peer.arena', 90e6);
    for (let i = 0; i < 8; i++)
      telemetry.peerRates.add(`10.0.0.${i + 2}:65002`, 17e6 / (i + 1), 9e6 / (i + 1));
    clock.advance(1000);
    telemetry.tick();
  }
  telemetry.errors.add(
    clock.wallMs() - 400_000,
    'ORIGIN_TIMEOUT',
    'no answer from registry.example within 20 s',
  );
  for (let i = 0; i < 3; i++)
    telemetry.errors.add(
      clock.wallMs() - 65_000,
      'PEER_BROKEN',
      'connection to 10.0.0.7:65002 reset at byte 1048576 of shard 41; the rest came ' +
        'from 10.0.0.9:65002',
    );
  return fixture;
}

/** Serves a fixture's routes on loopback; returns its address and what stops it. */
export async function serveFixture(fixture: {
  route: ExporterRoute;
}): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const [path, query] = request.url!.split('?');
    void fixture
      .route(path!, query ?? '', true)
      .then(({ status, headers, body }) => response.writeHead(status, headers).end(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
