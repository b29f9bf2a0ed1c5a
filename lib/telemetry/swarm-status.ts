import type { HistoryPoint } from './history.ts';
import { SILENT_AFTER_MS, SLOW_SHARE } from './limits.ts';
import type { AgedSummary, NodeSummary } from './node-summary.ts';

/**
 * How a node is, the worst first. `failing`: not ready, or wrong bytes or a strange secret were
 * seen; `silent`: nothing heard for SILENT_AFTER_MS; `unheard`: a member that has told nothing yet.
 */
export const nodeStates = ['failing', 'silent', 'slow', 'pulling', 'ready', 'unheard'] as const;
export type NodeState = (typeof nodeStates)[number];

export interface SwarmNode {
  node: string;
  role: 'agent' | 'root';
  zone: string | null;
  state: NodeState;
  /** Why it is failing, silent or slow; '' otherwise. */
  reason: string;
  /** Of the image it pulls or pulled last: 0 to 1; null: no image, or its size is not known. */
  progress: number | null;
  /** null: nothing was heard of it. */
  summary: Omit<NodeSummary, 'node' | 'role' | 'images' | 'blobs' | 'troubled'> | null;
  lastSeenMs: number | null;
  /** Its part of each image, by the image's place in SwarmStatus.images. */
  images: { image: number; share: number | null; running: boolean; failed: boolean }[];
}

interface SwarmImage {
  image: string;
  digest: string | null;
  sizeBytes: number | null;
  /** Nodes that have pulled it, pull it now, and failed to. */
  have: number;
  pulling: number;
  failed: number;
}

/** The answer to GET /swarm/status. */
export interface SwarmStatus {
  /** The node that was asked, and the one that keeps the summaries (null: none answers). */
  self: string;
  head: string | null;
  atMs: number;
  /** What clients got and the registry did not send; 0 while a pull begins. */
  savedBytes: number;
  bytes: NodeSummary['bytes'];
  rates: NodeSummary['rates'];
  /** Median rate to clients of the nodes that pull; 0 when none does. */
  medianRate: number;
  /** Nodes by state. */
  states: Record<NodeState, number>;
  nodes: SwarmNode[];
  images: SwarmImage[];
  /** Blobs whose trees can be asked for. */
  blobs: { blob: string; totalBytes: number | null }[];
  history: HistoryPoint[];
}

interface SwarmInputs {
  self: string;
  atMs: number;
  members: readonly { node: string; role: 'agent' | 'root'; zone: string | null }[];
  rows: readonly AgedSummary[];
  history: readonly HistoryPoint[];
  head: string | null;
}

const SOURCES = ['origin', 'peer', 'cache', 'client', 'upload'] as const;

export function buildSwarmStatus(inputs: SwarmInputs): SwarmStatus {
  const rows = new Map(inputs.rows.map((row) => [row.node, row]));
  const heard = inputs.members.flatMap(({ node }) => rows.get(node) ?? []);
  const images = listImages(heard);
  const index = new Map([...images.keys()].map((key, at) => [key, at]));
  const pulling = heard.filter((row) => isPulling(row));
  const medianRate = median(pulling.map(({ rates }) => rates.client));
  const complaints = complaintsOf(heard);
  const nodes = inputs.members.map(({ node, role, zone }): SwarmNode => {
    const row = rows.get(node);
    if (row === undefined)
      return {
        ...{ node, role, zone, state: 'unheard', reason: '', progress: null },
        ...{ summary: null, lastSeenMs: null, images: [] },
      };
    const own = row.images.map((image) => ({
      image: index.get(imageKey(image))!,
      share: shareOf(image, images.get(imageKey(image))!.sizeBytes),
      running: image.running,
      failed: image.failed,
    }));
    const { images: _images, blobs: _blobs, troubled: _troubled, ageMs, ...summary } = row;
    const [state, reason] = judge(row, medianRate, complaints.get(node) ?? []);
    const [current] = own;
    return {
      ...{ node, role, zone, state, reason, summary, images: own },
      progress: current?.share ?? null,
      lastSeenMs: Math.round(inputs.atMs - ageMs),
    };
  });
  const sum = (of: (row: AgedSummary) => NodeSummary['bytes']): NodeSummary['bytes'] =>
    Object.fromEntries(
      SOURCES.map((source) => [source, heard.reduce((total, row) => total + of(row)[source], 0)]),
    ) as NodeSummary['bytes'];
  const bytes = sum((row) => row.bytes);
  const blobs = new Map(heard.flatMap((row) => row.blobs).map((entry) => [entry.blob, entry]));
  return {
    self: inputs.self,
    head: inputs.head,
    atMs: inputs.atMs,
    savedBytes: Math.max(0, bytes.client - bytes.origin),
    bytes,
    rates: sum((row) => row.rates),
    medianRate,
    states: Object.fromEntries(
      nodeStates.map((state) => [state, nodes.filter((node) => node.state === state).length]),
    ) as Record<NodeState, number>,
    nodes,
    images: [...images.values()],
    blobs: [...blobs.values()].slice(0, BLOBS_MAX),
    history: [...inputs.history],
  };
}

