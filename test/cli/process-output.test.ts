import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { Running, cliPath } from './process.ts';

/** More than a pipe or a socket takes at once. */
const PEERS = 20_000;

describe('what a command writes', () => {
  let node: Server;
  let url = '';
  before((done) => {
    const peers = Array.from({ length: PEERS }, (_, index) => ({
      node: `10.0.0.1:${index}`,
      role: 'agent',
      zone: null,
      state: 'up',
      receivedBytesPerSecond: 0,
      sentBytesPerSecond: 0,
    }));
    const status = JSON.stringify({
      node: '10.0.0.1:65002',
      ready: true,
      bytes: { origin: 0 },
      peers,
    });
    const server = createServer((_request, response) => void response.end(status)).listen(
      0,
      '127.0.0.1',
      () => {
        url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        done();
      },
    );
    node = server;
  });
  after(() => void node.close());

  it('is complete before the process exits', async () => {
    const status = new Running(cliPath, ['status', '--json', '--url', url]);
    assert.equal(await status.exit(), 0);
    assert.equal((JSON.parse(status.stdout) as { peers: unknown[] }).peers.length, PEERS);
  });

  it('causes no error when its reader closes the pipe', async () => {
    const status = new Running(cliPath, ['status', '--json', '--url', url]);
    status.child.stdout!.destroy();
    assert.equal(await status.exit(), 0);
    assert.equal(status.stderr, '');
  });
});
