import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Running, cliPath, until } from './process.ts';

const READY = /^\{"ready":true.*\}$/m;

/** Of address space: enough for Node.js itself, which reserved more before 24, and no more. */
const ADDRESSES_KIB = Number.parseInt(process.versions.node, 10) < 24 ? 12_000_000 : 6_500_000;

describe('a node started from the command line', () => {
  let dir = '';
  let taken: Server;
  const running: Running[] = [];
  before((done) => {
    dir = mkdtempSync(join(tmpdir(), 'shoal-start-'));
    taken = createServer().listen(0, '127.0.0.1', done);
  });
  after(() => {
    taken.close();
    rmSync(dir, { recursive: true, force: true });
  });
  afterEach(() => {
    for (const one of running.splice(0)) one.child.kill('SIGKILL');
    rmSync(join(dir, 'cache'), { recursive: true, force: true });
  });

  const agent = (...sets: string[]): Running => agentWithin(undefined, ...sets);

  const agentWithin = (ulimit: string | undefined, ...sets: string[]): Running => {
    const own = [
      'ProxyConfig.port=0',
      'P2PConfig.port=0',
      `CacheConfig.dir=${dir}/cache`,
      'CacheConfig.capacity=67108864',
      'CacheConfig.memory=16777216',
      `DeployConfig.logDir=${dir}/log`,
    ];
    const args = ['agent', '--json', '--exit-with-parent'];
    const all = [...own, ...sets].flatMap((set) => ['--set', set]);
    const one = new Running(cliPath, [...args, ...all], {}, ulimit);
    running.push(one);
    return one;
  };

  it('serves after its ready line, and drains on SIGTERM', async () => {
    const node = agent('ExporterConfig.enable=true', 'ExporterConfig.port=0');
    const ready = JSON.parse((await node.printed(READY))[0]) as { proxy: string; exporter: string };
    const answer = await fetch(`${ready.proxy}/v2/`, { headers: { connection: 'close' } });
    assert.equal(answer.status, 404, 'no registry is configured');
    assert.equal(
      ((await answer.json()) as { errors: { code: string }[] }).errors[0]?.code,
      'NAME_UNKNOWN',
    );
    const status = (await (
      await fetch(`${ready.exporter}/status`, { headers: { connection: 'close' } })
    ).json()) as { ready: boolean };
    assert.equal(status.ready, true);
    node.child.kill('SIGTERM');
    assert.equal(await node.exit(), 0);
  });

  for (const [address, exporter] of [
    ['::1', /^http:\/\/\[::1\]:\d+$/],
    ['127.0.0.1', /^http:\/\/127\.0\.0\.1:\d+$/],
    ['2001:db8::7', /^http:\/\/\[::1\]:\d+$/],
  ] as const) {
    it(`listens on the address in its ready line, as ${address}`, async function () {
      if (
        address.includes(':') &&
        !Object.values(networkInterfaces())
          .flat()
          .some((own) => own?.address === '::1')
      )
        this.skip();
      const host = address === '127.0.0.1' ? address : '::1';
      const node = agent(
        'ExporterConfig.enable=true',
        'ExporterConfig.port=0',
        `DeployConfig.node=${address}`,
        `ProxyConfig.host=${host}`,
      );
      const ready = JSON.parse((await node.printed(READY))[0]) as {
        proxy: string;
        exporter: string;
      };
      assert.match(ready.exporter, exporter);
      const statuses = await Promise.all(
        [`${ready.proxy}/v2/`, `${ready.exporter}/readyz`].map(
          async (url) => (await fetch(url, { headers: { connection: 'close' } })).status,
        ),
      );
      assert.deepEqual(statuses, [404, 200]);
    });
  }

  it('warns that it ignores other nodes without a secret', async () => {
    const lone = agent(
      'P2PConfig.peers=["127.0.0.1:65002"]',
      'P2PConfig.roots=["localhost:65002"]',
    );
    await lone.printed(READY);
    assert.doesNotMatch(lone.stderr, /secretFile/);
    lone.child.kill('SIGTERM');
    await lone.exit();
    const misled = agent('P2PConfig.peers=["10.0.0.2:65002"]');
    await misled.printed(READY);
    assert.match(
      misled.stderr,
      /"level":"warn".*peers on other machines are ignored, as no cluster secret is set/,
    );
  });

  it('keeps serving if its ready line is not read', async () => {
    const node = agent();
    node.child.stdout!.destroy();
    await until(() => node.stderr.includes('"msg":"serving"'), 'the node serves');
    await new Promise((give) => setImmediate(give));
    node.child.kill('SIGTERM');
    assert.equal(await node.exit(), 0);
    assert.doesNotMatch(node.stderr, /EPIPE/);
  });

  it('exits with 1, without an abort, at the second signal and without its parent', async () => {
    const impatient = agent();
    await impatient.printed(READY);
    impatient.child.kill('SIGTERM');
    impatient.child.kill('SIGINT');
    assert.equal(await impatient.exit(), 1);
    const orphan = agent();
    await orphan.printed(READY);
    orphan.child.stdin!.end();
    assert.equal(await orphan.exit(), 1);
  });

  it('exits with 0 if stopped before it serves', async () => {
    const node = agent();
    // Its handlers stand once the config is read; the cache comes into being after that.
    await until(() => existsSync(join(dir, 'cache')), 'the node is starting');
    node.child.kill('SIGTERM');
    assert.equal(await node.exit(), 0);
  });

  it('exits with 1 and one line if its port is in use', async () => {
    const { port } = taken.address() as AddressInfo;
    const node = agent(`ProxyConfig.port=${port}`);
    assert.equal(await node.exit(), 1);
    assert.match(
      node.stderr,
      new RegExp(
        `^shoal: ProxyConfig\\.port: .*127\\.0\\.0\\.1:${port}.* \\(PORT_IN_USE\\)\\n` +
          '  -> Find the process .*\\n$',
      ),
    );
    // With --json the last line of stdout says it for machines.
    const { ok, error } = JSON.parse(node.stdout) as { ok: boolean; error: { code: string } };
    assert.deepEqual([ok, error.code], [false, 'PORT_IN_USE']);
  });

  it('exits with 1 and one line if its cache directory is not usable', async () => {
    const node = agent('CacheConfig.dir=/dev/null/cache');
    assert.equal(await node.exit(), 1);
    assert.match(
      node.stderr,
      /^shoal: .*\/dev\/null\/cache.* \(CACHE_DIR_UNUSABLE\)\n  -> Give the directory .*\n$/,
    );
  });

  for (const [what, ulimit, ...sets] of [
    ['open files', '-n 48'],
    ['memory', `-v ${ADDRESSES_KIB}`, 'CacheConfig.memory=4000000000'],
  ] as const)
    it(`ends with 1 and one line where the limit of ${what} is too low`, async () => {
      const node = agentWithin(ulimit, ...sets);
      assert.equal(await node.exit(), 1);
      assert.match(
        node.stderr,
        /^shoal: .*raise the .*limit.* \(LIMIT_TOO_LOW\)\n(  -> Raise the limit .*\n)?$/,
      );
    });

  it('serves with the least limit of open files, and when clients hold them all', async () => {
    const node = agentWithin('-n 64');
    const { proxy } = JSON.parse((await node.printed(READY))[0]) as { proxy: string };
    const { hostname, port } = new URL(proxy);
    const clients = Array.from({ length: 100 }, () => connect(Number(port), hostname));
    for (const client of clients) client.on('error', () => undefined);
    await Promise.all(clients.map((client) => once(client, 'connect').catch(() => undefined)));
    for (const client of clients) client.destroy();
    const deadlineMs = performance.now() + 10_000;
    let status = 0;
    while (status !== 404 && performance.now() < deadlineMs)
      status = await fetch(`${proxy}/v2/`, { headers: { connection: 'close' } }).then(
        (answer) => answer.status,
        () => 0,
      );
    assert.equal(status, 404, 'a client that comes later is answered');
    assert.equal(node.child.exitCode, null);
  });
});
