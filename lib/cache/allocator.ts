import { CACHE_CELL_BYTES_MIN } from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';

/** A piece of the slab: a power of two of pages up to a slot, aligned to its own length. */
export interface Extent {
  offsetBytes: number;
  lengthBytes: number;
}

/** Cells of the smallest size in a slot, and the orders above them: 2^0 cells ... a whole slot. */
const CELLS_PER_SLOT = SHARD_BYTES / CACHE_CELL_BYTES_MIN;
const ORDER_MAX = Math.log2(CELLS_PER_SLOT);

/**
 * A slot cut into cells, as a buddy tree (Knuth, TAOCP vol. 1, 2.5): node 1 is the slot, nodes 2n
 * and 2n+1 the halves of node n. `room[n]` is one more than the largest free order under n, 0 when
 * there is none.
 */
interface SharedSlot {
  room: Uint8Array;
  usedBytes: number;
}

/** What a shard of `lengthBytes` takes in the slab. */
export function extentLength(lengthBytes: number): number {
  return Math.max(CACHE_CELL_BYTES_MIN, 2 ** Math.ceil(Math.log2(lengthBytes)));
}

function orderOf(extentBytes: number): number {
  return Math.log2(extentBytes / CACHE_CELL_BYTES_MIN);
}

/** The order of the nodes on the level of `node`. */
function levelOrder(node: number): number {
  return ORDER_MAX - (31 - Math.clz32(node));
}

/** Divides a slab of `slotCount` slots; no extent passes its end. Pure bookkeeping. */
export class SlabAllocator {
  readonly slotCount: number;
  #usedBytes = 0;
  /** 1: handed out whole or shared. */
  readonly #taken: Uint8Array;
  /** Free slots, the next one last; made at the first allocation, after the claims of recovery. */
  #free: number[] | null = null;
  readonly #shared = new Map<number, SharedSlot>();
  /** Shared slots by the room at their root, so that a cell is cut from the tightest fit. */
  readonly #byRoom: Set<number>[] = Array.from({ length: ORDER_MAX + 2 }, () => new Set<number>());

  constructor(slotCount: number) {
    this.slotCount = slotCount;
    this.#taken = new Uint8Array(slotCount);
  }

  /** Bytes handed out, whole extents. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * An extent for a shard of `lengthBytes` (1 to SHARD_BYTES); undefined when there is no room for
   * it.
   */
  allocate(lengthBytes: number): Extent | undefined {
    const extentBytes = extentLength(lengthBytes);
    const order = orderOf(extentBytes);
    const shared = order === ORDER_MAX ? undefined : this.#tightest(order);
    const slot = shared ?? this.#takeSlot();
    if (slot === undefined) return undefined;
    this.#usedBytes += extentBytes;
    if (order === ORDER_MAX) return { offsetBytes: slot * SHARD_BYTES, lengthBytes: extentBytes };
    const { room } = this.#shared.get(slot) ?? this.#share(slot);
    let node = 1;
    while (levelOrder(node) > order) {
      const left = room[2 * node]!;
      const right = room[2 * node + 1]!;
      node = 2 * node + (left > order && (right <= order || left <= right) ? 0 : 1);
    }
    const cell = (node << order) - CELLS_PER_SLOT;
    this.#setRoom(slot, node, 0, extentBytes);
    return {
      offsetBytes: slot * SHARD_BYTES + cell * CACHE_CELL_BYTES_MIN,
      lengthBytes: extentBytes,
    };
  }

