import Table from 'cli-table3';
import pc from 'picocolors';
import type { NodeMode } from '../config/schema.ts';
import { formatBytes, formatSeconds } from './quantity.ts';

/** Payload bytes a node had from each source (`/status`). */
export interface NodeBytes {
  origin: number;
  peer: number;
  cache: number;
}

export interface NodeRow {
  name: string;
  role: NodeMode;
  /** 0 for the root: nobody pulls through it. */
  seconds: number;
  bytes: NodeBytes;
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

export interface ReportNotes {
  /** One-byte reads that asked whether a client may; null when the registry is not ours. */
  accessChecks: number | null;
  problems: readonly string[];
}

/** The table, and under it what it comes to. */
export function renderReport(report: UpReport, notes: ReportNotes, colours = false): string {
  const { green, red } = pc.createColors(colours);
  const table = new Table({
    head: ['node', 'role', 'time', 'from origin', 'from peers', 'from cache', 'not from origin'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, role, seconds, bytes, digestsOk } of report.nodes) {
    const time = role === 'root' ? '-' : digestsOk ? formatSeconds(seconds) : 'FAILED';
    table.push([
      name,
      role,
      time,
      formatBytes(bytes.origin),
      formatBytes(bytes.peer),
      formatBytes(bytes.cache),
      role === 'root' ? '-' : sparedShare(bytes),
    ]);
  }
  const agents = report.nodes.filter((node) => node.role === 'agent').length;
  const lines = [table.toString(), ''];
  const ratio = report.imageBytes === 0 ? 0 : report.origin.bytes / report.imageBytes;
  const counted =
    `in ${report.origin.requests} requests, ` +
    `${notes.accessChecks === null ? 'as the nodes count them' : 'counted at the registry'}`;
  lines.push(
    `  The image is ${formatBytes(report.imageBytes)}. ${agents} ` +
      `${agents === 1 ? 'node' : 'nodes'} pulled it; the registry sent ` +
      `${formatBytes(report.origin.bytes)}, ${ratio.toFixed(3)} x the image (${counted}).`,
  );
  if (notes.accessChecks !== null)
    lines.push(`  Besides, ${notes.accessChecks} one-byte reads asked whether a client may read.`);
  lines.push(report.ok ? green('  Every digest is right.') : red('  Not every pull succeeded:'));
  for (const problem of notes.problems) lines.push(red(`    ${problem}`));
  return `${lines.join('\n')}\n`;
}

/** Share of what a node needed that did not come from the origin. */
function sparedShare({ origin, peer, cache }: NodeBytes): string {
  const all = origin + peer + cache;
  return all === 0 ? '-' : `${(((all - origin) / all) * 100).toFixed(1)} %`;
}
