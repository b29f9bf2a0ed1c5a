import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../lib/clock.ts';
import { SECRETS } from '../../lib/cluster/kubernetes/client.ts';
import { HttpKubeClient } from '../../lib/cluster/kubernetes/http.ts';
import { KUBE_TOKEN_TTL_MS } from '../../lib/limits.ts';
import { defaultConnection } from '../../lib/webhook/kube-config.ts';

describe("the webhook's way to the API server", () => {
  const before = process.env['KUBECONFIG'];
  after(() => {
    if (before === undefined) delete process.env['KUBECONFIG'];
    else process.env['KUBECONFIG'] = before;
  });

  it('reuses one dispatcher until credentials are reread', async () => {
    const authorizations: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      authorizations.push(request.headers.authorization);
      response.end('{}');
    }).listen(0, '127.0.0.1');
    let connections = 0;
    server.on('connection', () => connections++);
    await once(server, 'listening');
    const dir = await mkdtemp(join(tmpdir(), 'shoal-kubeconfig-'));
    try {
      const cluster = {
        server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        'insecure-skip-tls-verify': true,
      };
      const config = {
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'a',
        clusters: [{ name: 'a', cluster }],
        users: [{ name: 'a', user: { token: 't' } }],
        contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
      };
      process.env['KUBECONFIG'] = join(dir, 'config');
      await writeFile(process.env['KUBECONFIG'], JSON.stringify(config));
      const clock = new ManualClock();
      const client = new HttpKubeClient(defaultConnection(clock));
      for (let asked = 0; asked < 10; asked++) await client.get(SECRETS, 'apps', 's');
      // The second may be asked for before the first answer's connection is free again.
      const few = connections;
      assert.ok(few <= 2, `${few} connections`);
      clock.advance(KUBE_TOKEN_TTL_MS);
      for (let asked = 0; asked < 10; asked++) await client.get(SECRETS, 'apps', 's');
      assert.ok(connections > few && connections <= few + 2, `${connections} connections`);
      assert.deepEqual(new Set(authorizations), new Set(['Bearer t']));
    } finally {
      server.closeAllConnections();
      server.close();
      await rm(dir, { recursive: true });
    }
  });
});
