import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { claimPorts } from '../../../lib/control/watch/ports.ts';

describe('control/ports', () => {
  const host = '127.0.0.1';

  it('finds ports when any will do, all different, and leaves them free', async () => {
    const wishes = Array.from({ length: 50 }, () => ({ host, port: 0, what: 'ProxyConfig.port' }));
    const ports = await claimPorts(wishes);
    assert.equal(new Set(ports).size, 50);
    assert.ok(ports.every((port) => port > 0));
    // "Any" is none of those that are named.
    const again = await claimPorts([
      ...wishes,
      ...ports.map((port) => ({ host, port, what: 'P2PConfig.port' })),
    ]);
    assert.equal(new Set(again).size, 100);
    assert.deepEqual(again.slice(50), ports);
  });

  it('says which setting names a port that is taken, and keeps none of the others', async () => {
    const holder = createServer().listen(0, host);
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const [free] = await claimPorts([{ host, port: 0, what: 'ProxyConfig.port' }]);
    const wishes = [
      { host, port: free!, what: 'ProxyConfig.port' },
      { host, port, what: 'P2PConfig.port' },
    ];
    await assert.rejects(claimPorts(wishes), {
      code: 'PORT_IN_USE',
      message: `P2PConfig.port: cannot listen on 127.0.0.1:${port}: it is in use`,
    });
    holder.close();
    await once(holder, 'close');
    assert.deepEqual(await claimPorts(wishes), [free, port]);
  });

  it('says so when two settings name one port', async () => {
    const [port] = await claimPorts([{ host, port: 0, what: 'ProxyConfig.port' }]);
    await assert.rejects(
      claimPorts([
        { host, port: port!, what: 'ProxyConfig.port' },
        { host, port: port!, what: 'P2PConfig.port' },
      ]),
      { code: 'PORT_IN_USE', message: /^P2PConfig.port: / },
    );
  });

  it('is not kept waiting by a client that has connected already', async () => {
    // A name takes time to look up, in which the ports held so far take connections.
    const any = { host: 'localhost', port: 0, what: 'P2PConfig.port' };
    const [port] = await claimPorts([any]);
    const clients: Socket[] = [];
    let connected = 0;
    let isClaimed = false;
    const claimed = claimPorts([
      { ...any, port: port! },
      ...Array.from({ length: 40 }, () => any),
    ]).finally(() => (isClaimed = true));
    while (!isClaimed && connected === 0) {
      clients.push(
        connect(port!, 'localhost')
          .on('connect', () => connected++)
          .on('error', () => undefined),
      );
      await turn();
    }
    assert.equal((await claimed)[0], port);
    assert.ok(connected > 0, 'a client was there while the port was held');
    for (const client of clients) client.destroy();
  });

  it("says so when the address is not this machine's", async () => {
    await assert.rejects(claimPorts([{ host: '192.0.2.1', port: 0, what: 'ProxyConfig.port' }]), {
      code: 'PORT_IN_USE',
      message: /no such address here/,
    });
  });
});
