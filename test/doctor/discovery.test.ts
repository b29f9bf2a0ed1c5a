import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../lib/config/load.ts';
import { discoveredNodes } from '../../lib/doctor/discovery.ts';
import type { Finding } from '../../lib/doctor/finding.ts';
import { issueLeaf, makeAuthority } from '../../lib/tls/authority.ts';

/** What the doctor says of the API server's list of a Service. */
describe('shoal doctor in a pod', () => {
  let directory: string;
  let server: Server;
  let answer: RequestListener;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'shoal-doctor-'));
    const authority = await makeAuthority('CA of a cluster', 1, Date.now());
    const leaf = await issueLeaf(authority, ['127.0.0.1'], 1, Date.now());
    writeFileSync(join(directory, 'ca.crt'), authority.certificate);
    writeFileSync(join(directory, 'token'), 'token of a pod');
    writeFileSync(join(directory, 'namespace'), 'shoal');
    server = createServer({ cert: leaf.certificate, key: leaf.key }, (request, response) =>
      answer(request, response),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });

  async function found(timeoutMs = 5_000): Promise<string[] | Finding> {
    const config = parseConfig({
      P2PConfig: { discovery: 'kubernetes', service: 'agents' },
      DeployConfig: { node: '127.0.0.1' },
    });
    return await discoveredNodes(config.P2PConfig, timeoutMs, {
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: String((server.address() as AddressInfo).port),
      SHOAL_SERVICE_ACCOUNT_DIR: directory,
    });
  }

  it('finds the nodes behind the Service and its root Service', async () => {
    answer = ({ url = '' }, response) => {
      const service = /service-name%3D([a-z-]+)/.exec(url)![1]!;
      const metadata = { name: service, labels: { 'kubernetes.io/service-name': service } };
      const address = service === 'agents' ? '10.0.0.2' : '10.0.0.1';
      const slice = {
        metadata,
        endpoints: [{ addresses: [address] }],
        ports: [{ name: 'p2p', port: 65002 }],
      };
      response.end(JSON.stringify({ items: [slice], metadata: { resourceVersion: '1' } }));
    };
    assert.deepEqual(await found(), ['10.0.0.1:65002', '10.0.0.2:65002']);
  });

  const mistakes: [name: string, answer: RequestListener, cause: RegExp, step: RegExp][] = [
    [
      'a Service that selects no pod: a wrong label',
      (_request, response) => response.end('{"items":[],"metadata":{"resourceVersion":"1"}}'),
      /the Service shoal\/agents has no ready endpoint/,
      /compare the Service's selector with the labels of the pods/,
    ],
    [
      'a service account without the right',
      (_request, response) => response.writeHead(403).end('{"reason":"Forbidden","message":"no"}'),
      /does not list the endpoints of agents: .*no/,
      /service account may list and watch endpointslices/,
    ],
    [
      'an API server that does not answer',
      () => undefined,
      /does not list the endpoints of agents: no answer within 0\.3 s/,
      /network to the API server/,
    ],
  ];
  for (const [name, refuse, cause, step] of mistakes)
    it(`names ${name}, and the next step`, async () => {
      answer = refuse;
      const finding = (await found(300)) as Finding;
      assert.deepEqual([finding.check, finding.outcome], ['discovery', 'failed']);
      assert.match(finding.detail, cause);
      assert.match(finding.fix!, step);
    });
});
