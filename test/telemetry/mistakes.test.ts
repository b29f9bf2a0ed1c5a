import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueLeaf, makeAuthority } from '../../lib/tls/authority.ts';
import { LiveNode } from './live-node.ts';
import { until } from './until.ts';

interface Logged {
  code: string;
  message: string;
  fix: string;
}

/** What is wrong at a pull is told in the node's log; what is wrong before it, by shoal doctor. */
describe('mistakes at a pull', function () {
  this.timeout(60_000);
  const zeros = '0'.repeat(64);
  const servers: NetServer[] = [];
  let directory: string;
  let host: string;
  let node: LiveNode;
  /** Registries by their name in `?ns=`. */
  let entries: string[];

  async function listen(server: NetServer): Promise<number> {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  /** A registry with a certificate of a CA that only `caFile` of its entry names. */
  async function tlsRegistry(name: string, fromMs: number, forHost = '127.0.0.1'): Promise<number> {
    const authority = await makeAuthority(`CA of ${name}`, 2, fromMs);
    const leaf = await issueLeaf(authority, [forHost], 1, fromMs);
    writeFileSync(join(directory, `${name}.pem`), authority.certificate);
    return listen(createTlsServer({ cert: leaf.certificate, key: leaf.key }));
  }

  async function closedPort(): Promise<number> {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => servers.pop()!.close(resolve));
    return port;
  }
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'shoal-mistakes-'));
    const registry = createServer(({ url }, response) => {
      const status = Number(/^\/v2\/s(\d+)\//.exec(url ?? '')?.[1] ?? 200);
      if (status === 0) response.socket!.destroy();
      else {
        const words = status === 403 ? '{"errors":[{"message":"the registry says no"}]}' : '';
        response.writeHead(status, { 'www-authenticate': 'Bearer realm="x"' }).end(words);
      }
    });
    const plainPort = await listen(registry);
    host = `127.0.0.1:${plainPort}`;
    const unknownPort = await tlsRegistry('unknown', Date.now());
    const expiredPort = await tlsRegistry('expired', Date.now() - 9 * 86_400_000);
    const otherPort = await tlsRegistry('other', Date.now(), 'registry.example');
    const entry = (name: string, upstream: string, more = ''): string =>
      `{p2pHost: "${name}.example", upstream: "${upstream}"${more}}`;
    const trusted = (name: string): string => `, caFile: "${join(directory, name)}.pem"`;
    const proxied = `, proxy: "http://127.0.0.1:${await closedPort()}"`;
    entries = [
      `{upstream: "http://${host}"}`,
      entry('unknown', `https://127.0.0.1:${unknownPort}`),
      entry('expired', `https://127.0.0.1:${expiredPort}`, trusted('expired')),
      entry('other', `https://127.0.0.1:${otherPort}`, trusted('other')),
      entry('plain', `https://127.0.0.1:${plainPort}`),
      entry('closed', `http://127.0.0.1:${await closedPort()}`),
      entry('nowhere', 'http://no-such-host.invalid'),
      entry('proxied', 'https://r.example', proxied),
    ];
    const secretFile = join(directory, 'secret');
    writeFileSync(secretFile, '0123456789abcdef');
    chmodSync(secretFile, 0o644);
    node = await LiveNode.start({ url: `http://${host}` }, [
      `ProxyConfig.registries=[${entries.join(', ')}]`,
      `P2PConfig.secretFile=${secretFile}`,
    ]);
  });
  after(() => {
    node?.remove();
    for (const server of servers) {
      if ('closeAllConnections' in server) (server as Server).closeAllConnections();
      server.close();
    }
    rmSync(directory, { recursive: true, force: true });
  });

  /** Each names the thing, the cause and the next step. */
  const mistakes: [name: string, path: string, thing: RegExp, cause: RegExp, step: RegExp][] = [
    [
      'no credential',
      `/v2/s401/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /answered 401: a credential is missing, wrong or expired/,
      /401 and 403 are credentials/,
    ],
    [
      'a credential without the right',
      `/v2/s403/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /answered 403: the registry says no/,
      /401 and 403 are credentials/,
    ],
    [
      'a blob that is not there',
      `/v2/s404/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /answered 404: there is no such repository, tag or blob/,
      /404 is a wrong name/,
    ],
    [
      'a registry that breaks off',
      `/v2/s0/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /the connection was closed/,
      /`curl -v/,
    ],
    [
      'a registry with an unknown CA',
      `/v2/a/blobs/sha256:${zeros}?ns=unknown.example`,
      /127\.0\.0\.1:\d+/,
      /its CA is unknown/,
      /caFile/,
    ],
    [
      'a registry whose certificate has expired',
      `/v2/a/blobs/sha256:${zeros}?ns=expired.example`,
      /127\.0\.0\.1:\d+/,
      /certificate has expired/,
      /renew it/,
    ],
    [
      'a registry whose certificate is for another name',
      `/v2/a/blobs/sha256:${zeros}?ns=other.example`,
      /127\.0\.0\.1:\d+/,
      /certificate is for other names/,
      /a name that it is for/,
    ],
    [
      'https to a plain port',
      `/v2/a/blobs/sha256:${zeros}?ns=plain.example`,
      /127\.0\.0\.1:\d+/,
      /does not speak TLS on this port/,
      /write http:\/\//,
    ],
    [
      'a registry that is down',
      `/v2/a/blobs/sha256:${zeros}?ns=closed.example`,
      /127\.0\.0\.1:\d+/,
      /connection refused/,
      /`curl -v/,
    ],
    [
      'a registry whose name does not resolve',
      `/v2/a/blobs/sha256:${zeros}?ns=nowhere.example`,
      /no-such-host\.invalid/,
      /does not resolve/,
      /DNS/,
    ],
    [
      'a proxy that is down',
      `/v2/a/blobs/sha256:${zeros}?ns=proxied.example`,
      /the proxy 127\.0\.0\.1:\d+/,
      /connection refused/,
      /proxy/,
    ],
    [
      'a host that is not on the list',
      `/accelerator/https://elsewhere.example/blob`,
      /elsewhere\.example/,
      /allow/,
      /ProxyConfig\.allow/,
    ],
  ];
  for (const [name, path, thing, cause, step] of mistakes)
    it(`name ${name}, its cause and the next step`, async () => {
      const seen = node.log.length;
      const response = await fetch(`${node.proxy}${path}`);
      const answer = await response.text();
      assert.ok(response.status >= 400, String(response.status));
      const said = (): Logged | undefined => {
        const own = answer.includes('"fix"')
          ? (JSON.parse(answer) as { errors: { message: string; detail: Logged }[] }).errors[0]
          : undefined;
        if (own !== undefined) return { ...own.detail, message: own.message };
        return node.log
          .slice(seen)
          .map(({ err }) => err as Logged | undefined)
          .find((err) => err?.fix !== undefined);
      };
      await until(() => said() !== undefined, `an error with its fix in ${node.output}`, 20_000);
      assert.match(said()!.message, thing);
      assert.match(said()!.message, cause);
      // The code's own step, or one for just this cause.
      assert.match(`${said()!.message} ${said()!.fix}`, step);
    });

  it('name a secret that everybody may read, at the start', () => {
    const warning = node.log.find(({ msg }) => String(msg).includes('every user'));
    assert.match(
      String(warning?.['msg']),
      /secret can be read by every user \(mode 644\); run `chmod 600 /,
    );
  });
});
