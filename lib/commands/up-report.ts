import Table from 'cli-table3';
import pc from 'picocolors';
import type { NodeMode } from '../config/schema.ts';
import type { SourceBytes } from '../demo/node-counters.ts';
import { UP_TABLE_COLUMNS } from './limits.ts';
import { formatBytes, formatSeconds } from '../quantity.ts';

interface NodeRow {
  name: string;
  role: NodeMode;
  /** 0 for the root: nobody pulls through it. */
  seconds: number;
  /** What its clients got, by source; for the root, what it had. */
  bytes: SourceBytes;
  digestsOk: boolean;
}

/** `shoal up --json` (docs/SPEC.md 9). */
export interface UpReport {
  ok: boolean;
  imageBytes: number;
  nodes: NodeRow[];
  /**
   * Blob bytes and the requests for them, access checks apart: counted at the embedded registry,
   * else by the nodes.
   */
  origin: { bytes: number; requests: number };
}

/** The same pulls straight from the registry: its bytes, and the time until the last had all. */
export interface DirectPulls {
  bytes: number;
  seconds: number;
}

export interface ReportNotes {
  /** One-byte reads that asked whether a client may; null when the registry is not ours. */
  accessChecks: number | null;
  /** null: not tried, as the registry is not ours. */
  direct: DirectPulls | null;
  problems: readonly string[];
}

interface Screen {
  columns: number;
  colours: boolean;
}

/** The table, or a list where that is too wide, and under it what it comes to. */
export function renderReport(
  report: UpReport,
  notes: ReportNotes,
  { columns, colours }: Screen = { columns: 80, colours: false },
): string {
  const { green, red, bold } = pc.createColors(colours);
  const nodes = columns >= UP_TABLE_COLUMNS ? table(report) : list(report);
  const lines = [...nodes, ''];
  const say = (text: string): void => void lines.push(...wrapped(text, columns));
  const agents = report.nodes.filter(({ role }) => role === 'agent');
  const counted =
    `in ${report.origin.requests} requests, ` +
    `${notes.accessChecks === null ? 'as the nodes count them' : 'counted at the registry'}`;
  say(
    'Each row: from where a node had its bytes. The root reads from the registry for all; the ' +
      'agents pull. "Saved" is the share that the registry did not have to send.',
  );
  say(
    `The image is ${formatBytes(report.imageBytes)}. ${agents.length} ` +
      `${agents.length === 1 ? 'node' : 'nodes'} pulled it; the registry sent ` +
      `${formatBytes(report.origin.bytes)}, ${times(report.origin.bytes, report)} x the image ` +
      `(${counted}).`,
  );
  if ((notes.accessChecks ?? 0) > 0)
    say(`Besides, ${notes.accessChecks} one-byte reads asked whether a client may read.`);
  lines.push(...wrapped(argument(report, notes.direct, agents), columns).map(bold));
  lines.push(report.ok ? green('  Every digest is right.') : red('  Not every pull succeeded:'));
  for (const problem of notes.problems) lines.push(red(`    ${problem}`));
  return `${lines.join('\n')}\n`;
}

/** Why one would want Shoal, in figures. */
function argument(
  report: UpReport,
  direct: DirectPulls | null,
  agents: readonly NodeRow[],
): string {
  const seconds = Math.max(0, ...agents.map((agent) => agent.seconds));
  const withShoal =
    `With Shoal: ${times(report.origin.bytes, report)} x the image from the registry, ` +
    `${formatSeconds(seconds)}.`;
  if (direct === null) return `Without Shoal: ${agents.length} x the image. ${withShoal}`;
  const without =
    `Without Shoal: ${times(direct.bytes, report)} x the image, ` +
    `${formatSeconds(direct.seconds)}.`;
  // Here the nodes' work competes for the same processor, in a cluster it does not.
  const because =
    seconds > direct.seconds
      ? ` All ${report.nodes.length} nodes share this machine's processor, ` +
        'which was the bottleneck.'
      : '';
  return `${without} ${withShoal}${because}`;
}

function times(bytes: number, { imageBytes }: UpReport): string {
  const ratio = imageBytes === 0 ? 0 : bytes / imageBytes;
  return ratio.toFixed(3);
}

function timeOf({ role, seconds, digestsOk }: NodeRow): string {
  return role === 'root' ? '-' : digestsOk ? formatSeconds(seconds) : 'FAILED';
}

function table(report: UpReport): string[] {
  const rows = new Table({
    head: ['node', 'role', 'time', 'registry', 'other nodes', 'own cache', 'saved'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const node of report.nodes)
    rows.push([
      node.name,
      node.role,
      timeOf(node),
      formatBytes(node.bytes.origin),
      formatBytes(node.bytes.peer),
      formatBytes(node.bytes.cache),
      node.role === 'root' ? '-' : sparedShare(node.bytes),
    ]);
  return [rows.toString()];
}

function list(report: UpReport): string[] {
  return report.nodes.flatMap((node) => {
    const { origin, peer, cache } = node.bytes;
    return [
      `${node.name}  ${timeOf(node)}`,
      `  registry ${formatBytes(origin)},`,
      `  other nodes ${formatBytes(peer)},`,
      `  own cache ${formatBytes(cache)}, saved ${sparedShare(node.bytes)}`,
    ];
  });
}

/** Lines of `text`, indented, no wider than the screen. */
function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = ' ';
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

/** Share of what a node needed that did not come from the origin. */
function sparedShare({ origin, peer, cache }: SourceBytes): string {
  const all = origin + peer + cache;
  return all === 0 ? '-' : `${(((all - origin) / all) * 100).toFixed(1)} %`;
}
