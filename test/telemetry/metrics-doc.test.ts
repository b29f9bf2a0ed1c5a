import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { renderMetricsDoc } from '../../lib/telemetry/metrics-doc.ts';
import { telemetryFixture } from './fixture.ts';

describe('docs/METRICS.md', () => {
  it('is what its generator writes', () => {
    const file = readFileSync(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
    assert.equal(file, renderMetricsDoc(), 'run: node lib/telemetry/metrics-doc.ts');
  });

  it('names every metric a node exports', async () => {
    const { body } = await telemetryFixture().route('/metrics', '', true);
    const doc = renderMetricsDoc();
    const names = [...body.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!);
    assert.ok(names.length > 50);
    for (const name of names) assert.ok(doc.includes(`\`${name}\``), name);
  });
});
