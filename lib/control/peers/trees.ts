import type { Swarm } from '../../swarm/swarm.ts';
import type { TreeEdge } from '../../telemetry/status.ts';
import { parseEdges, treePath } from '../../wire/tree.ts';
import type { PeerCalls } from './calls.ts';
import { TREE_BYTES_MAX, TREE_CALL_MS } from './limits.ts';
import { TREE_EDGES_MAX } from '../../wire/limits.ts';

/** The tree of one shard over the whole swarm: each of its owners keeps a part. */
export class ShardTrees {
  readonly #core: Swarm;
  readonly #self: string;
  readonly #call: PeerCalls['call'];

  constructor(core: Swarm, self: string, call: PeerCalls['call']) {
    this.#core = core;
    this.#self = self;
    this.#call = call;
  }

  /** The part that this node keeps. */
  own(key: string, shard: number): TreeEdge[] {
    return this.#core
      .tree({ key, index: shard }, TREE_EDGES_MAX)
      .map(({ node, parent, complete }) => ({
        parent: parent ?? this.#self,
        child: node,
        state: complete ? 'complete' : 'receiving',
      }));
  }

  /** All of it. Resolves always; parts of owners that do not answer are missing. */
  async whole(key: string, index: number): Promise<TreeEdge[]> {
    const { membership } = this.#core;
    const asked = new Set([
      ...membership.owning({ key, index }),
      // A blob that its registry serves only as a whole has one owner for all shards.
      ...membership.owning({ key, index, rankedAs: 0 }),
    ]);
    const parts = [...asked].map(async (node) => {
      if (node === this.#self) return this.own(key, index);
      const answer = await this.#call(node, treePath(key, index), {
        deadlineMs: TREE_CALL_MS,
        answerBytesMax: TREE_BYTES_MAX,
      });
      return answer.kind === 'answer' && answer.status === 200
        ? parseEdges(new TextDecoder().decode(answer.body))
        : [];
    });
    return (await Promise.all(parts)).flat();
  }
}
