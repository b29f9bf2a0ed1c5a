import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { formatUptime } from '../../lib/commands/status-table.ts';
import { runStatus } from '../../lib/commands/status.ts';
import type { Status } from '../../lib/telemetry/status.ts';
import { telemetryFixture, type TelemetryFixture } from './fixture.ts';

function output(): { out(text: string): void; err(text: string): void; text: string } {
  return {
    text: '',
    out(text) {
      this.text += text;
    },
    err() {},
  };
}

describe('shoal status', () => {
  let server: Server;
  let url = '';
  let fixture: TelemetryFixture;

  beforeEach(async () => {
    fixture = telemetryFixture();
    server = createServer((request, response) => {
      const [path, query] = request.url!.split('?');
      void fixture
        .route(path!, query ?? '', true)
        .then(({ status, headers, body }) => response.writeHead(status, headers).end(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('shows the node at a glance', async () => {
    fixture.meter.record('peer', 222_300_000, 1);
    fixture.meter.count('served.client.peer', 222_300_000);
    fixture.inputs.peers = [
      { node: '10.0.0.2:65002', zone: 'zone-b', role: 'root', state: 'cooling' },
    ];
    fixture.inputs.inFlight = [
      {
        blob: `sha256:${'d'.repeat(64)}`,
        receivedBytes: 50,
        sentBytes: 0,
        totalBytes: 200,
        source: 'peer',
        clients: 0,
        nodes: 1,
      },
    ];
    fixture.inputs.queues = { layers: 3, throttle: 0 };
    fixture.telemetry.errors.add(0, 'PEER_TIMEOUT', 'silent for 2 s');
    const out = output();
    assert.equal(await runStatus({ url, json: false }, out), 0);
    for (const part of [
      '192.168.69.172:65005',
      'ready',
      '222.3 MB',
      'peer 100.0 %',
      '4.3 GB of 4.3 GB',
      '10.0.0.2:65002',
      'zone-b',
      'cooling',
      'sha256:dddddddddddd ',
      '25.0 %',
      'layers 3',
      'PEER_TIMEOUT',
      'silent for 2 s',
    ]) {
      assert.ok(out.text.includes(part), `${part} in\n${out.text}`);
    }
    assert.ok(!out.text.includes('throttle 0'));
  });

  it('prints all of it as one JSON line, and exits 1 for a node that is not ready', async () => {
    fixture.inputs.readiness = { phase: 'draining', problems: [] };
    const out = output();
    assert.equal(await runStatus({ url: `http://${url}/metrics`, json: true }, out), 1);
    assert.equal(out.text.trimEnd().split('\n').length, 1);
    assert.deepEqual((JSON.parse(out.text) as Status).notReady, ['draining']);
  });

  it('says in one line: no answer, not a node, or an invalid address', async () => {
    await assert.rejects(runStatus({ url: 'ftp://h', json: false }, output()), { code: 'USAGE' });
    await assert.rejects(runStatus({ url: 'http://user:pw@h', json: false }, output()), {
      code: 'USAGE',
    });
    server.removeAllListeners('request');
    server.on('request', (_request, response: { end(text: string): void }) =>
      response.end('{"hello":1}'),
    );
    await assert.rejects(runStatus({ url, json: false }, output()), { code: 'PEER_BROKEN' });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await assert.rejects(runStatus({ url, json: false }, output()), {
      code: 'PEER_UNREACHABLE',
      message: /connection refused; is the node running/,
    });
  });

  it('shortens an uptime to its two largest units', () => {
    assert.deepEqual([0, 6, 306, 14_700, 270_000].map(formatUptime), [
      '0s',
      '6s',
      '5m 6s',
      '4h 5m',
      '3d 3h',
    ]);
  });
});
