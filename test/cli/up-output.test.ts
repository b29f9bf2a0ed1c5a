import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatBytes, formatSeconds } from '../../lib/quantity.ts';
import { lines } from '../../lib/commands/up-progress.ts';
import { renderReport } from '../../lib/commands/up-report.ts';
import type { DirectPulls, UpReport } from '../../lib/commands/up-report.ts';

describe('quantities', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [222_328_190, '222.3 MB'],
    [5e12, '5.0 TB'],
    [5e15, '5000.0 TB'],
  ];
  for (const [bytes, text] of cases)
    it(`${bytes} bytes are ${text}`, () => assert.equal(formatBytes(bytes), text));

  it('never show 1000.0 of a unit that has a greater one', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        (bytes) => !formatBytes(bytes).startsWith('1000.0') || bytes >= 1e15,
      ),
    );
  });

  it('of time have a suitable precision', () =>
    assert.deepEqual([0.034, 9.99, 12.34].map(formatSeconds), ['0.03 s', '9.99 s', '12.3 s']));
});

describe('progress in plain lines', () => {
  it('prints a line at each quarter and one at the end', () => {
    let text = '';
    const pull = lines((more) => void (text += more)).pull('agent-1', 1_000);
    for (const bytes of [100, 100, 100, 350, 350]) pull.advance(bytes);
    pull.done({ seconds: 2, digestsOk: true, problems: [] });
    assert.equal(
      text,
      '  agent-1 25 % of 1.0 kB\n  agent-1 50 % of 1.0 kB\n  agent-1 done in 2.00 s, ' +
        'every digest right\n',
    );
  });

  it('reports what failed', () => {
    let text = '';
    lines((more) => void (text += more))
      .pull('a', 0)
      .done({ seconds: 1, digestsOk: false, problems: ['first', 'second'] });
    assert.equal(text, '  a FAILED after 1.00 s: first\n');
  });
});

describe('the report', () => {
  const report: UpReport = {
    ok: true,
    imageBytes: 1_000_000,
    nodes: [
      {
        name: 'root',
        role: 'root',
        seconds: 0,
        bytes: { origin: 1_000_000, peer: 0, cache: 0 },
        digestsOk: true,
      },
      {
        name: 'agent-1',
        role: 'agent',
        seconds: 1.5,
        bytes: { origin: 10_000, peer: 990_000, cache: 0 },
        digestsOk: true,
      },
    ],
    origin: { bytes: 1_010_000, requests: 7 },
  };

  it('names the counter of the bytes of a foreign registry', () => {
    const text = renderReport(report, { accessChecks: null, direct: null, problems: [] });
    assert.match(
      text.replace(/ +/g, ' '),
      /│ agent-1 │ agent │ 1\.50 s │ 10\.0 kB │ 990\.0 kB │ 0 B │ 99\.0 % │/,
    );
    const said =
      '1 node pulled it; the registry sent 1.0 MB, 1.010 x the image ' +
      '(in 7 requests, as the nodes count them)';
    assert.ok(text.replace(/\s+/g, ' ').includes(said), text);
    assert.doesNotMatch(text, /one-byte reads/);
    const none = { accessChecks: 0, direct: null, problems: [] };
    assert.doesNotMatch(renderReport(report, none), /one-byte reads/);
    assert.match(renderReport(report, { ...none, accessChecks: 3 }), /3 one-byte reads/);
  });

  for (const columns of [80, 40])
    it(`fits ${columns} columns, also with sixty-four nodes and large images`, () => {
      const [root, agent] = report.nodes as [UpReport['nodes'][0], UpReport['nodes'][0]];
      const bytes = { origin: 999.9e9, peer: 999.9e9, cache: 999.9e9 };
      const agents = Array.from({ length: 64 }, (_, i) => ({
        ...agent,
        ...{ name: `agent-${i + 1}`, seconds: 1234.5, bytes },
      }));
      const text = renderReport(
        { ...report, imageBytes: 999.9e9, nodes: [root, ...agents] },
        { accessChecks: 64, direct: { bytes: 9e15, seconds: 1_234.5 }, problems: [] },
        { columns, colours: false },
      );
      for (const line of text.split('\n'))
        assert.ok([...line].length <= columns, `${[...line].length} columns: ${line}`);
      assert.ok(text.includes('agent-64'));
    });

  it('compares bytes from the registry and seconds with those of a pull without Shoal', () => {
    const argued = (direct: DirectPulls | null): string =>
      renderReport(report, { accessChecks: null, direct, problems: [] }).replace(/\s+/g, ' ');
    const said =
      'Without Shoal: 3.000 x the image, 6.00 s. ' +
      'With Shoal: 1.010 x the image from the registry, 1.50 s.';
    const without = argued({ bytes: 3_000_000, seconds: 6 });
    assert.ok(without.includes(said), without);
    assert.doesNotMatch(argued({ bytes: 3_000_000, seconds: 6 }), /bottleneck/);
    assert.match(argued({ bytes: 1_000_000, seconds: 1 }), /processor, which was the bottleneck/);
    assert.match(argued(null), /Without Shoal: 1 x the image\. With Shoal: 1\.010 x/);
  });

  it('has colours where they are wanted only', () => {
    const text = (colours: boolean): string =>
      renderReport(
        report,
        { accessChecks: null, direct: null, problems: [] },
        { columns: 80, colours },
      );
    assert.ok(text(true).includes('\u001b['));
    assert.ok(!text(false).includes('\u001b'));
  });

  it('lists what failed', () => {
    const text = renderReport(
      { ...report, ok: false },
      { accessChecks: 3, direct: null, problems: ['agent-1: gone'] },
    );
    assert.match(text, /Not every pull succeeded:\S*\n\S* +agent-1: gone/);
    assert.match(text, /3 one-byte reads/);
  });
});
