import { SHARD_BYTES, STATUS_TREE_EDGES_MAX } from '../../limits.ts';
import type { Swarm } from '../../swarm/swarm.ts';
import type { PeerStandings } from './standings.ts';
import type { BlobTree, PeerInput } from '../../telemetry/status.ts';

/** What status pages and metrics show of the swarm. */
export class SwarmView {
  readonly #core: Swarm;
  readonly #self: string;
  readonly #standings: PeerStandings;

  constructor(core: Swarm, self: string, standings: PeerStandings) {
    this.#core = core;
    this.#self = self;
    this.#standings = standings;
  }

  peers(): PeerInput[] {
    return this.#core.snapshot().peers.map(({ node, role, zone, condition }) => ({
      node,
      role,
      zone,
      state: this.#standings.stateOf(node, condition),
    }));
  }

  treeSummary(): { tracked: number; depthMax: number; blobs: string[] } {
    const { trees, depthMax } = this.#core.snapshot();
    return { tracked: trees, depthMax, blobs: this.#core.trackedBlobs().reverse() };
  }

  /** See StatusInputs. */
  get lineBytesPerSecond(): number | null {
    const { lineMs } = this.#core.snapshot();
    return lineMs === null ? null : Math.round((SHARD_BYTES * 1000) / lineMs);
  }

  tree(blob: string): BlobTree | undefined {
    const edges = this.#core.trees(blob, STATUS_TREE_EDGES_MAX);
    if (edges.length === 0) return undefined;
    const shards = new Map<number, BlobTree['shards'][number]>();
    for (const { shard, node, parent, complete } of edges) {
      let tree = shards.get(shard);
      if (tree === undefined) shards.set(shard, (tree = { index: shard, edges: [] }));
      tree.edges.push({
        parent: parent ?? this.#self,
        child: node,
        state: complete ? 'complete' : 'receiving',
      });
    }
    return { blob, shards: [...shards.values()] };
  }
}
