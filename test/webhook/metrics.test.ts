import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { WebhookMetrics } from '../../lib/webhook/metrics.ts';

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: Record<string, string>;
}

describe("the webhook's metrics", () => {
  it('count what was done', async () => {
    const metrics = new WebhookMetrics();
    metrics.reviewed('rewritten', 0.003, 2);
    metrics.reviewed('unchanged', 0.001, 0);
    metrics.skipped('pull-policy-never');
    metrics.copied('create');
    metrics.copied('none');
    metrics.copied('failed');
    metrics.nodes(3, 1);
    metrics.leads(true);
    const text = await metrics.text();
    for (const line of [
      'shoal_webhook_reviews_total{outcome="rewritten"} 1',
      'shoal_webhook_images_rewritten_total 2',
      'shoal_webhook_skips_total{reason="pull-policy-never"} 1',
      'shoal_webhook_secret_copies_total{step="create"} 1',
      'shoal_webhook_secret_copies_total{step="failed"} 1',
      'shoal_webhook_review_seconds_count 2',
      'shoal_webhook_nodes{state="configured"} 3',
      'shoal_webhook_nodes{state="obstructed"} 1',
      'shoal_webhook_leader 1',
    ])
      assert.ok(text.split('\n').includes(line), line);
    assert.ok(!text.includes('step="none"'));
  });

  it('have alerts on names that exist, each with a summary and a runbook', async () => {
    const file = new URL('../../deploy/helm/shoal/files/webhook-alerts.yaml', import.meta.url);
    const { groups } = parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] };
    const text = await new WebhookMetrics().text();
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
    const rules = groups.flatMap((group) => group.rules);
    assert.ok(rules.length >= 5);
    for (const { alert, expr, labels, annotations } of rules) {
      for (const [name] of expr.matchAll(/\bshoal_[a-z_]+/g))
        assert.ok(known.has(name.replace(/_bucket$/, '')), `${alert}: ${name}`);
      assert.match(labels.severity, /^(?:info|warning|critical)$/);
      for (const key of ['summary', 'description', 'runbook'])
        assert.ok((annotations[key] ?? '').length > 10, `${alert}: ${key}`);
    }
  });
});
