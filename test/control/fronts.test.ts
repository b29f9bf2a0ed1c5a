import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { FrontDesk } from '../../lib/control/control.ts';
import { startFront, type Front } from '../../lib/control/fronts.ts';
import { FrontReads } from '../../lib/control/threads/front-reads.ts';
import { claimPorts } from '../../lib/control/watch/ports.ts';
import type { ShoalError } from '../../lib/errors.ts';
import { Throttle } from '../../lib/front/throttle.ts';
import { Arena } from '../../lib/io/arena.ts';
import { Doorbells } from '../../lib/io/doorbell.ts';
import { REQUEST_HEAD_BYTES_MAX, SHARD_BYTES } from '../../lib/limits.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import { issueLeaf, makeAuthority } from '../../lib/tls/authority.ts';
import type { ControlMessage, FrontMessage, FrontStart } from '../../lib/workers/messages.ts';
import { until } from '../telemetry/until.ts';
import { head, peerServer, readJob } from '../workers/peer/peer-server.ts';

describe('control/fronts', () => {
  let start: FrontStart;
  let frontReads: FrontReads;
  let pages: { id: number; front: number }[];
  let notices: string[];
  let deaths: ShoalError[];
  let closed: number[];

  beforeEach(async () => {
    process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(REQUEST_HEAD_BYTES_MAX);
    frontReads = new FrontReads();
    [pages, notices, deaths, closed] = [[], [], [], []];
    const any = { host: '127.0.0.1', port: 0, what: 'test' };
    const [proxy, p2p] = await claimPorts([any, { ...any }]);
    start = {
      arena: Arena.create(SHARD_BYTES).shared,
      doorbells: Doorbells.create(2).shared,
      bell: 0,
      throttle: Throttle.createShared(),
      meters: new MeterBoard().shared,
      meterRow: 1,
      sharesPorts: false,
      config: {
        node: '127.0.0.1:1',
        mode: 'agent',
        prefix: 'accelerator',
        registries: [],
        mirrorStates: new SharedArrayBuffer(4),
        allow: [],
        audit: false,
        secret: '00'.repeat(32),
        throttleLimitMB: 0,
        tracing: false,
        proxy: { host: '127.0.0.1', port: proxy!, tls: null },
        p2p: { host: '127.0.0.1', port: p2p! },
        exporter: { host: '127.0.0.1', port: null },
      },
    };
  });

  /** A front whose messages are written down; `front` is its number. */
  function startOne(front: number): Promise<Front> {
    const receive = (message: FrontMessage): void => {
      if (message.kind === 'page') pages.push({ id: message.id, front });
      else if (message.kind === 'notice') notices.push(message.message);
    };
    const desk = { receive, close: () => closed.push(front) } as unknown as FrontDesk;
    return startFront(
      { ...start, bell: front, meterRow: 1 + front },
      frontReads,
      () => desk,
      (error) => deaths.push(error),
    );
  }

  function get(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const asking = request(
        { host: '127.0.0.1', port: start.config.proxy.port, path, agent: false },
        (response) => {
          response.setEncoding('utf8');
          let body = '';
          response.on('data', (text: string) => (body += text));
          response.on('end', () => resolve(body));
        },
      );
      asking.on('error', reject);
      asking.end();
    });
  }

  it('serves until it is drained: what is under way is finished, and the thread ends', async () => {
    const front = await startOne(0);
    const answer = get('/status');
    await until(() => pages.length === 1, 'the request');
    const relayed = get('/v2/');
    assert.match(await relayed, /NAME_UNKNOWN|no registry/);
    front.send({
      kind: 'answer',
      id: pages[0]!.id,
      status: 200,
      headers: {},
      body: new TextEncoder().encode('page'),
    });
    assert.equal(await answer, 'page');
    await front.drain(5_000);
    await assert.rejects(get('/status'), { code: 'ECONNREFUSED' });
    assert.deepEqual(deaths, []);
  });

  it('serves one port from several threads', async () => {
    start.sharesPorts = true;
    const fronts = [await startOne(0), await startOne(1)];
    const answers: Promise<string>[] = [];
    await until(
      () => {
        answers.push(get('/status'));
        return new Set(pages.map(({ front }) => front)).size === 2;
      },
      'a request on each thread',
      5_000,
    );
    await until(() => pages.length === answers.length, 'all requests');
    for (const { id, front } of pages)
      fronts[front]!.send({
        kind: 'answer',
        id,
        status: 200,
        headers: {},
        body: new TextEncoder().encode('page'),
      });
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['page']));
    await Promise.all(fronts.map((front) => front.drain(1_000)));
  });

  it('closes its ports and desk when it fails, so that another can take its place', async () => {
    const front = await startOne(0);
    // Not a message of this contract: an exception in the thread.
    front.send({ kind: 'routes' } as unknown as ControlMessage);
    await until(() => deaths.length === 1, 'the end of the thread');
    assert.match(deaths[0]!.message, /a front thread failed: TypeError/);
    assert.deepEqual(closed, [0]);
    const next = await startOne(0);
    assert.match(await get('/v2/'), /NAME_UNKNOWN|no registry/);
    await next.drain(1_000);
  });

  it('reads from another node, until it ends', async () => {
    const bytes = Buffer.from('some bytes');
    const answer = head(200, bytes.length, { 'Shoal-Total': bytes.length }) + bytes.toString();
    const server = await peerServer((socket, request) => request === 0 && socket.write(answer));
    const arena = new Arena(start.arena);
    arena.tryLock(0);
    arena.begin(0);
    const front = await startOne(0);
    assert.equal(frontReads.hasRoom, true);
    const result = await frontReads.run(readJob(server));
    assert.equal(result.kind, 'data');
    assert.deepEqual(Buffer.from(arena.bytes(0, 0, bytes.length)), bytes);
    // The connection is kept; to the second request on it no answer comes.
    const lost = frontReads.run(readJob(server));
    await until(() => server.requests.length === 2, 'the second request');
    await Promise.all([front.drain(1_000), assert.rejects(lost, { code: 'THREAD_LOST' })]);
    assert.equal(frontReads.hasRoom, false);
    server.close();
  });

  it('closes connections beyond its limit, and takes new ones when others end', async () => {
    const front = await startOne(0);
    front.send({ kind: 'connections', max: 1 });
    await until(
      async () => {
        const held = connect(start.config.proxy.port, '127.0.0.1');
        await once(held, 'connect');
        const refused = await get('/v2/').then(
          () => false,
          (error: NodeJS.ErrnoException) => error.code === 'ECONNRESET',
        );
        held.destroy();
        return refused;
      },
      'a refusal',
      5_000,
    );
    await until(
      async () => (await get('/v2/').catch(() => '')).includes('NAME_UNKNOWN'),
      'an answer',
      5_000,
    );
    await front.drain(1_000);
  });

  it('shares its ports with nobody when it is alone', async () => {
    const front = await startOne(0);
    await assert.rejects(startOne(1), { code: 'PORT_IN_USE' });
    await front.drain(1_000);
  });

  describe('its certificate', () => {
    let dir: string;
    let ca: string;
    /**
     * Writes a new leaf of the same CA to where the front reads its own; returns its fingerprint.
     */
    let issue: () => Promise<string>;
    let front: Front;

    beforeEach(async () => {
      dir = mkdtempSync(join(tmpdir(), 'shoal-front-'));
      const files = { certFile: join(dir, 'proxy.crt'), keyFile: join(dir, 'proxy.key') };
      const authority = await makeAuthority('test', 10, Date.now());
      ca = authority.certificate;
      issue = async () => {
        const leaf = await issueLeaf(authority, ['127.0.0.1'], 10, Date.now());
        writeFileSync(files.keyFile, leaf.key);
        writeFileSync(files.certFile, leaf.certificate);
        return new X509Certificate(leaf.certificate).fingerprint256;
      };
      start.config.proxy.tls = files;
    });
    afterEach(async () => {
      await front.drain(1_000);
      rmSync(dir, { recursive: true });
    });

    /** A connection to the proxy port, trusting nobody but the CA. */
    async function dial(): Promise<TLSSocket> {
      const socket = connectTls({ host: '127.0.0.1', port: start.config.proxy.port, ca });
      await once(socket, 'secureConnect');
      return socket;
    }

    it('is the new one for new connections; old connections stay', async () => {
      const first = await issue();
      front = await startOne(0);
      const before = await dial();
      const second = await issue();
      front.send({ kind: 'certificate' });
      await until(
        async () => {
          const socket = await dial();
          const { fingerprint256 } = socket.getPeerCertificate();
          socket.destroy();
          return fingerprint256 === second;
        },
        'the new certificate',
        5_000,
      );
      assert.equal(before.getPeerCertificate().fingerprint256, first);
      before.write('GET /v2/ HTTP/1.1\r\nHost: nobody.test\r\n\r\n');
      const [answer] = (await once(before, 'data')) as [Buffer];
      assert.match(answer.toString(), /^HTTP\/1.1 404 /);
      before.destroy();
    });

    it('stays when the new one cannot be used, and the log hears of it', async () => {
      const first = await issue();
      front = await startOne(0);
      writeFileSync(start.config.proxy.tls!.certFile, 'no certificate');
      front.send({ kind: 'certificate' });
      await until(() => notices.length === 1, 'the notice', 5_000);
      assert.match(notices[0]!, /cannot be used, the old one stays/);
      const socket = await dial();
      assert.equal(socket.getPeerCertificate().fingerprint256, first);
      socket.destroy();
      assert.deepEqual(deaths, []);
    });
  });

  it('says that a port is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    start.config.p2p.port = (holder.address() as AddressInfo).port;
    await assert.rejects(startOne(0), { code: 'PORT_IN_USE' });
    assert.deepEqual(deaths, [], 'it never listened');
    assert.deepEqual(closed, [0]);
    holder.close();
  });
});
