import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PreadOptions } from '../../lib/commands/bench.ts';
import { runProgram } from '../../lib/commands/program.ts';
import { BenchOrigin } from '../../native-bench/origin.ts';
import { measurePreads } from '../../native-bench/pread.ts';
import type { PreadReport } from '../../native-bench/pread/report.ts';
import { until } from '../telemetry/until.ts';

const SEED = 3;
const TOTAL_BYTES = 3_000_000;

describe('bench: pread', () => {
  let origin: BenchOrigin;
  let url: string;
  const servers: Server[] = [];

  before(async () => {
    origin = new BenchOrigin(SEED, TOTAL_BYTES);
    url = `${await origin.listen()}/object?Signature=hidden`;
  });
  after(() => {
    origin.close();
    for (const server of servers) server.close().closeAllConnections();
  });

  const options = (more: Partial<PreadOptions>): PreadOptions => ({
    url,
    size: 65_536,
    pattern: 'random',
    seconds: 0.3,
    warmup: 0,
    connections: 4,
    threads: 1,
    verify: SEED,
    ...more,
  });

  /**
   * The first measurement that shows what is waited for: a machine that does other things may stand
   * still for all of a short one.
   */
  async function measuredOnce(
    more: Partial<PreadOptions>,
    shows: (report: PreadReport) => boolean,
  ): Promise<PreadReport> {
    let last!: PreadReport;
    await until(async () => {
      const { report, problem } = await measurePreads(options(more));
      assert.equal(problem, null);
      last = report;
      return shows(last);
    }, 'a measurement as expected');
    return last;
  }

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const said = { out: '', err: '' };
    const code = await runProgram(['bench', 'pread', ...args], {
      out: (text) => (said.out += text),
      err: (text) => (said.err += text),
    });
    return { code, ...said };
  }

  it('reads the object in every pattern, and verifies every byte', async () => {
    for (const pattern of ['random', 'sequential', 'zipf'] as const) {
      const report = await measuredOnce(
        { pattern, pid: process.pid },
        ({ requestsPerSecond }) => requestsPerSecond > 10,
      );
      assert.deepEqual([report.errors, report.mismatches], [0, 0]);
      assert.ok(
        report.latencyUs.p50 > 0 && report.latencyUs.p50 <= report.latencyUs.p999,
        JSON.stringify(report),
      );
      assert.ok(report.cpuSecondsPerGB !== null && report.cpuSecondsPerGB > 0);
    }
  });

  it('clamps reads larger than the object, on several threads', async () => {
    const report = await measuredOnce(
      { size: 10_000_000, threads: 2 },
      ({ requestsPerSecond }) => requestsPerSecond > 0,
    );
    assert.deepEqual([report.sizeBytes, report.errors, report.mismatches], [TOTAL_BYTES, 0, 0]);
  });

  it('keeps to a fixed rate', async () => {
    const { requestsPerSecond } = await measuredOnce(
      { rate: 100, seconds: 1, size: 1_000 },
      (report) => report.requestsPerSecond >= 70,
    );
    assert.ok(requestsPerSecond <= 130, String(requestsPerSecond));
  });

  it('counts wrong bytes', async () => {
    const { report } = await measurePreads(options({ verify: SEED + 1 }));
    assert.ok(
      report.mismatches > 0 && report.mismatches === Math.round(report.requestsPerSecond * 0.3),
      JSON.stringify(report),
    );
  });

  it('counts invalid answers: a status, a 200, another range, a closed connection', async () => {
    const ranged = { 'Content-Length': 1, 'Content-Range': `bytes 0-0/${TOTAL_BYTES}` };
    const answers: Record<string, [RequestListener, RegExp]> = {
      status: [(_, res) => res.writeHead(503, { 'Content-Length': 0 }).end(), /status 503/],
      whole: [(_, res) => res.writeHead(200, { 'Content-Length': 4 }).end('full'), /status 200/],
      shifted: [
        (_, res) =>
          res
            .writeHead(206, {
              'Content-Length': 65_536,
              'Content-Range': `bytes 1-65536/${TOTAL_BYTES}`,
            })
            .end(Buffer.alloc(65_536)),
        /another range|bytes for/,
      ],
      cut: [
        (_, res) =>
          res
            .writeHead(206, {
              'Content-Length': 65_536,
              'Content-Range': `bytes 0-65535/${TOTAL_BYTES}`,
            })
            .write('x', () => res.destroy()),
        /closed|reset/,
      ],
    };
    for (const [name, [listener, words]] of Object.entries(answers)) {
      let first = true;
      const at = await serve((request, response) => {
        if (first) response.writeHead(206, ranged).end('x');
        else listener(request, response);
        first = false;
      });
      const { report, problem } = await measurePreads(options({ url: at, seconds: 0.2 }));
      assert.ok(
        report.errors > 0 && report.requestsPerSecond === 0,
        `${name}: ${JSON.stringify(report)}`,
      );
      assert.match(problem ?? '', words, name);
    }
  });

  it('on the command line: one JSON object, the documented fields, no query', async () => {
    const { code, out } = await run(
      '--url',
      url,
      '--size',
      '64KiB',
      '--seconds',
      '1',
      '--warmup',
      '0',
      '--connections',
      '2',
      '--verify',
      String(SEED),
      '--json',
    );
    const report = JSON.parse(out.trim().split('\n').at(-1)!) as Record<string, unknown>;
    assert.equal(code, 0);
    assert.deepEqual(Object.keys(report), [
      'url',
      'sizeBytes',
      'connections',
      'requestsPerSecond',
      'gigabytesPerSecond',
      'cpuSecondsPerGB',
      'latencyUs',
      'errors',
      'mismatches',
    ]);
    assert.deepEqual(
      [report['sizeBytes'], report['connections'], report['cpuSecondsPerGB']],
      [65_536, 2, null],
    );
    assert.ok(!out.includes('hidden'));
  });

  it('on the command line: 1 for wrong bytes and for no server, 2 for misuse', async () => {
    assert.equal(
      (await run('--url', url, '--seconds', '1', '--warmup', '0', '--verify', '99')).code,
      1,
    );
    const nobody = await run('--url', 'http://127.0.0.1:1/', '--seconds', '1');
    assert.deepEqual([nobody.code, /ORIGIN_UNREACHABLE/.test(nobody.err)], [1, true]);
    for (const args of [
      [],
      ['--url', 'nowhere'],
      ['--url', url, '--size', 'lots'],
      ['--url', url, '--pattern', 'odd'],
      ['--url', url, '--pid', '999999999'],
      ['--url', url, '--connections', '0'],
    ]) {
      assert.equal((await run(...args)).code, 2, args.join(' '));
    }
    assert.deepEqual([(await run('--help')).code], [0]);
  });
});
