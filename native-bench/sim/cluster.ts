import { SHARD_BYTES } from '../../lib/limits.ts';
import { Membership } from '../../lib/swarm/rank.ts';
import type { TreeShape } from '../../lib/swarm/shape.ts';
import type { Member, NodeId, ShardId, SwarmEvent } from '../../lib/swarm/types.ts';
import { EventQueue } from './event-queue.ts';
import { type Flow, Network, Station, Supply } from './network.ts';
import { Origin, type OriginFaults } from './origin.ts';
import { Random } from './random.ts';
import { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export interface ClusterOptions {
  nodes: number;
  roots: number;
  zones: number;
  /** Bytes of each layer. */
  layers: number[];
  /** Unit of transfer in the core's place of a shard; a coarser one is faster to simulate. */
  shardBytes: number;
  /** Parts a shard is sent in. */
  quanta: number;
  linkBytesPerMs: number;
  originBytesPerMs: number;
  originFirstByteMs: number;
  originFaults: OriginFaults;
  delayMs: number;
  cores: number;
  tickMs: number;
  /** Fixed for an experiment; else as the core chooses. */
  shape: TreeShape | undefined;
  seed: number;
}

/**
 * CPU per byte and message, measured: receiving into the arena with checksum, sending from it, one
 * message (docs/SWARM.md).
 */
export const RECEIVE_CPU_MS_PER_BYTE = 0.6 / 1e6;
export const SEND_CPU_MS_PER_BYTE = 0.4 / 1e6;
export const MESSAGE_CPU_MS = 0.06;

export const defaultCluster: Omit<
  ClusterOptions,
  'nodes' | 'layers' | 'linkBytesPerMs' | 'originBytesPerMs'
> = {
  roots: 3,
  zones: 1,
  shardBytes: SHARD_BYTES,
  quanta: 8,
  originFirstByteMs: 10,
  originFaults: { unavailable: 0, retryAfterSeconds: null, breaksOff: 0 },
  delayMs: 0.25,
  cores: 4,
  tickMs: 25,
  shape: undefined,
  seed: 1,
};

/** What failed requests come to, and after how long. */
const FAILURES = {
  dead: { code: 'PEER_UNREACHABLE', afterMs: 0 },
  unplugged: { code: 'PEER_UNREACHABLE', afterMs: 500 },
  frozen: { code: 'PEER_TIMEOUT', afterMs: 2000 },
} as const;

/** The machines, the network between them, and the image they want. */
export class Cluster implements World<SimNode> {
  readonly options: ClusterOptions;
  readonly queue = new EventQueue();
  readonly network: Network;
  readonly origin: Origin;
  readonly agents: SimNode[] = [];
  readonly roots: SimNode[] = [];
  /** The image's shards; one blob's indices run through all layers. */
  readonly shards: ShardId[] = [];
  readonly layerOf: number[] = [];
  readonly imageBytes: number;
  readonly random: Random;
  readonly stats = { asks: 0, stats: 0, events: new Map<SwarmEvent, number>() };
  readonly #lengths: number[] = [];
  readonly #whole: Supply[] = [];
  readonly #byName = new Map<NodeId, SimNode>();

  constructor(options: ClusterOptions) {
    this.options = options;
    this.random = new Random(options.seed);
    options.layers.forEach((layerBytes, layer) => {
      for (let at = 0; at < layerBytes; at += options.shardBytes) {
        this.shards.push({ key: `sha256:${'0'.repeat(64)}`, index: this.shards.length });
        this.layerOf.push(layer);
        this.#lengths.push(Math.min(options.shardBytes, layerBytes - at));
      }
    });
    this.imageBytes = options.layers.reduce((sum, bytes) => sum + bytes, 0);
    for (const length of this.#lengths) this.#whole.push(new Supply(length, options.quanta, true));
    this.network = new Network(this.queue, {
      delayMs: options.delayMs,
      sendCpuMsPerByte: SEND_CPU_MS_PER_BYTE,
      receiveCpuMsPerByte: RECEIVE_CPU_MS_PER_BYTE,
      messageCpuMs: MESSAGE_CPU_MS,
      cores: options.cores,
    });
    this.origin = new Origin(this.queue, this.network, {
      bytesPerMs: options.originBytesPerMs,
      firstByteMs: options.originFirstByteMs,
      shards: this.shards.length,
      supply: (index) => this.#whole[index]!,
      random: new Random(options.seed ^ 0x5bd1_e995).next,
      faults: options.originFaults,
    });
    const members: Member[] = [];
    for (let at = 0; at < options.nodes; at++)
      members.push({
        node: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}:65002`,
        role: 'agent',
        zone: options.zones > 1 ? `zone-${at % options.zones}` : null,
      });
    for (let at = 0; at < options.roots; at++)
      members.push({
        node: `10.255.0.${at}:65002`,
        role: 'root',
        zone: options.zones > 1 ? `zone-${at % options.zones}` : null,
      });
    const membership = new Membership(members);
    for (const member of members) {
      const node = new SimNode(
        this,
        member,
        new Station(member.node, options.linkBytesPerMs, options.linkBytesPerMs),
        this.random.below(2 ** 31),
        options.shape,
      );
      node.swarm.setMembers(membership);
      this.#byName.set(member.node, node);
      (member.role === 'root' ? this.roots : this.agents).push(node);
    }
  }

  get delayMs(): number {
    return this.options.delayMs;
  }

  get tickMs(): number {
    return this.options.tickMs;
  }

  readonly nowMs = (): number => this.queue.nowMs;

  readonly observe = (event: SwarmEvent): void =>
    void this.stats.events.set(event, (this.stats.events.get(event) ?? 0) + 1);

  node(name: NodeId): SimNode {
    const node = this.#byName.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  lengthBytes(index: number): number {
    return this.#lengths[index]!;
  }

  totalBytes(_shard: ShardId): number {
    return this.imageBytes;
  }

  /** A shard's bytes: an empty place for them, or the one that stands for all whole copies. */
  supply(index: number, whole: boolean): Supply {
    return whole
      ? this.#whole[index]!
      : new Supply(this.#lengths[index]!, this.options.quanta, false);
  }

  after(ms: number, happening: () => void): void {
    this.queue.at(this.queue.nowMs + ms, happening, undefined);
  }

  /** A request from one node to another and the answer back, or the way it fails. */
  exchange<T>(
    from: SimNode,
    to: SimNode,
    ask: (answer: (value: T) => void) => void,
    failed: (code: 'PEER_UNREACHABLE' | 'PEER_TIMEOUT') => void,
    answered: (value: T) => void,
  ): void {
    const isCut = from.island !== to.island;
    const fail = (): void => {
      const { code, afterMs } =
        FAILURES[isCut ? 'unplugged' : (to.condition as keyof typeof FAILURES)];
      this.after(afterMs + 2 * this.delayMs, () => failed(code));
    };
    if (isCut || to.condition !== 'well') {
      fail();
      return;
    }
    this.network.message(from.station, to.station, () => {
      if (to.condition !== 'well') fail();
      else ask((value) => this.network.message(to.station, from.station, () => answered(value)));
    });
  }

  /** The sender of a flow has died: its receiver sees the connection break. */
  breakOff(flow: Flow): void {
    this.network.end(flow);
    this.#byName.get(flow.to.name)?.brokenOff(flow);
  }
}
