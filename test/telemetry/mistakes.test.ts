import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
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
  let registry: Server;
  let host: string;
  let node: LiveNode;
  before(async () => {
    registry = createServer(({ url }, response) => {
      const status = Number(/^\/v2\/s(\d+)\//.exec(url ?? '')?.[1] ?? 200);
      if (status === 0) response.socket!.destroy();
      else response.writeHead(status, { 'www-authenticate': 'Bearer realm="x"' }).end();
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
    node = await LiveNode.start({ url: `http://${host}` }, []);
  });
  after(() => {
    node?.remove();
    registry?.closeAllConnections();
    registry?.close();
  });

  /** Each names the thing, the cause and the next step. */
  const mistakes: [name: string, path: string, thing: RegExp, cause: RegExp, step: RegExp][] = [
    [
      'no credential',
      `/v2/s401/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /\b401\b/,
      /401 and 403 are credentials/,
    ],
    [
      'a credential without the right',
      `/v2/s403/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /\b403\b/,
      /401 and 403 are credentials/,
    ],
    [
      'a blob that is not there',
      `/v2/s404/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /\b404\b/,
      /404 is a wrong name/,
    ],
    [
      'a registry that breaks off',
      `/v2/s0/blobs/sha256:${zeros}`,
      /127\.0\.0\.1:\d+/,
      /could not be reached|broke off/,
      /`curl -v/,
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
      assert.match(said()!.fix, step);
    });
});
