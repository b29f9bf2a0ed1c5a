import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeProcess } from '../lib/demo/node-process.ts';
import { parseLabOptions } from './lab/options.ts';
import { runLab, type LabReport } from './lab/run.ts';

const options = parseLabOptions(process.argv.slice(2));
const dir = mkdtempSync(join(tmpdir(), 'shoal-lab-'));
const nodes: NodeProcess[] = [];
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
try {
  const report = await runLab(
    options,
    dir,
    stopping.signal,
    (node) => nodes.push(node),
    (line) => process.stderr.write(`${line}\n`),
  );
  console.log(options.json ? JSON.stringify(report) : shown(report));
  if (report.failedPulls > 0) process.exitCode = 1;
} finally {
  for (const node of nodes) node.kill();
  await Promise.all(nodes.map((node) => node.ended));
  if (options.keep) process.stderr.write(`logs: ${dir}\n`);
  else rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

function shown(report: LabReport): string {
  return [
    `${report.nodes} agents and a root, ${report.imageBytes} bytes each; ${report.killed} killed on the way`,
    `pull time P50 / P95 / max   ${[report.p50Seconds, report.p95Seconds, report.maxSeconds].map((value) => value.toFixed(1)).join(' / ')} s, first byte after ${report.ttfbMaxSeconds.toFixed(2)} s at most`,
    `from the registry           ${(report.originBytes / report.imageBytes).toFixed(3)} x the image, ${report.originRequests} requests, ${report.requestsPerShardMax} for one shard or small blob at most`,
    `processor                   ${report.cpuSecondsPerGB.toFixed(2)} s a GB delivered; ${report.rssMaxMB.toFixed(0)} MB resident at most`,
    `survivors' pulls that failed ${report.failedPulls}`,
    ...report.problems,
  ].join('\n');
}
