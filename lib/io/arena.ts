import { SHARD_BYTES } from '../limits.ts';
import { sharedMemory } from './shared-memory.ts';

/** States of a slot (STATE word). */
export const SlotState = { free: 0, filling: 1, complete: 2, failed: 3 } as const;
export type SlotState = (typeof SlotState)[keyof typeof SlotState];

/** One row of Int32 words per slot. 128 bytes, so that two slots never share a cache line. */
const WORDS_PER_SLOT = 32;
const PINS = 0;
const GENERATION = 1;
const STATE = 2;
const RECEIVED = 3;
const RELEASED = 4;
const LENGTH = 5;
const CANCEL = 6;
const USED = 7;
/** A float64, since a blob's size exceeds 2^31; 8-byte aligned in words 8 and 9. */
const TOTAL = 8;
const SOURCE = 10;
/**
 * Bytes [AHEAD_FROM, AHEAD_TO) arrived, vouched for, before the bytes below them: a slice that a
 * client waits for.
 */
const AHEAD_FROM = 11;
const AHEAD_TO = 12;
/** Whether all received bytes came from an owner or a root. */
const OWNED = 13;
/** One bit per page (SLOT_PAGES): clients have read it since the slot was filled. */
const CLAIMED = 14;

/** Pages of a slot for which first reads are tracked: the bits of a word. */
export const SLOT_PAGES = 32;

/** Source of a slot's bytes (SOURCE word). */
export const SlotSource = { disk: 0, peer: 1, origin: 2, runtime: 3 } as const;
export type SlotSource = (typeof SlotSource)[keyof typeof SlotSource];

const LOCKED = -0x8000_0000;
const WASM_PAGE_BYTES = 65_536;
/** Maximum of WebAssembly.Memory. */
const ARENA_BYTES_MAX = 4 * 1024 * 1024 * 1024;

/** What another thread needs to attach to the arena. */
export interface ArenaShared {
  memory: WebAssembly.Memory;
  words: SharedArrayBuffer;
}

/**
 * Shared memory: 2 MiB slots, each with a row of state words. Only control locks, begins and frees
 * slots. Only the task that fills a slot advances its watermarks. Any thread may pin and read.
 */
export class Arena {
  readonly shared: ArenaShared;
  readonly slotCount: number;
  readonly #buffer: ArrayBufferLike;
  readonly #words: Int32Array;
  readonly #totals: Float64Array;

  constructor(shared: ArenaShared) {
    this.shared = shared;
    this.#buffer = shared.memory.buffer;
    this.#words = new Int32Array(shared.words);
    this.#totals = new Float64Array(shared.words);
    this.slotCount = this.#words.length / WORDS_PER_SLOT;
  }

  /** Creates an arena of `bytes`, rounded down to whole slots, at least one. */
  static create(bytes: number): Arena {
    const slotCount = Math.max(1, Math.floor(Math.min(bytes, ARENA_BYTES_MAX) / SHARD_BYTES));
    const pages = (slotCount * SHARD_BYTES) / WASM_PAGE_BYTES;
    const memory = sharedMemory(pages, `the ${bytes} bytes of CacheConfig.memory`);
    return new Arena({ memory, words: new SharedArrayBuffer(slotCount * WORDS_PER_SLOT * 4) });
  }

