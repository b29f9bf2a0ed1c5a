import type { LabReport } from './run.ts';
import type { KindCost, ShapedReport, Times } from './shaped.ts';

/** The report of a run for people. */
export function reportText(
  report: Omit<LabReport, 'idealSeconds'> & Partial<ShapedReport>,
): string {
  const { agents, roots, relay } = report;
  const lines = [
    `${report.nodes} agents and 1 root, ${report.imageBytes} bytes per agent; ` +
      `${report.killed} killed`,
    `pull time P50 / P95 / max    ${timeText(report)}`,
    `from the registry            ${(report.originBytes / report.imageBytes).toFixed(3)} ` +
      `x the image, ${report.originRequests} requests, at most ` +
      `${report.requestsPerShardMax} for one shard or small blob`,
    `processor, all nodes         ${report.cpuSecondsPerGB.toFixed(2)} CPU-s/GB ` +
      `delivered; ${report.rssMaxMB.toFixed(0)} MB resident at most`,
  ];
  if (agents !== undefined && roots !== undefined) {
    lines.push(
      `links                        ${report.linkMbit} Mbit/s, origin ` +
        `${report.originLinkMbit} Mbit/s`,
      ...slowLines(report),
      `whole machine                ${report.cpuSecondsPerGBMachine!.toFixed(2)} ` +
        'CPU-s/GB, other programs included',
      ...costLines('agents', agents),
      ...costLines('root', roots),
    );
  }
  if (relay !== null && relay !== undefined)
    lines.push(
      `relay: pull time             ${timeText(relay)}`,
      ...costLines('relay: agents', relay.agents),
      `relay: whole machine         ${relay.cpuSecondsPerGBMachine.toFixed(2)} CPU-s/GB`,
      `agents over relay            ${report.cpuOverRelay!.toFixed(2)} x`,
    );
  lines.push(`failed pulls                 ${report.failedPulls}`, ...report.problems);
  return lines.join('\n');
}

function slowLines({ slowAgents = 0, slowSeconds = 0 }: Partial<ShapedReport>): string[] {
  if (slowAgents === 0) return [];
  return [
    `slow agents                  ${slowAgents} with a quarter of the link, not counted above; ` +
      `the slowest pull ${slowSeconds.toFixed(2)} s`,
  ];
}

function timeText(times: Omit<Times, 'failedPulls' | 'p99Seconds'>): string {
  const [p50, p95, max] = [times.p50Seconds, times.p95Seconds, times.maxSeconds].map((value) =>
    value.toFixed(2),
  );
  const firstByte = times.ttfbMaxSeconds.toFixed(2);
  return `${p50} / ${p95} / ${max} s, first byte after at most ${firstByte} s`;
}

function costLines(name: string, cost: KindCost): string[] {
  const threads = Object.entries(cost.cpuSecondsPerGBByThread)
    .filter(([, value]) => value >= 0.05)
    .map(([thread, value]) => `${thread} ${value.toFixed(2)}`);
  return [
    `${name.padEnd(28)} ${cost.cpuSecondsPerGB.toFixed(2)} CPU-s/GB: ${threads.join(', ')}`,
    `${''.padEnd(28)} per MB: ${cost.wakeupsPerMB.toFixed(0)} wake-ups, ` +
      `${cost.contextSwitchesPerMB.toFixed(0)} context switches, ` +
      `${cost.readsPerMB.toFixed(0)} reads; ` +
      (`received ${(cost.receivedBytes / 1e6).toFixed(0)} MB, sent ` +
        `${(cost.sentBytes / 1e6).toFixed(0)} MB, at most ` +
        `${(cost.sentBytesMax / 1e6).toFixed(0)} MB by one; ${cost.rssMaxMB.toFixed(0)} MB ` +
        'resident at most'),
  ];
}
