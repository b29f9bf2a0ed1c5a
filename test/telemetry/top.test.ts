import assert from 'node:assert/strict';
import { renderTop } from '../../lib/commands/top-screen.ts';
import { runTop } from '../../lib/commands/top.ts';
import { serveFixture } from './demo-server.ts';
import { telemetryFixture } from './fixture.ts';
import { busySwarm, nodeName } from './swarm-fixture.ts';

// oxlint-disable-next-line no-control-regex
const ESCAPE = /\x1b\[[0-9;]*m/g;

describe('shoal top', () => {
  for (const [columns, rows] of [
    [80, 24],
    [40, 24],
    [200, 50],
  ] as const)
    it(`fits ${columns} columns and, with 30 nodes, ${rows} rows`, () => {
      const lines = renderTop(busySwarm(30, 1e12), columns, rows)
        .replace(ESCAPE, '')
        .trimEnd()
        .split('\n');
      assert.ok(lines.length <= rows, `${lines.length} rows`);
      for (const line of lines) assert.ok([...line].length <= columns, line);
    });

  it('says on 40 columns what was saved, with all of its figures, and who has the image', () => {
    const text = renderTop(busySwarm(30, 1e12), 40, 40).replace(ESCAPE, '');
    assert.match(text, /^saved \d+\.\d GB {2}clients \d+\.\d GB$/m);
    assert.match(text, /^registry 536\.9 MB, \d+\.\d x less$/m);
    assert.match(
      text,
      /with-a-long-name:v1\.24\.3\n {2}\d+ of 30 have it, \d+ pulling, 0 failed$/m,
    );
  });

  it('leaves two thirds of the rows to the table with 1,000 nodes', () => {
    const lines = renderTop(busySwarm(1_000, 1e12), 80, 24).split('\n');
    assert.ok(lines.some((line) => line.includes('and 360 more')));
    assert.ok(lines.filter((line) => /:65002 /.test(line)).length >= 5, lines.join('\n'));
  });

  it('has what was saved, and nodes in trouble first', () => {
    const text = renderTop(busySwarm(1_000, 1e12), 80, 60).replace(ESCAPE, '');
    assert.match(text, /^Shoal {2}1000 nodes/);
    assert.match(text, /saved \d+\.\d GB {2}clients .* x less/);
    const table = text.slice(text.indexOf('node  '));
    const [, ...rows] = table.split('\n');
    for (const [at, [i, state]] of (
      [
        [11, 'failing'],
        [13, 'silent'],
        [7, 'slow'],
      ] as const
    ).entries())
      assert.match(rows[at]!, new RegExp(`^${nodeName(i)} +${state} `));
    assert.equal([...text].filter((mark) => mark === 'X').length, 1, 'one failing tile');
  });

  it('prints once where there is no terminal, and as JSON', async () => {
    const fixture = telemetryFixture();
    fixture.swarm.status = busySwarm(12, 1e12);
    const server = await serveFixture(fixture);
    const run = async (json: boolean): Promise<string> => {
      let out = '';
      const options = { url: server.url, token: null, json, once: true };
      await runTop(options, { out: (text) => (out += text), err: () => undefined });
      return out;
    };
    try {
      assert.match(await run(false), /12 nodes/);
      const { nodes } = JSON.parse(await run(true)) as { nodes: unknown[] };
      assert.equal(nodes.length, 12);
    } finally {
      server.close();
    }
  });
});