  /** The bytes [from, to) of a slot, in place. */
  bytes(slot: number, fromBytes = 0, toBytes = SHARD_BYTES): Uint8Array {
    return new Uint8Array(this.#buffer, slot * SHARD_BYTES + fromBytes, toBytes - fromBytes);
  }

  // --- readers ---

  /** Pins a slot if it still has `generation`. A pinned slot is neither evicted nor reused. */
  tryPin(slot: number, generation: number): boolean {
    const at = slot * WORDS_PER_SLOT;
    for (;;) {
      const pins = Atomics.load(this.#words, at + PINS);
      if (pins < 0) return false;
      if (Atomics.compareExchange(this.#words, at + PINS, pins, pins + 1) !== pins) continue;
      if (Atomics.load(this.#words, at + GENERATION) === generation) return true;
      Atomics.sub(this.#words, at + PINS, 1);
      return false;
    }
  }

  unpin(slot: number): void {
    Atomics.sub(this.#words, slot * WORDS_PER_SLOT + PINS, 1);
  }

  generation(slot: number): number {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + GENERATION);
  }

  state(slot: number): SlotState {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + STATE) as SlotState;
  }

  /** Bytes received. Another node that checks them itself may be sent these. */
  received(slot: number): number {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + RECEIVED);
  }

  /**
   * Bytes that may be sent to a node that asks this one as owner or root, and so takes them as
   * vouched for.
   */
  owned(slot: number): number {
    const at = slot * WORDS_PER_SLOT;
    return Atomics.load(this.#words, at + OWNED) === 1
      ? Atomics.load(this.#words, at + RECEIVED)
      : Atomics.load(this.#words, at + RELEASED);
  }

  /** Bytes that are vouched for. A client may be sent these. */
  released(slot: number): number {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + RELEASED);
  }

  /**
   * Byte up to which a client at `fromBytes` may be sent: vouched for without a gap from there on.
   * `fromBytes` or less if there is nothing.
   */
  sendableTo(slot: number, fromBytes: number): number {
    const at = slot * WORDS_PER_SLOT;
    const released = Atomics.load(this.#words, at + RELEASED);
    if (released > fromBytes) return released;
    // The end is read before the start, and written after it.
    const aheadTo = Atomics.load(this.#words, at + AHEAD_TO);
    return aheadTo > fromBytes && Atomics.load(this.#words, at + AHEAD_FROM) <= fromBytes
      ? aheadTo
      : released;
  }

  /** The shard's length, or -1 while it is unknown. Once it is known, `total` is too. */
  length(slot: number): number {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + LENGTH);
  }

  /** The blob's size. Valid once `length` is not -1. */
  total(slot: number): number {
    return this.#totals[(slot * WORDS_PER_SLOT + TOTAL) / 2]!;
  }

  /** Marks the slot as used, so that eviction spares it once more. */
  markUsed(slot: number): void {
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + USED, 1);
  }

  /** Claims pages for a first read. Returns the pages that were not claimed before. */
  claimPages(slot: number, pages: number): number {
    return pages & ~Atomics.or(this.#words, slot * WORDS_PER_SLOT + CLAIMED, pages);
  }

  claimedPages(slot: number): number {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + CLAIMED);
  }

  source(slot: number): SlotSource {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + SOURCE) as SlotSource;
  }

  // --- the task that fills the slot ---

  /** Publishes the blob's size and the shard's length. Call it before the first byte. */
  setLength(slot: number, lengthBytes: number, totalBytes: number): void {
    this.#totals[(slot * WORDS_PER_SLOT + TOTAL) / 2] = totalBytes;
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + LENGTH, lengthBytes);
  }

  setReceived(slot: number, bytes: number): void {
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + RECEIVED, bytes);
  }

  setReleased(slot: number, bytes: number): void {
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + RELEASED, bytes);
  }

  /**
   * Publishes [fromBytes, toBytes) as arrived and vouched for while the bytes below are not;
   * `toBytes` 0 withdraws that. `fromBytes` stays the same while `toBytes` grows.
   */
  setAhead(slot: number, fromBytes: number, toBytes: number): void {
    if (toBytes > 0) Atomics.store(this.#words, slot * WORDS_PER_SLOT + AHEAD_FROM, fromBytes);
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + AHEAD_TO, toBytes);
  }

  /** Whether control cancelled attempt `attempt` of this slot. */
  cancelled(slot: number, attempt: number): boolean {
    return Atomics.load(this.#words, slot * WORDS_PER_SLOT + CANCEL) >= attempt;
  }

  // --- control ---

  /** Locks a slot that is not pinned; false if it is. */
  tryLock(slot: number): boolean {
    return Atomics.compareExchange(this.#words, slot * WORDS_PER_SLOT + PINS, 0, LOCKED) === 0;
  }

  /** Prepares a locked slot for filling under a new generation, and returns that. */
  begin(slot: number): number {
    const at = slot * WORDS_PER_SLOT;
    const generation = (Atomics.load(this.#words, at + GENERATION) + 1) & 0x7fff_ffff;
    Atomics.store(this.#words, at + GENERATION, generation);
    Atomics.store(this.#words, at + RECEIVED, 0);
    Atomics.store(this.#words, at + RELEASED, 0);
    Atomics.store(this.#words, at + AHEAD_TO, 0);
    Atomics.store(this.#words, at + OWNED, 0);
    Atomics.store(this.#words, at + CLAIMED, 0);
    Atomics.store(this.#words, at + LENGTH, -1);
    Atomics.store(this.#words, at + CANCEL, 0);
    Atomics.store(this.#words, at + USED, 0);
    Atomics.store(this.#words, at + STATE, SlotState.filling);
    Atomics.store(this.#words, at + PINS, 0);
    return generation;
  }

  /** Whether the slot was used since the last call. */
  takeUsed(slot: number): boolean {
    return Atomics.exchange(this.#words, slot * WORDS_PER_SLOT + USED, 0) === 1;
  }

  /** Sets the source of the slot's bytes; called again when it changes. */
  setSource(slot: number, source: SlotSource): void {
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + SOURCE, source);
  }

  /**
   * Sets whether the received bytes, and those from the current source, come from an owner or a
   * root.
   */
  setOwned(slot: number, owned: boolean): void {
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + OWNED, owned ? 1 : 0);
  }

  setState(slot: number, state: SlotState): void {
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + STATE, state);
  }

  /** Cancels attempt `attempt` and all before it. Attempts count from 1. */
  cancel(slot: number, attempt: number): void {
    Atomics.store(this.#words, slot * WORDS_PER_SLOT + CANCEL, attempt);
  }
}
