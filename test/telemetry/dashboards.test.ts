import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { telemetryFixture } from './fixture.ts';
import { needs } from '../programs.ts';

const deploy = new URL('../../deploy/', import.meta.url);
/** Labels Prometheus itself puts on what it scrapes. */
const TARGET_LABELS = new Set(['instance', 'job', 'le']);

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { h: number; w: number; x: number; y: number };
  targets?: { expr: string }[];
}

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook: string; runbook_url: string };
}

/** What a node exports: of each metric its labels, and of each label its values. */
async function exported(): Promise<Map<string, Map<string, Set<string>>>> {
  const { route, meter } = telemetryFixture();
  meter.observe('treeDepth', 1);
  const { body } = await route('/metrics', '', true);
  const metrics = new Map<string, Map<string, Set<string>>>();
  for (const line of body.split('\n')) {
    const match = /^([a-zA-Z_]\w*)(?:\{(.*)\})? /.exec(line);
    if (match === null) continue;
    const labels = metrics.get(match[1]!) ?? new Map<string, Set<string>>();
    metrics.set(match[1]!, labels);
    for (const [, name, value] of (match[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)) {
      labels.set(name!, (labels.get(name!) ?? new Set()).add(value!));
    }
  }
  return metrics;
}

/**
 * Every metric an expression names exists, with the labels it selects by, and the values it
 * compares them to.
 */
function checkExpression(expression: string, metrics: Map<string, Map<string, Set<string>>>): void {
  const uses = [...expression.matchAll(/\b((?:shoal|DADIP2P)_\w+)(?:\{([^}]*)\})?/g)];
  for (const [, metric, selectors] of uses) {
    const labels = metrics.get(metric!);
    assert.ok(labels !== undefined, `${metric} does not exist: ${expression}`);
    for (const [, name, operator, value] of (selectors ?? '').matchAll(/(\w+)(!?=~?)"([^"]*)"/g)) {
      if (TARGET_LABELS.has(name!)) continue;
      assert.ok(labels.has(name!), `${metric} has no label ${name}`);
      // Roots, front threads and the like are not on this idle node.
      if (operator!.includes('~') || ['thread', 'queue', 'mode', 'registry'].includes(name!))
        continue;
      assert.ok(labels.get(name!)!.has(value!), `${metric} has no ${name}="${value}"`);
    }
  }
  const grouped = [...expression.matchAll(/\b(?:by|ignoring|without) \(([^)]*)\)/g)].flatMap(
    (match) => match[1]!.split(/,\s*/),
  );
  for (const label of grouped) {
    assert.ok(
      TARGET_LABELS.has(label) ||
        label === 'thread' ||
        label === 'queue' ||
        uses.some(([, metric]) => metrics.get(metric!)!.has(label)),
      `no label ${label}: ${expression}`,
    );
  }
}

