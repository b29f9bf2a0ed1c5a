import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

/** Checks metrics with promtool. Lint of the DADIP2P_ names does not count: others chose them. */
export function checkMetrics(metrics: string): void {
  const { stderr, stdout, status } = spawnSync('promtool', ['check', 'metrics'], {
    input: metrics,
    encoding: 'utf8',
    timeout: 20_000,
  });
  const remarks = `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
  assert.deepEqual(
    remarks.filter((line) => !line.startsWith('DADIP2P_')),
    [],
  );
  assert.ok(status === 0 || status === 3, `exit ${status}: ${remarks.join('\n')}`);
}
