import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { AUDIT_LINE } from './audit-line.ts';
import { LiveNode, startOrigin, startSwarm, type Origin } from './live-node.ts';
import { until } from './until.ts';

const MIB = 1024 * 1024;
const STAMP_SLACK_US = 20_000;

describe('telemetry of a real node', function () {
  this.timeout(120_000);
  let origin: Origin;
  let node: LiveNode;
  const ends: (() => void)[] = [];

  afterEach(() => {
    for (const end of ends.splice(0)) end();
  });

  const start = async (
    sizeBytes: number,
    stepBytes: number,
    settings: readonly string[],
  ): Promise<void> => {
    origin = await startOrigin(sizeBytes, stepBytes);
    ends.push(() => {
      origin.server.closeAllConnections();
      origin.server.close();
    });
    node = await LiveNode.start(origin, settings);
    ends.push(() => node.remove());
  };

  it('audits every operation on every node, as its clients counted and timed it', async () => {
    origin = await startOrigin(20 * MIB + 17, 256 * 1024);
    ends.push(() => {
      origin.server.closeAllConnections();
      origin.server.close();
    });
    // Memory holds less than the blob, so that what is read again comes from disk.
    const nodes = await startSwarm(
      origin,
      [
        'DeployConfig.logAudit=true',
        'DeployConfig.logAuditMode=file',
        `CacheConfig.memory=${16 * MIB}`,
      ],
      2,
    );
    ends.push(...nodes.map((one) => () => one.remove()));
    const [, first, second] = nodes as [LiveNode, LiveNode, LiveNode];
    const path = `/v2/library/sample/blobs/sha256:${origin.digest}`;
    const reads: { from: number; bytes: number; latencyUs: number }[] = [];
    const read = async (
      node: LiveNode,
      range: readonly [number, number] | null,
      url = path,
    ): Promise<void> => {
      const startMs = performance.now();
      const response = await fetch(
        node.proxy + url,
        range === null ? {} : { headers: { range: `bytes=${range[0]}-${range[1]}` } },
      );
      const body = Buffer.from(await response.arrayBuffer());
      const [from, to] = range ?? [0, origin.bytes.length - 1];
      if (response.ok) assert.ok(body.equals(origin.bytes.subarray(from, to + 1)));
      if (node === first)
        reads.push({
          from: response.ok ? from : 0,
          bytes: response.ok ? body.length : -1,
          latencyUs: (performance.now() - startMs) * 1000,
        });
    };
    await read(first, null);
    await read(second, null);
    for (let from = 0; from < origin.bytes.length - 70_000; from += 2_097_100)
      await read(first, [from, from + 65_535]);
    await read(first, null, `/v2/missing/blobs/sha256:${'0'.repeat(64)}`);
    const clientBytes = reads.reduce((sum, { bytes }) => sum + Math.max(0, bytes), 0);
    const count = async (): Promise<number> =>
      Number(
        /^DADIP2P_Count\{node="[^"]*",type="pread",mode="agent"\} (\S+)/m.exec(
          await first.get('/metrics'),
        )![1],
      );
    await until(async () => (await count()) >= clientBytes, 'the bytes to be counted');
    assert.equal(await count(), clientBytes);

    for (const node of nodes) assert.equal(await node.stop(), 0);
    const audits = nodes.map((node) =>
      readFileSync(join(node.directory, 'audit.log'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => AUDIT_LINE.exec(line) ?? assert.fail(line)),
    );
    const [root, agent] = audits as [RegExpExecArray[], RegExpExecArray[]];
    assert.deepEqual([...new Set(audits.flat().map((match) => match[1]))].sort(), [
      'download',
      'fileread',
      'filewrite',
      'http:pread',
      'rpc:pread',
      'rpc:stat',
    ]);
    // One name for the blob, whoever did what with it; what moved no byte of it may know it by its
    // digest only.
    const upstream = `/${origin.url}${path}`;
    assert.deepEqual(
      [
        ...new Set(
          audits
            .flat()
            .filter((match) => Number(match[4]) > 0)
            .map((match) => match[2]),
        ),
      ],
      [upstream],
    );
    const preads = agent.filter((match) => match[1] === 'http:pread');
    assert.deepEqual(
      preads.map((match) => [Number(match[3]), Number(match[4])]),
      reads.map(({ from, bytes }) => [from, bytes]),
    );
    // The node looks at its clock after the last write, which its client may have read by then: it
    // may have lost its core in between.
    for (const [at, { latencyUs }] of reads.entries())
      assert.ok(
        Number(preads[at]![5]) <= latencyUs + STAMP_SLACK_US,
        `line ${at}: ${preads[at]![5]} us, its client waited ${latencyUs} us`,
      );
    // A shard takes the origin 160 ms: what the first client waited for is in the line, not only in
    // the client.
    assert.ok(
      Number(preads[0]![5]) > 140_000 && Number(preads[0]![5]) > 0.5 * reads[0]!.latencyUs,
      `${preads[0]![5]} us of ${reads[0]!.latencyUs}`,
    );
    const downloads = root.filter((match) => match[1] === 'download' && Number(match[4]) > 0);
    assert.deepEqual([...new Set(downloads.map((match) => Number(match[3]) % SHARD_BYTES))], [0]);
    assert.ok(downloads.reduce((sum, match) => sum + Number(match[4]), 0) >= origin.bytes.length);
    for (const match of agent.filter((line) => line[1] === 'filewrite' || line[1] === 'fileread')) {
      assert.equal(
        Number(match[4]),
        Math.min(SHARD_BYTES, origin.bytes.length - Number(match[3])),
        match[0],
      );
    }
  });

  it('shows everything on the proxy port, beside the registry, if it has no own port', async () => {
    await start(1000, Infinity, ['ExporterConfig.standaloneExporterPort=false']);
    assert.equal(node.exporter, null);
    const ask = (path: string): Promise<Response> => fetch(node.proxy + path);
    const metrics = await (await ask('/metrics')).text();
    assert.match(metrics, /^# HELP DADIP2P_Alive\n/);
    assert.match(metrics, /^shoal_ready 1$/m);
    assert.equal((await ask('/readyz')).status, 200);
    assert.equal((await ask('/healthz')).status, 200);
    assert.match(await (await ask('/')).text(), /<title>Shoal<\/title>/);
    assert.equal(((await (await ask('/status')).json()) as { ready: boolean }).ready, true);
    assert.ok(
      Buffer.from(
        await (await ask(`/v2/library/sample/blobs/sha256:${origin.digest}`)).arrayBuffer(),
      ).equals(origin.bytes),
    );
    assert.equal((await ask('/elsewhere')).status, 404);
  });

  it('reports draining while it drains, stays alive, and completes the current pull', async () => {
    await start(6 * 1024 * 1024, 64 * 1024, []);
    assert.equal(await node.get('/readyz'), '{"status":"ready"}\n');
    const response = await fetch(`${node.proxy}/v2/library/sample/blobs/sha256:${origin.digest}`);
    node.terminate();
    let readiness = { status: 200, body: '' };
    await until(async () => {
      const answer = await fetch(`${node.exporter}/readyz`, { headers: { connection: 'close' } });
      readiness = { status: answer.status, body: await answer.text() };
      return readiness.status !== 200;
    }, 'the node to be not ready');
    assert.deepEqual(readiness, {
      status: 503,
      body: '{"status":"not ready","reasons":["draining"]}\n',
    });
    assert.equal(
      (await fetch(`${node.exporter}/healthz`, { headers: { connection: 'close' } })).status,
      200,
    );
    assert.match(await node.get('/metrics'), /^DADIP2P_Alive\{[^}]*\} 0\.000000 /m);
    await assert.rejects(
      fetch(`${node.proxy}/v2/`, { headers: { connection: 'close' } }),
      'no new client is taken',
    );
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(origin.bytes));
    assert.equal(await node.ended(), 0);
    const said = node.log.map(({ msg }) => String(msg));
    assert.deepEqual(
      said.filter((line) => /^(told to stop|stopped)/.test(line)),
      ['told to stop; finishing the answers under way', 'stopped'],
    );
  });

  it('follows a pull across nodes by its request id', async () => {
    origin = await startOrigin(9 * 1024 * 1024);
    ends.push(() => {
      origin.server.closeAllConnections();
      origin.server.close();
    });
    const nodes = await startSwarm(origin, [], 2);
    ends.push(...nodes.map((one) => () => one.remove()));
    const requestId = 'pull-0123456789';
    const url = `${nodes[1]!.proxy}/v2/library/sample/blobs/sha256:${origin.digest}`;
    const body = Buffer.from(
      await (await fetch(url, { headers: { 'shoal-request-id': requestId } })).arrayBuffer(),
    );
    assert.ok(body.equals(origin.bytes));
    const said = ({ log }: LiveNode): string[] =>
      log.filter((line) => line['requestId'] === requestId).map((line) => String(line['msg']));
    await until(
      () => said(nodes[1]!).includes("a client's request is over"),
      'the end of the read in the log',
    );
    assert.ok(said(nodes[1]!).includes('a client reads a blob'));
    assert.ok(said(nodes[1]!).includes('asked a node for a shard'));
    // Whichever agent owns a shard, only the root goes to the origin for it.
    await until(
      () => said(nodes[0]!).includes('asked the origin for a shard'),
      "the same id in the root's log",
    );
    assert.ok(said(nodes[0]!).includes('a node reads a shard'));
    assert.ok(
      nodes[0]!.log.some(
        (line) => line['requestId'] === requestId && line['peer'] === nodes[1]!.name,
      ) || said(nodes[2]!).includes('a node reads a shard'),
    );
    const failed = await fetch(`${nodes[1]!.proxy}/v2/missing/blobs/sha256:${'0'.repeat(64)}`, {
      headers: { 'shoal-request-id': 'pull-of-nothing' },
    });
    assert.equal(failed.status, 404);
    assert.equal(
      failed.headers.get('shoal-request-id'),
      'pull-of-nothing',
      'an error tells under which id the log has it',
    );
  });
});
