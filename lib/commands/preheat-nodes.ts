import type { Clock } from '../clock.ts';
import type { BlobDescriptor } from '../demo/image.ts';
import { ShoalError } from '../errors.ts';
import {
  PREHEAT_FRUITLESS_MAX,
  PREHEAT_NODE_PATIENCE_MS,
  PREHEAT_NODES_AT_ONCE,
  PREHEAT_RETRY_MS_MAX,
  PREHEAT_RETRY_MS_MIN,
} from './limits.ts';
import { isPassing, pause } from './preheat-layer.ts';
import type { LayerBoard } from './preheat-progress.ts';
import type { NodeHolding, SwarmView } from './preheat-source.ts';

/** A node of the report. */
export interface NodeResult {
  node: string;
  zone: string | null;
  ok: boolean;
  seconds: number;
  /** Layers it has whole, of those of the image. */
  layers: number;
  problem: string | null;
}

/** The way to the nodes: through the one that is named. */
interface NodeSource {
  preheat(node: string, repository: string, digest: string): Promise<NodeHolding>;
}

/**
 * The agents among the swarm's nodes that `--nodes` names: all, or those of a zone. Throws USAGE
 * when there are none.
 */
export function chooseNodes(
  view: SwarmView,
  choice: string,
): { node: string; zone: string | null }[] {
  const agents = view.nodes.filter(({ role }) => role === 'agent');
  const chosen = choice === 'all' ? agents : agents.filter(({ zone }) => zone === choice);
  if (chosen.length > 0) return chosen.map(({ node, zone }) => ({ node, zone }));
  const zones = [...new Set(agents.flatMap(({ zone }) => (zone === null ? [] : [zone])))].sort();
  const known = zones.join(', ') || 'none are known (the nodes are not found through Kubernetes)';
  throw new ShoalError('USAGE', `--nodes ${choice}: no agent is there; zones: ${known}`);
}

/**
 * Has every node bring every blob to itself, many nodes at once, layer by layer in the same order:
 * so they get them from each other. Never throws.
 */
export async function spread(
  source: NodeSource,
  nodes: readonly { node: string; zone: string | null }[],
  repository: string,
  blobs: readonly BlobDescriptor[],
  clock: Clock,
  board: LayerBoard,
): Promise<NodeResult[]> {
  const waiting = [...nodes];
  const results: NodeResult[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      results.push(await bring(source, next, repository, blobs, clock, board));
  };
  await Promise.all(Array.from({ length: Math.min(PREHEAT_NODES_AT_ONCE, nodes.length) }, worker));
  return results.sort((one, other) => one.node.localeCompare(other.node));
}

async function bring(
  source: NodeSource,
  { node, zone }: { node: string; zone: string | null },
  repository: string,
  blobs: readonly BlobDescriptor[],
  clock: Clock,
  board: LayerBoard,
): Promise<NodeResult> {
  const startMs = clock.nowMs();
  const progress = board.node(
    node,
    blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0),
  );
  const result: NodeResult = { node, zone, ok: false, seconds: 0, layers: 0, problem: null };
  try {
    for (const blob of blobs) {
      await bringBlob(
        () => source.preheat(node, repository, blob.digest),
        blob,
        clock,
        (share) => progress.advance(share * blob.sizeBytes),
      );
      result.layers += 1;
    }
    result.ok = true;
  } catch (error) {
    result.problem = ShoalError.from(error).message;
  }
  result.seconds = (clock.nowMs() - startMs) / 1_000;
  progress.done(result.seconds, result.problem);
  return result;
}

/**
 * Asks until the node has the whole blob. Throws when it says no, does not answer so often in a
 * row, or gets no further for so long.
 */
async function bringBlob(
  ask: () => Promise<NodeHolding>,
  blob: BlobDescriptor,
  clock: Clock,
  advance: (share: number) => void,
): Promise<void> {
  let [held, fruitless] = [0, 0];
  let grownMs = clock.nowMs();
  for (;;) {
    const askedMs = clock.nowMs();
    let holding: NodeHolding | null = null;
    let failure: ShoalError | null = null;
    try {
      holding = await ask();
    } catch (error) {
      failure = ShoalError.from(error);
      fruitless += 1;
      if (!isPassing(failure) || fruitless >= PREHEAT_FRUITLESS_MAX) throw failure;
    }
    if (holding !== null) {
      fruitless = 0;
      if (holding.held > held) {
        advance((holding.held - held) / holding.shards);
        held = holding.held;
        grownMs = clock.nowMs();
      }
      if (holding.held >= holding.shards) return;
      if (clock.nowMs() - grownMs > PREHEAT_NODE_PATIENCE_MS) {
        throw new ShoalError(
          'PEER_TIMEOUT',
          `has ${holding.held} of ${holding.shards} shards of ${blob.digest}, and no ` +
            `more for ${PREHEAT_NODE_PATIENCE_MS / 1_000} s: ` +
            `${holding.error?.message ?? 'its cache may be too small'}`,
        );
      }
    }
    // An answer that comes at once although all is not there says that the node can do nothing now.
    const isIdle = holding === null || holding.error !== null || clock.nowMs() - askedMs < 1;
    if (isIdle)
      await pause(clock, Math.min(PREHEAT_RETRY_MS_MAX, PREHEAT_RETRY_MS_MIN * 2 ** fruitless));
  }
}