describe('deploy/grafana', () => {
  const dashboard = JSON.parse(
    readFileSync(new URL('helm/shoal/files/dashboard.json', deploy), 'utf8'),
  ) as {
    uid: string;
    panels: Panel[];
    templating: { list: { query: unknown }[] };
  };

  it('shows only metrics that exist, by labels and values they have', async () => {
    const metrics = await exported();
    const expressions = dashboard.panels
      .flatMap(({ targets }) => targets ?? [])
      .map(({ expr }) => expr);
    assert.ok(expressions.length > 25);
    for (const expression of expressions) {
      assert.match(expression, /shoal_|DADIP2P_/);
      checkExpression(expression, metrics);
    }
    for (const { query } of dashboard.templating.list)
      checkExpression(JSON.stringify(query), metrics);
  });

  it('finds fault with an expression on a metric, label or value that is not there', async () => {
    const metrics = await exported();
    for (const wrong of [
      'rate(shoal_nothing_total[5m])',
      'shoal_peers{stat="up"}',
      'shoal_peers{state="asleep"}',
      'sum by (zone) (shoal_peers)',
    ]) {
      assert.throws(() => checkExpression(wrong, metrics), wrong);
    }
  });

  it('explains every panel, numbers each once, and lays none over another', () => {
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const panel of panels)
      assert.ok(panel.type === 'row' || (panel.description ?? '').length > 10, panel.title);
    panels.forEach((a, i) => {
      assert.ok(a.gridPos.x + a.gridPos.w <= 24, a.title);
      for (const b of panels.slice(i + 1)) {
        const apart =
          a.gridPos.x + a.gridPos.w <= b.gridPos.x ||
          b.gridPos.x + b.gridPos.w <= a.gridPos.x ||
          a.gridPos.y + a.gridPos.h <= b.gridPos.y ||
          b.gridPos.y + b.gridPos.h <= a.gridPos.y;
        assert.ok(apart, `${a.title} over ${b.title}`);
      }
    });
  });

  it('has expressions a Prometheus understands', function () {
    needs(this, 'promtool');
    const rules = dashboard.panels
      .flatMap(({ targets }) => targets ?? [])
      .map(({ expr }, i) => ({
        record: `panel:expression:${i}`,
        expr: expr
          .replaceAll('$__rate_interval', '5m')
          .replaceAll('$__range', '1h')
          .replaceAll('$instance', '.*'),
      }));
    const directory = mkdtempSync(join(tmpdir(), 'shoal-panels-'));
    writeFileSync(
      join(directory, 'rules.yaml'),
      JSON.stringify({ groups: [{ name: 'panels', rules }] }),
    );
    const { status, stdout, stderr } = spawnSync(
      'promtool',
      ['check', 'rules', '--lint=none', 'rules.yaml'],
      { cwd: directory, encoding: 'utf8', timeout: 20_000 },
    );
    rmSync(directory, { recursive: true });
    assert.equal(status, 0, stdout + stderr);
  });
});

describe('deploy/prometheus', () => {
  const rules = (
    parse(readFileSync(new URL('helm/shoal/files/alerts.yaml', deploy), 'utf8')) as {
      groups: { rules: Rule[] }[];
    }
  ).groups.flatMap((group) => group.rules);
  const troubleshooting = readFileSync(new URL('../docs/TROUBLESHOOTING.md', deploy), 'utf8');

  it('alerts on existing metrics, each with severity, summary and runbook line', async () => {
    const metrics = await exported();
    for (const { alert, expr, labels, annotations } of rules) {
      checkExpression(expr, metrics);
      assert.match(labels.severity, /^(info|warning|critical)$/, alert);
      for (const text of [annotations.summary, annotations.description, annotations.runbook])
        assert.ok(text.length > 20, alert);
      assert.ok(!annotations.runbook.includes('\n'), alert);
      assert.equal(annotations.runbook_url, `docs/TROUBLESHOOTING.md#${alert.toLowerCase()}`);
      assert.ok(troubleshooting.includes(`\n### ${alert}\n`), alert);
    }
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  });

  for (const name of ['alerts', 'webhook-alerts'])
    it(`tests every rule of ${name}`, () => {
      const all = readFileSync(new URL(`helm/shoal/files/${name}.yaml`, deploy), 'utf8');
      const tests = readFileSync(new URL(`prometheus/${name}.test.yaml`, deploy), 'utf8');
      for (const [, alert] of all.matchAll(/- alert: (\w+)/g))
        assert.ok(tests.includes(alert!), alert);
    });

  it('passes promtool check rules and promtool test rules', function () {
    needs(this, 'promtool');
    const cwd = fileURLToPath(new URL('prometheus/', deploy));
    for (const args of [
      ['check', 'rules', '../helm/shoal/files/alerts.yaml'],
      ['check', 'rules', '../helm/shoal/files/webhook-alerts.yaml'],
      ['test', 'rules', 'alerts.test.yaml', 'webhook-alerts.test.yaml'],
    ]) {
      const { status, stdout, stderr } = spawnSync('promtool', args, {
        cwd,
        encoding: 'utf8',
        timeout: 30_000,
      });
      assert.equal(status, 0, stdout + stderr);
    }
  });
});