/** Blobs offered for the picture of a tree. */
const BLOBS_MAX = 100;

function isPulling({ images, ageMs }: AgedSummary): boolean {
  return ageMs < SILENT_AFTER_MS && images.some(({ running }) => running);
}

function imageKey({ image, digest }: { image: string; digest: string | null }): string {
  return `${image} ${digest ?? ''}`;
}

/** The images that nodes name, those with the most nodes first. */
function listImages(rows: readonly AgedSummary[]): Map<string, SwarmImage> {
  const images = new Map<string, SwarmImage>();
  for (const row of rows)
    for (const one of row.images) {
      const key = imageKey(one);
      let image = images.get(key);
      if (image === undefined) {
        const { image: name, digest } = one;
        image = { image: name, digest, sizeBytes: null, have: 0, pulling: 0, failed: 0 };
        images.set(key, image);
      }
      image.sizeBytes ??= one.sizeBytes;
      if (one.running) image.pulling += 1;
      else if (one.failed) image.failed += 1;
      else image.have += 1;
    }
  const nodesOf = ({ have, pulling, failed }: SwarmImage): number => have + pulling + failed;
  return new Map([...images].sort(([, a], [, b]) => nodesOf(b) - nodesOf(a)));
}

/** A pull that ended well has all, whatever its size. */
function shareOf(
  { bytes, running, failed }: NodeSummary['images'][number],
  sizeBytes: number | null,
): number | null {
  if (!running && !failed) return 1;
  return sizeBytes === null || sizeBytes === 0 ? null : Math.min(1, bytes / sizeBytes);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** What other nodes have against each node. */
function complaintsOf(rows: readonly AgedSummary[]): Map<string, { by: string; state: string }[]> {
  const complaints = new Map<string, { by: string; state: string }[]>();
  for (const row of rows)
    for (const { node, state } of row.troubled) {
      const of = complaints.get(node) ?? [];
      of.push({ by: row.node, state });
      complaints.set(node, of);
    }
  return complaints;
}

function judge(
  row: AgedSummary,
  medianRate: number,
  complaints: readonly { by: string; state: string }[],
): [NodeState, string] {
  const by = (...states: string[]): string[] =>
    complaints.filter(({ state }) => states.includes(state)).map((one) => one.by);
  const named = (nodes: string[]): string =>
    nodes.length === 1 ? nodes[0]! : `${nodes.length} nodes`;
  if (row.ageMs >= SILENT_AFTER_MS)
    return ['silent', `nothing heard for ${Math.round(row.ageMs / 1000)} s`];
  if (row.notReady.length > 0) return ['failing', `not ready: ${row.notReady.join(', ')}`];
  if (row.cache.suspended) return ['failing', 'its cache disk cannot be used'];
  const rejected = by('quarantined', 'unauthorized');
  if (rejected.length > 0)
    return ['failing', `quarantined, or refusing requests, as ${named(rejected)} found`];
  const avoided = by('slow', 'cooling');
  if (avoided.length > 0) return ['slow', `slow or not answering, as ${named(avoided)} found`];
  if (!isPulling(row)) return ['ready', ''];
  // Of two nodes neither is the slow one.
  return row.rates.client < medianRate * SLOW_SHARE
    ? ['slow', `${Math.round((row.rates.client / medianRate) * 100)} % of the median rate`]
    : ['pulling', ''];
}
