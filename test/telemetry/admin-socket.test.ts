import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { placeOf, readExporter } from '../../lib/commands/exporter-client.ts';
import { runStatus } from '../../lib/commands/status.ts';
import { AdminSocket } from '../../lib/node/admin-socket.ts';
import {
  findSockets,
  makeRunDirectory,
  socketIn,
  type User,
} from '../../lib/node/run-directory.ts';
import { telemetryFixture } from './fixture.ts';
import { LiveNode } from './live-node.ts';

const LISTEN_AND_DIE =
  "require('node:net').createServer().listen(process.argv[1], () => " +
  "process.kill(process.pid, 'SIGKILL'))";

describe('node/admin-socket', function () {
  this.timeout(30_000);
  let scratch: string;
  let user: User;
  let socket: AdminSocket | null;
  const NODE = '10.0.0.5:65002';

  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'shoal-run-'));
    user = { uid: process.getuid!(), env: { RUNTIME_DIRECTORY: join(scratch, 'run') } };
    socket = null;
  });
  afterEach(async () => {
    await socket?.close();
    rmSync(scratch, { recursive: true });
  });

  async function get(path: string): Promise<{ status: number; body: string }> {
    const dispatcher = new Agent({ connect: { socketPath: socket!.path } });
    const { statusCode, body } = await request(`http://node${path}`, { dispatcher });
    const text = await body.text();
    await dispatcher.close();
    return { status: statusCode, body: text };
  }

  it('serves the exporter paths to its own user only', async () => {
    const fixture = telemetryFixture(NODE);
    socket = await AdminSocket.open(NODE, user, fixture.route);
    assert.equal(statSync(socket.path).mode & 0o777, 0o600);
    assert.equal(statSync(join(scratch, 'run')).mode & 0o777, 0o700);
    const { node } = JSON.parse((await get('/status')).body) as { node: string };
    assert.equal(node, NODE);
    assert.equal((await get('/status/pulls')).status, 200);
    assert.equal((await get('/nowhere')).status, 404);
  });

  it('gives a CPU profile and a heap snapshot that DevTools can read', async function () {
    // The snapshot is of this process, with all the tests that it has loaded.
    this.timeout(180_000);
    socket = await AdminSocket.open(NODE, user, telemetryFixture(NODE).route);
    const [profile, second] = await Promise.all([
      get('/debug/cpu-profile?seconds=0.2'),
      get('/debug/cpu-profile?seconds=0.2'),
    ]);
    assert.deepEqual([profile.status, second.status].toSorted(), [200, 409]);
    const { nodes, samples } = JSON.parse(profile.status === 200 ? profile.body : second.body) as {
      nodes: unknown[];
      samples: unknown[];
    };
    assert.ok(nodes.length > 0 && samples.length > 0);
    for (const seconds of ['0', '-1', '121', 'x'])
      assert.equal((await get(`/debug/cpu-profile?seconds=${seconds}`)).status, 400);
    const heap = JSON.parse((await get('/debug/heap')).body) as { snapshot: unknown };
    assert.ok(heap.snapshot !== undefined);
  });

  it('has no debug paths on the exporter port', async () => {
    const { route } = telemetryFixture(NODE);
    for (const path of ['/debug/heap', '/debug/cpu-profile'])
      assert.equal((await route(path, '', true)).status, 404);
  });

  it('takes over the socket of a node that died', async () => {
    mkdirSync(join(scratch, 'run'), { mode: 0o700 });
    writeFileSync(socketIn(join(scratch, 'run'), NODE), '');
    socket = await AdminSocket.open(NODE, user, telemetryFixture(NODE).route);
    assert.equal((await get('/healthz')).status, 200);
  });

  it('uses no folder that others can enter', () => {
    const open = join(scratch, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const used = makeRunDirectory({ ...user, env: { RUNTIME_DIRECTORY: open } });
    assert.notEqual(used, open);
  });

  it('lets `shoal status` find the node without an exporter', async () => {
    socket = await AdminSocket.open(NODE, user, telemetryFixture(NODE).route);
    const find = async () => (await findSockets(user)).filter((path) => path.startsWith(scratch));
    assert.deepEqual(await placeOf({}, find), { socket: socket.path });
    assert.deepEqual(await placeOf({ node: NODE }, find), { socket: socket.path });
    const isObject = (body: unknown): body is { node: string } => body !== null;
    assert.equal((await readExporter(await placeOf({}, find), '/status', isObject)).node, NODE);
  });

  it('takes a socket on which nothing listens for no node, and removes it', async () => {
    socket = await AdminSocket.open(NODE, user, telemetryFixture(NODE).route);
    const killed = socketIn(join(scratch, 'run'), '10.0.0.6:65002');
    // As SIGKILL leaves it: the path of a socket that is closed.
    spawnSync(process.execPath, ['-e', LISTEN_AND_DIE, killed]);
    assert.ok(existsSync(killed));
    const found = await findSockets(user);
    assert.ok(found.includes(socket.path) && !found.includes(killed));
    assert.ok(!existsSync(killed));
  });

  it('is open in a real node without an exporter, and gone once it has drained', async () => {
    const { RUNTIME_DIRECTORY: before } = process.env;
    process.env['RUNTIME_DIRECTORY'] = join(scratch, 'run');
    let node: LiveNode | undefined;
    try {
      node = await LiveNode.start({ url: 'http://127.0.0.1:1' }, ['ExporterConfig.enable=false']);
      let out = '';
      const output = { out: (text: string) => (out += text), err: () => undefined };
      assert.equal(await runStatus({ node: node.name, json: false }, output), 0);
      assert.match(out, new RegExp(`${node.name}.*ready`));
      assert.equal(await node.stop(), 0);
      assert.deepEqual(readdirSync(join(scratch, 'run')), []);
    } finally {
      node?.remove();
      if (before === undefined) delete process.env['RUNTIME_DIRECTORY'];
      else process.env['RUNTIME_DIRECTORY'] = before;
    }
  });

  it('asks which of several nodes is meant, and says when the named one is not there', async () => {
    const sockets = ['/run/shoal/a_1.sock', '/run/shoal/b_2.sock'];
    const find = async () => sockets;
    const none = async () => [];
    await assert.rejects(placeOf({}, find), { code: 'USAGE', message: /--node/ });
    assert.deepEqual(await placeOf({ node: 'b:2' }, find), { socket: sockets[1] });
    await assert.rejects(placeOf({ node: 'c:3' }, find), { code: 'USAGE', message: /c:3/ });
    assert.deepEqual(await placeOf({}, none), { url: 'http://127.0.0.1:65003' });
    assert.deepEqual(await placeOf({ url: 'h:1' }, find), { url: 'h:1' });
  });

  it('is closed by a node that has gone: the command says that nobody answers', async () => {
    const path = socketIn(scratch, NODE);
    await assert.rejects(
      readExporter({ socket: path }, '/status', (body): body is object => body !== null),
      { code: 'PEER_UNREACHABLE' },
    );
    await assert.rejects(
      runStatus(
        { url: '127.0.0.1:1', json: false },
        { out: () => undefined, err: () => undefined },
      ),
      { code: 'PEER_UNREACHABLE' },
    );
  });
});
