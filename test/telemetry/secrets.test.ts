import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Running, cliPath } from '../cli/process.ts';
import { startSwarm, type LiveNode } from './live-node.ts';
import { until } from './until.ts';

const SECRETS = {
  bearer: 'Secr3tBearerToken',
  basic: Buffer.from('user:Secr3tPassw0rd').toString('base64'),
  password: 'Secr3tPassw0rd',
  signature: 'S1gnatur3%2BValue',
  keyId: 'LTAIsecr3tkey',
  redirect: 'Secr3tOfTheRegistrysRedirect',
  session: 'Secr3tSecurityT0ken',
  user: 'userinf0pw',
  cookie: 'Secr3tCookie',
};
const BYTES = randomBytes(5 * 1024 * 1024);
const DIGEST = createHash('sha256').update(BYTES).digest('hex');

/**
 * A registry that sends its blobs' readers on to storage by a signed URL, and fails in the ways
 * registries do.
 */
class Registry {
  readonly seen: IncomingMessage[] = [];
  /** What came to the storage, another host to the registry's clients. */
  readonly stored: IncomingMessage[] = [];
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));
  readonly #storage: Server = createServer((request, response) => {
    this.stored.push(request);
    this.#blob(request, response);
  });
  url = '';

  async start(): Promise<void> {
    for (const server of [this.#server, this.#storage])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.url = urlOf(this.#server);
  }

  stop(): void {
    for (const server of [this.#server, this.#storage]) {
      server.closeAllConnections();
      server.close();
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.seen.push(request);
    const url = request.url!;
    const { redirect, session } = SECRETS;
    const signed = `Expires=1&Signature=${redirect}&X-Amz-Security-Token=${session}`;
    if (url.startsWith('/v2/private/'))
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${this.url}/token"` }).end();
    else if (url.startsWith('/v2/forbidden/')) response.writeHead(403).end(`no: ${url}`);
    else if (url.startsWith('/v2/away/'))
      response.writeHead(307, { location: `http://elsewhere.example/x?${signed}` }).end();
    else if (url.startsWith('/v2/nowhere/'))
      response.writeHead(307, { location: `http://127.0.0.1:1/x?${signed}` }).end();
    else if (url.startsWith('/v2/odd/'))
      response.writeHead(307, { location: `http://[${signed}` }).end();
    else if (url.startsWith('/v2/failing/')) response.writeHead(500).end(`stack trace of ${url}`);
    else if (url.startsWith('/v2/') && url.includes('/blobs/'))
      response
        .writeHead(307, {
          location: `${urlOf(this.#storage)}/store/${url.split('/').at(-1)}?${signed}`,
        })
        .end();
    else if (url.startsWith('/broken/'))
      response
        .writeHead(206, { 'content-length': 100, 'content-range': 'bytes 0-99/100' })
        .write('short', () => response.destroy());
    else this.#blob(request, response);
  }

  #blob(request: IncomingMessage, response: ServerResponse): void {
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const end = Math.min(BYTES.length, to === '' ? BYTES.length : Number(to) + 1);
    const ranged = request.headers.range !== undefined;
    response.writeHead(ranged ? 206 : 200, {
      'content-length': end - Number(from),
      ...(ranged ? { 'content-range': `bytes ${from}-${end - 1}/${BYTES.length}` } : {}),
    });
    response.end(BYTES.subarray(Number(from), end));
  }
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** All bytes of all files under a directory. */
function filesOf(directory: string): Buffer {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) =>
    join(directory, name),
  );
  return Buffer.concat(
    names.filter((name) => statSync(name).isFile()).map((name) => readFileSync(name)),
  );
}

describe('secrets that come with requests', function () {
  this.timeout(150_000);
  const registry = new Registry();
  let nodes: LiveNode[] = [];

  before(async () => {
    await registry.start();
    nodes = await startSwarm(
      registry,
      [
        'DeployConfig.logAudit=true',
        'ProxyConfig.allow=["127.0.0.1"]',
        'CacheConfig.capacity=33554432',
      ],
      1,
    );
  });
  after(() => {
    for (const node of nodes) node.remove();
    registry.stop();
  });

  it('are in no log, metric, page, answer, audit line, file or command output', async () => {
    // At debug level, whatever fails.
    const [root, agent] = nodes as [LiveNode, LiveNode];
    const { bearer, basic, signature, keyId, user, cookie } = SECRETS;
    const signed = `?Expires=1&OSSAccessKeyId=${keyId}&Signature=${signature}`;
    const blob = `sha256:${DIGEST}`;
    let shown = '';
    const ask = async (path: string, authorization = `Bearer ${bearer}`): Promise<number> => {
      const response = await fetch(agent.proxy + path, {
        headers: { authorization, cookie: `id=${cookie}`, range: 'bytes=0-99' },
      });
      // An upstream that breaks off cuts the answer: what counts is what was shown.
      const body = Buffer.from(await response.arrayBuffer().catch(() => new ArrayBuffer(0)));
      if (response.status >= 400) shown += body.toString();
      shown += JSON.stringify([...response.headers]);
      return response.status;
    };
    assert.equal(await ask(`/v2/library/sample/blobs/${blob}`), 206);
    assert.equal(await ask(`/v2/library/other/blobs/${blob}`, `Basic ${basic}`), 206);
    assert.equal(
      await ask(
        `/accelerator/${registry.url}/docker/registry/v2/blobs/sha256/${DIGEST.slice(0, 2)}/` +
          `${DIGEST}/data${signed}`,
      ),
      206,
    );
    const refused: [string, number[]][] = [
      [`/v2/private/app/blobs/${blob}`, [401]],
      [`/v2/private/app/manifests/latest`, [401]],
      [`/v2/forbidden/app/blobs/${blob}`, [403]],
      [`/v2/away/app/blobs/sha256:${'1'.repeat(64)}`, [403, 502]],
      [`/v2/nowhere/app/blobs/sha256:${'2'.repeat(64)}`, [502, 504]],
      [`/v2/odd/app/blobs/sha256:${'3'.repeat(64)}`, [502]],
      [`/v2/failing/app/blobs/sha256:${'4'.repeat(64)}`, [500, 502, 503]],
      [`/accelerator/${registry.url}/broken/x${signed}`, [206, 502]],
      [`/accelerator/http://forbidden.example/x${signed}`, [403]],
      [`/accelerator/http://127.0.0.1:1/refused${signed}`, [502]],
      [`/accelerator/${registry.url.replace('//', `//user:${user}@`)}/x${signed}`, [400, 403, 404]],
      [`/accelerator/ht!tp://%%%${signed}`, [400, 403, 404]],
      [`/accelerator/http://127.0.0.1:99999/x${signed}`, [400, 403, 404, 502]],
      [`/v2/..%2f/blobs/sha256:zz?token=${bearer}`, [400]],
      [`/v2/library/sample/blobs/${blob}?ns=evil.example&token=${bearer}`, [403, 404]],
      [`/elsewhere?password=${SECRETS.password}`, [404]],
    ];
    for (const [path, statuses] of refused) {
      for (const authorization of [`Bearer ${bearer}`, `Basic ${basic}`]) {
        const status = await ask(path, authorization);
        assert.ok(statuses.includes(status), `${path}: ${status}`);
      }
    }
    assert.ok(
      registry.seen.some(({ headers }) => headers.authorization === `Bearer ${bearer}`),
      'the registry got the credential',
    );
    assert.ok(
      registry.seen.some(({ url }) => url!.includes(signature)),
      'the object store got the signature',
    );
    assert.ok(
      registry.stored.length > 0 &&
        registry.stored.every(
          ({ url, headers }) =>
            url!.includes(SECRETS.redirect) && headers.authorization === undefined,
        ),
      'the storage got the redirect, without the credential',
    );

    const command = async (args: string[], input = ''): Promise<string> => {
      const running = new Running(cliPath, args);
      running.child.stdin!.end(input);
      await running.exit(60_000);
      return running.stdout + running.stderr;
    };
    const outputs = [
      await command(['status', '--url', agent.exporter]),
      await command(
        [
          'preheat',
          `127.0.0.1:${new URL(registry.url).port}/private/app:latest`,
          '--via',
          agent.proxy,
          '--user',
          'user',
          '--password-stdin',
        ],
        SECRETS.password,
      ),
      await command([
        'bench',
        'pread',
        '--url',
        `${agent.proxy}/accelerator/${registry.url}/docker/registry/v2/blobs/sha256/` +
          `${DIGEST.slice(0, 2)}/${DIGEST}/data${signed}`,
        '--seconds',
        '1',
        '--connections',
        '1',
      ]),
      await command([
        'bench',
        'pread',
        '--url',
        `${agent.proxy}/accelerator/http://forbidden.example/x${signed}`,
        '--seconds',
        '1',
      ]),
    ];
    for (const output of outputs) assert.ok(output.length > 20, 'the command said something');

    registry.stop();
    for (const path of [
      `/v2/down/app/blobs/sha256:${'5'.repeat(64)}`,
      '/v2/down/app/manifests/latest',
      `/accelerator/${registry.url}/down/x${signed}`,
    ])
      assert.ok((await ask(path)) >= 500, path);
    await until(
      async () => (await agent.get('/status')).includes('ORIGIN_UNREACHABLE'),
      'the outage among the recent errors',
    );
    for (const node of nodes) {
      shown += (
        await Promise.all(
          ['/metrics', '/status', '/', '/readyz', `/status/tree?blob=${blob}`].map((path) =>
            node.get(path),
          ),
        )
      ).join('\n');
      await node.stop();
      assert.match(node.output, /\|AUDIT\|/);
      assert.match(node.output, /"level":"debug"/);
    }
    assert.match(agent.output, /"level":"warn".*"code":"HOST_NOT_ALLOWED"/);
    const places = {
      "the agent's log": agent.output,
      "the root's log": root.output,
      'pages and answers': shown,
      'a command': outputs.join('\n'),
      "the agent's files": filesOf(agent.directory),
      "the root's files": filesOf(root.directory),
    };
    for (const [name, secret] of Object.entries(SECRETS)) {
      for (const [where, text] of Object.entries(places))
        assert.ok(!text.includes(secret), `${name} in ${where}`);
    }
  });
});
