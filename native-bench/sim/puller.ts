import { READ_AHEAD_FROM } from '../../lib/front/limits.ts';
import { READ_WINDOW_SHARDS } from '../../lib/limits.ts';
import { ReadWindow, type WindowLimits, windowLimits } from '../../lib/swarm/window.ts';
import type { FetchResult } from '../../lib/swarm/types.ts';
import type { Cluster } from './cluster.ts';
import type { SimNode } from './sim-node.ts';

export interface PullerOptions {
  windowShards: number;
  window: WindowLimits;
  /** Layers a runtime pulls at once (containerd: 3). */
  parallelLayers: number;
  /** The disk the image goes to; Infinity: none. */
  diskBytesPerMs: number;
  /** Times a byte passes the disk while it is pulled, and again when its layer is unpacked. */
  pullPasses: number;
  unpackPasses: number;
  /** Bytes that may wait for the disk before no more are asked for. */
  memoryBytes: number;
}

export const defaultPuller: PullerOptions = {
  windowShards: READ_WINDOW_SHARDS,
  window: windowLimits,
  parallelLayers: 3,
  diskBytesPerMs: Infinity,
  pullPasses: 2,
  unpackPasses: 2,
  memoryBytes: 256 * 1024 * 1024,
};

interface Layer {
  first: number;
  count: number;
  /** Shards before it have all come, counted within the layer. */
  position: number;
  underWay: number;
  left: number;
  /** Whether READ_AHEAD_FROM of its first shard is here: then the others are asked for. */
  isComing: boolean;
  window: ReadWindow;
}

/** What a shard is to its puller. */
const WANTED = 1;
const DONE = 2;

/** Pause before a client asks again for what it was refused. */
const RETRY_MS = 200;

/**
 * A container runtime on one node: pulls the layers, some at a time, each in order, and unpacks
 * them.
 */
export class Puller {
  readonly node: SimNode;
  startMs = 0;
  /** When everything was there, on disk and unpacked; NaN before. */
  finishedMs = Number.NaN;
  /** When the image's first shard was there; NaN before. */
  firstMs = Number.NaN;
  retries = 0;
  readonly #cluster: Cluster;
  readonly #options: PullerOptions;
  readonly #waiting: Layer[] = [];
  readonly #active: Layer[] = [];
  /** Of the shards on their way, those to be passed on: they take no place in the window. */
  readonly #early = new Set<number>();
  readonly #wanted: Uint8Array;
  #layersLeft: number;
  #diskFreeMs = 0;
  #paused = false;

  constructor(cluster: Cluster, node: SimNode, options: PullerOptions) {
    this.#cluster = cluster;
    this.node = node;
    this.#options = options;
    this.#wanted = new Uint8Array(cluster.shards.length);
    let first = 0;
    for (let layer = 0; layer < cluster.options.layers.length; layer++) {
      let count = 0;
      while (cluster.layerOf[first + count] === layer) count++;
      this.#waiting.push({
        first,
        count,
        position: 0,
        underWay: 0,
        left: count,
        isComing: false,
        window: new ReadWindow(true, options.windowShards, options.window),
      });
      first += count;
    }
    this.#layersLeft = this.#waiting.length;
    node.onShard = (index, result) => this.#came(index, result);
  }

  start(): void {
    this.startMs = this.#cluster.nowMs();
    while (this.#active.length < this.#options.parallelLayers && this.#waiting.length > 0)
      this.#active.push(this.#waiting.shift()!);
    this.#fill();
  }

  #fill(): void {
    const { diskBytesPerMs, memoryBytes } = this.#options;
    const nowMs = this.#cluster.nowMs();
    const backlogBytes =
      diskBytesPerMs === Infinity
        ? 0
        : ((this.#diskFreeMs - nowMs) * diskBytesPerMs) / this.#options.pullPasses;
    if (backlogBytes > memoryBytes) {
      if (this.#paused) return;
      this.#paused = true;
      this.#cluster.after(
        ((backlogBytes - memoryBytes * 0.75) * this.#options.pullPasses) / diskBytesPerMs,
        () => {
          this.#paused = false;
          this.#fill();
        },
      );
      return;
    }
    const isInner = this.node.swarm.innerShards();
    for (const layer of this.#active) {
      if (!layer.isComing && !this.node.swarm.readsAheadAtOnce) {
        if (this.#wanted[layer.first] === 0) this.#want(layer, layer.first);
        continue;
      }
      const wanted = layer.window.next(
        layer.count,
        layer.underWay,
        (index) => this.#wanted[layer.first + index] !== 0,
        1 / this.#active.length,
        (index) => isInner(layer.first + index),
        this.node.swarm.shardsTogether,
      );
      for (const index of wanted) this.#want(layer, layer.first + index);
    }
  }

  #want(layer: Layer, index: number): void {
    this.#wanted[index] = WANTED;
    if (this.node.swarm.innerShards()(index)) this.#early.add(index);
    else layer.underWay++;
    if (this.node.held[index] === 1) this.#cluster.after(0, () => this.#done(index));
    else this.#fetch(layer, index);
  }

  #fetch(layer: Layer, index: number): void {
    this.node.want(index);
    if (layer.isComing) return;
    const supply = this.node.placeOf(index)?.supply;
    if (supply === undefined) return;
    const look = (): void => {
      if (supply.received >= supply.quanta * READ_AHEAD_FROM) this.#comes(layer);
    };
    supply.came = look;
    look();
  }

  /** The others of the layer are asked for, too, but not amid what is happening now. */
  #comes(layer: Layer): void {
    if (layer.isComing) return;
    layer.isComing = true;
    this.#cluster.after(0, () => this.#fill());
  }

  #came(index: number, result: FetchResult): void {
    // A shard brought for others is nobody's here yet.
    if (this.#wanted[index] !== WANTED) return;
    if (result.kind === 'done') this.#done(index);
    else {
      this.retries++;
      this.#cluster.after(RETRY_MS, () => this.#fetch(this.#layerOf(index), index));
    }
  }

  #done(index: number): void {
    const layer = this.#layerOf(index);
    layer.isComing = true;
    this.#wanted[index] = DONE;
    if (index === 0) this.firstMs = this.#cluster.nowMs();
    if (!this.#early.delete(index)) layer.underWay--;
    layer.left--;
    this.#useDisk(this.#cluster.lengthBytes(index) * this.#options.pullPasses);
    while (layer.position < layer.count - 1 && this.#wanted[layer.first + layer.position] === DONE)
      layer.window.at(++layer.position);
    if (layer.left === 0) this.#layerDone(layer);
    this.#fill();
  }

  #layerOf(index: number): Layer {
    return this.#active.find(({ first, count }) => index >= first && index < first + count)!;
  }

  #layerDone(layer: Layer): void {
    this.#active.splice(this.#active.indexOf(layer), 1);
    const next = this.#waiting.shift();
    if (next !== undefined) this.#active.push(next);
    let bytes = 0;
    for (let index = layer.first; index < layer.first + layer.count; index++)
      bytes += this.#cluster.lengthBytes(index);
    this.#useDisk(bytes * this.#options.unpackPasses);
    if (--this.#layersLeft === 0)
      this.finishedMs = Math.max(this.#cluster.nowMs(), this.#diskFreeMs);
  }

  #useDisk(bytes: number): void {
    if (this.#options.diskBytesPerMs === Infinity) return;
    this.#diskFreeMs =
      Math.max(this.#diskFreeMs, this.#cluster.nowMs()) + bytes / this.#options.diskBytesPerMs;
  }
}