  /**
   * Takes a given extent, at recovery, before the first `allocate`; false when it is out of the
   * slab, askew or taken.
   */
  claim(extent: Extent): boolean {
    if (this.#free !== null) throw new Error('claims come before allocations');
    const order = orderOf(extent.lengthBytes);
    if (
      !Number.isInteger(order) ||
      order < 0 ||
      order > ORDER_MAX ||
      extent.offsetBytes % extent.lengthBytes !== 0
    )
      return false;
    const slot = Math.floor(extent.offsetBytes / SHARD_BYTES);
    if (!(slot >= 0 && slot < this.slotCount)) return false;
    if (order === ORDER_MAX) {
      if (this.#taken[slot] === 1) return false;
      this.#taken[slot] = 1;
      this.#usedBytes += extent.lengthBytes;
      return true;
    }
    if (this.#taken[slot] === 1 && !this.#shared.has(slot)) return false;
    const { room } = this.#shared.get(slot) ?? this.#share(slot);
    const node = this.#nodeOf(extent, order);
    // An ancestor that was handed out whole has no room left, while the nodes below it still show
    // theirs.
    for (let up = node; up > 0; up >>= 1) if (room[up] === 0) return false;
    if (room[node] !== order + 1) return false;
    this.#setRoom(slot, node, 0, extent.lengthBytes);
    this.#usedBytes += extent.lengthBytes;
    return true;
  }

  /** Gives an extent back; it must be one that was handed out. */
  release(extent: Extent): void {
    const slot = Math.floor(extent.offsetBytes / SHARD_BYTES);
    const order = orderOf(extent.lengthBytes);
    this.#usedBytes -= extent.lengthBytes;
    if (order === ORDER_MAX) return this.#giveSlot(slot);
    this.#setRoom(slot, this.#nodeOf(extent, order), order + 1, -extent.lengthBytes);
    if (this.#shared.get(slot)!.usedBytes > 0) return;
    this.#byRoom[ORDER_MAX + 1]!.delete(slot);
    this.#shared.delete(slot);
    this.#giveSlot(slot);
  }

  /** Shared slots, the one with the fewest bytes in use first. */
  sharedSlots(): number[] {
    return [...this.#shared].sort((a, b) => a[1].usedBytes - b[1].usedBytes).map(([slot]) => slot);
  }

  #tightest(order: number): number | undefined {
    for (let room = order + 1; room <= ORDER_MAX; room++) {
      for (const slot of this.#byRoom[room]!) return slot;
    }
    return undefined;
  }

  #takeSlot(): number | undefined {
    if (this.#free === null) {
      this.#free = [];
      // Last first, so that slots are handed out in the order of the file and a first fill writes
      // in sequence.
      for (let slot = this.slotCount - 1; slot >= 0; slot--)
        if (this.#taken[slot] === 0) this.#free.push(slot);
    }
    const slot = this.#free.pop();
    if (slot !== undefined) this.#taken[slot] = 1;
    return slot;
  }

  #giveSlot(slot: number): void {
    this.#taken[slot] = 0;
    this.#free?.push(slot);
  }

  #share(slot: number): SharedSlot {
    this.#taken[slot] = 1;
    const room = new Uint8Array(2 * CELLS_PER_SLOT);
    for (let node = 1; node < room.length; node++) room[node] = levelOrder(node) + 1;
    const shared = { room, usedBytes: 0 };
    this.#shared.set(slot, shared);
    this.#byRoom[ORDER_MAX + 1]!.add(slot);
    return shared;
  }

  #nodeOf(extent: Extent, order: number): number {
    const cell = (extent.offsetBytes % SHARD_BYTES) / CACHE_CELL_BYTES_MIN;
    return (CELLS_PER_SLOT + cell) >> order;
  }

  #setRoom(slot: number, node: number, value: number, usedBytes: number): void {
    const shared = this.#shared.get(slot)!;
    const { room } = shared;
    const before = room[1]!;
    room[node] = value;
    for (let up = node >> 1; up > 0; up >>= 1) {
      const left = room[2 * up]!;
      const right = room[2 * up + 1]!;
      const half = levelOrder(up);
      room[up] = left === half && right === half ? half + 1 : Math.max(left, right);
    }
    shared.usedBytes += usedBytes;
    this.#byRoom[before]!.delete(slot);
    this.#byRoom[room[1]!]!.add(slot);
  }
}
