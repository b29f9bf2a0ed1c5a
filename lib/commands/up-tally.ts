import { readNodeBytes, readOriginRequests, type SourceBytes } from '../demo/node-counters.ts';
import type { NodeProcess } from '../demo/node-process.ts';
import type { PullOutcome } from '../demo/pull.ts';
import type { DemoRegistry } from '../demo/registry.ts';
import { ShoalError } from '../errors.ts';
import type { ReportNotes, UpReport } from './up-report.ts';

interface NodeTally {
  had: SourceBytes;
  sent: SourceBytes;
  originRequests: number;
  problems: string[];
}

/**
 * What the pulls came to, from the nodes' own counters and, when it is ours, the registry's. A node
 * whose counters cannot be read is a problem, and counts as if it had had nothing.
 */
export async function tally(
  nodes: readonly NodeProcess[],
  outcomes: ReadonlyMap<NodeProcess, PullOutcome>,
  imageBytes: number,
  embedded: DemoRegistry | null,
): Promise<{ report: UpReport; notes: ReportNotes }> {
  const tallies = await Promise.all(nodes.map((node) => readTally(node)));
  const problems = nodes.flatMap((node, index) => {
    const found = [...(outcomes.get(node)?.problems ?? []), ...tallies[index]!.problems];
    return found.map((problem) => `${node.name}: ${problem}`);
  });
  const rows = nodes.map((node, index) => {
    const outcome = outcomes.get(node);
    return {
      name: node.name,
      role: node.role,
      seconds: outcome?.seconds ?? 0,
      // Nobody pulls through the root: what it had is what it fetched for the others.
      bytes: node.role === 'root' ? tallies[index]!.had : tallies[index]!.sent,
      digestsOk: outcome?.digestsOk ?? true,
    };
  });
  const sum = (of: (tally: NodeTally) => number): number =>
    tallies.reduce((total, one) => total + of(one), 0);
  const traffic = embedded?.traffic;
  const origin =
    traffic === undefined
      ? { bytes: sum((one) => one.had.origin), requests: sum((one) => one.originRequests) }
      : { bytes: traffic.blobs.bytes, requests: traffic.blobs.requests };
  return {
    report: { ok: problems.length === 0, imageBytes, nodes: rows, origin },
    notes: { accessChecks: traffic?.accessChecks.requests ?? null, direct: null, problems },
  };
}

async function readTally(node: NodeProcess): Promise<NodeTally> {
  try {
    const exporter = node.addresses.exporter ?? '';
    return {
      ...(await readNodeBytes(exporter)),
      originRequests: await readOriginRequests(exporter),
      problems: [],
    };
  } catch (error) {
    return {
      had: { origin: 0, peer: 0, cache: 0 },
      sent: { origin: 0, peer: 0, cache: 0 },
      originRequests: 0,
      problems: [`its counters cannot be read: ${ShoalError.from(error).message}`],
    };
  }
}
