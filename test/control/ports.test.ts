import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { claimPort } from '../../lib/control/ports.ts';

describe('control/ports', () => {
  it('finds a port when any will do, and leaves it free', async () => {
    const port = await claimPort('127.0.0.1', 0, 'ProxyConfig.port');
    assert.ok(port > 0);
    assert.equal(await claimPort('127.0.0.1', port, 'ProxyConfig.port'), port);
  });

  it('says which setting names a port that is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    await assert.rejects(claimPort('127.0.0.1', port, 'P2PConfig.port'), { code: 'PORT_IN_USE', message: `P2PConfig.port: cannot listen on 127.0.0.1:${port}: it is in use` });
    holder.close();
  });

  it('says so when the address is not this machine\'s', async () => {
    await assert.rejects(claimPort('192.0.2.1', 0, 'ProxyConfig.port'), { code: 'PORT_IN_USE', message: /no such address here/ });
  });
});
