import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../lib/commands/program.ts';
import type { UpReport } from '../../lib/commands/up-report.ts';
import { Running, fakeUpPath, until } from './process.ts';

describe('shoal up', () => {
  let temporary = '';
  let running: Running[] = [];
  beforeEach(() => {
    temporary = mkdtempSync(join(tmpdir(), 'shoal-test-'));
  });
  afterEach(() => {
    for (const one of running) one.child.kill('SIGKILL');
    running = [];
    rmSync(temporary, { recursive: true, force: true });
  });

  const up = (options: object, behaviour = ''): Running => {
    const env = { FAKE_NODE: behaviour, TMPDIR: temporary };
    const one = new Running(fakeUpPath, [JSON.stringify(options)], env);
    running.push(one);
    return one;
  };
  const leftovers = (): string[] =>
    readdirSync(temporary).filter((name) => name.startsWith('shoal-up-'));
  const swarmDir = (): string => join(temporary, leftovers()[0]!);
  /** Process ids of the nodes, from the logs of their ready lines. */
  const nodePids = (): number[] => {
    const logs = readdirSync(swarmDir(), { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && entry.name !== 'certs.d',
    );
    return logs.map(
      ({ name }) =>
        (
          JSON.parse(readFileSync(join(swarmDir(), name, 'node.log'), 'utf8').split('\n')[0]!) as {
            pid: number;
          }
        ).pid,
    );
  };
  const alive = (pid: number): boolean => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };

  it('pulls through every node, reports, and cleans up', async () => {
    const once = up({ once: true, json: true });
    assert.equal(await once.exit(), 0);
    const report = JSON.parse(once.stdout) as UpReport;
    assert.equal(report.ok, true);
    assert.deepEqual(
      report.nodes.map(({ name, role, digestsOk }) => [name, role, digestsOk]),
      [
        ['root', 'root', true],
        ['agent-1', 'agent', true],
        ['agent-2', 'agent', true],
      ],
    );
    for (const { role, seconds, bytes } of report.nodes) {
      assert.equal(seconds > 0, role === 'agent');
      assert.deepEqual(bytes, {
        origin: role === 'agent' ? report.imageBytes : 0,
        peer: 0,
        cache: 0,
      });
    }
    // The fake nodes fetch everything themselves.
    assert.deepEqual(report.origin, { bytes: 2 * report.imageBytes, requests: 2 * 4 });
    assert.deepEqual(leftovers(), []);
    assert.match(once.stderr, /every digest right/);
  });

  it('shows the table to people, and no colours or bars to a pipe', async () => {
    const once = up({ once: true });
    assert.equal(await once.exit(), 0);
    assert.match(
      once.stdout,
      /agent-2 +│ agent │ +\d+\.\d\d s │ +3\.1 MB │ +0 B │ +0 B │ +0\.0 % │/,
    );
    assert.match(
      once.stdout.replace(/\s+/g, ' '),
      /the registry sent 6\.2 MB, 2\.000 x the image \(in 8 requests, counted at the registry\)/,
    );
    assert.match(once.stdout, /agent-1 done in .*, every digest right/);
    assert.match(once.stdout, /Without Shoal: 2\.000 x the image/);
    assert.match(once.stdout, /Every digest is right\.\n$/, 'the table and its sum are the last');
    assert(!once.stdout.includes('\u001b'));
    assert.equal(once.stderr, '');
  });

  it('exits with 1 if a byte is wrong', async () => {
    const once = up({ once: true, json: true }, 'corrupt');
    assert.equal(await once.exit(), 1);
    const report = JSON.parse(once.stdout) as UpReport;
    assert.equal(report.ok, false);
    assert.deepEqual(
      report.nodes.map((node) => node.digestsOk),
      [true, false, false],
    );
    assert.match(once.stderr, /agent-1: sha256:\w+ arrived as sha256:\w+/);
  });

  it('stays up until stopped, and prints next steps', async () => {
    const staying = up({});
    await staying.printed(/stop: Ctrl-C/);
    const dir = swarmDir();
    const pids = nodePids();
    assert.equal(pids.length, 3);
    const [, authFile, node] =
      /skopeo copy .*--authfile (\S+) docker:\/\/(127\.0\.0\.1:\d+)\/shoal\/sample:latest/.exec(
        staying.stdout,
      )!;
    const auths = JSON.parse(readFileSync(authFile!, 'utf8')) as {
      auths: Record<string, { auth: string }>;
    };
    assert(auths.auths[node!]);
    const [, password] = Buffer.from(auths.auths[node!]!.auth, 'base64').toString().split(':');
    assert(!staying.stdout.includes(password!), 'the password is in a file, not on the screen');
    for (const secret of ['auth.json', 'credentials', 'cluster-secret'])
      assert.equal(statSync(join(dir, secret)).mode & 0o777, 0o600);
    assert.match(
      readFileSync(
        join(dir, 'certs.d', /127\.0\.0\.1:\d+/.exec(staying.stdout)![0], 'hosts.toml'),
        'utf8',
      ),
      /\[host\."http:\/\/127\.0\.0\.1:\d+"\]/,
    );
    staying.child.kill('SIGINT');
    assert.equal(await staying.exit(), 0);
    assert.deepEqual(pids.filter(alive), []);
    assert.equal(existsSync(dir), false);
  });

  it('reports a node that exits; cleans up when its terminal closes, even twice', async () => {
    const staying = up({ nodes: 1 });
    await staying.printed(/stop: Ctrl-C/);
    const pids = nodePids();
    process.kill(pids[0]!, 'SIGKILL');
    await staying.printed(/agent-1 has ended/);
    staying.child.kill('SIGHUP');
    staying.child.kill('SIGHUP');
    assert.equal(await staying.exit(), 0);
    assert.deepEqual(pids.filter(alive), []);
    assert.deepEqual(leftovers(), []);
  });

  it('its nodes exit when it is killed', async () => {
    const staying = up({});
    await staying.printed(/stop: Ctrl-C/);
    const pids = nodePids();
    staying.child.kill('SIGKILL');
    await until(() => pids.filter(alive).length === 0, 'the nodes have ended');
  });

  it('prints its JSON report and stays up', async () => {
    const staying = up({ nodes: 1, json: true });
    const report = JSON.parse((await staying.printed(/^\{.*\}\n$/))[0]) as UpReport;
    assert.deepEqual(Object.keys(report), ['ok', 'imageBytes', 'nodes', 'origin']);
    assert.equal(staying.child.exitCode, null);
    staying.child.kill('SIGTERM');
    assert.equal(await staying.exit(), 0);
    assert.equal(staying.stdout, `${JSON.stringify(report)}\n`);
  });

  it('stops during the pull on a signal', async () => {
    const starting = up({}, 'mute');
    await starting.printed(/starting 1 root and 2 agents/);
    starting.child.kill('SIGINT');
    assert.equal(await starting.exit(), 1);
    assert.deepEqual(leftovers(), []);
  });

  it('picks other ports if some are taken, with a bounded number of attempts', async () => {
    const once = up({ once: true, nodes: 1 }, 'port-in-use');
    assert.equal(await once.exit(), 1);
    assert.match(
      once.stderr,
      /^(root|agent-1) did not start \(code 1\): 127\.0\.0\.1:\d+ is in use\n$/,
    );
    assert.deepEqual(leftovers(), []);
  });

  it('with real nodes: the image leaves the registry once', async () => {
    const once = up({ once: true, json: true, nodes: 3 }, 'real');
    assert.equal(await once.exit(55_000), 0, once.stderr);
    const report = JSON.parse(once.stdout) as UpReport;
    assert(report.origin.bytes <= 1.02 * report.imageBytes, once.stderr);
    for (const { role, bytes } of report.nodes) {
      if (role === 'agent') assert(bytes.peer >= 0.98 * report.imageBytes, once.stderr);
    }
    assert.deepEqual(leftovers(), []);
  });

  const refusals: [string[], number, RegExp][] = [
    [
      ['--nodes', '0'],
      2,
      /^error: option '--nodes <n>' argument '0' is invalid\. allowed: .* from 1 to 64\n$/,
    ],
    [['--image', 'a:b'], 2, /^shoal: --image needs --registry URL \(USAGE\)\n$/],
    [
      ['--registry', 'http://127.0.0.1:1'],
      2,
      /^shoal: --registry needs --image REPO:TAG \(USAGE\)\n$/,
    ],
    [
      ['--registry', 'http://u:hunter2@127.0.0.1:1', '--image', 'a:b'],
      2,
      /^shoal: --registry: allowed: an http or https URL (?!.*hunter2).*\n$/,
    ],
    [
      ['--registry', 'http://127.0.0.1:1', '--image', 'A:b'],
      2,
      /^shoal: --image: allowed: REPO, .*\n$/,
    ],
    [
      ['--once', '--registry', 'http://127.0.0.1:1', '--image', 'a:b'],
      1,
      /^shoal: http:\S+:1 cannot be reached: ECONNREFUSED \(ORIGIN_UNREACHABLE\)\n  -> Check .*\n$/,
    ],
  ];
  for (const [args, code, message] of refusals) {
    const shown = args.join(' ').replace(/:\w+@/, ':...@');
    it(`ends with ${code} and one line on \`up ${shown}\``, async () => {
      let [out, err] = ['', ''];
      const output = {
        out: (text: string) => (out += text),
        err: (text: string) => (err += text),
      };
      assert.equal(await runProgram(['up', ...args], output), code);
      assert.match(err, message);
      assert.equal(out, '');
    });
  }
});
