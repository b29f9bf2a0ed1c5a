import { Ghost } from './ghost.ts';

/** The small queue's share of the capacity (the paper's figure). */
const SMALL_SHARE = 0.1;
/** Uses that earn an entry its move from the small queue to the main one. */
const USES_TO_STAY = 2;
const USES_MAX = 3;

const NONE = -1;
const IN_SMALL = 1;
const IN_MAIN = 2;

/**
 * A first-in first-out queue as a list through shared arrays, so that any entry leaves in constant
 * time.
 */
interface Queue {
  oldest: number;
  newest: number;
  count: number;
  bytes: number;
}

/**
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023). New entries
 * pass through a small queue and leave with it unless they are used again, so a scan costs the main
 * queue nothing. An entry that returns soon after leaving goes to the main queue at once. Entries
 * are numbers below `entryCount`; pinned ones are passed over.
 */
export class Eviction {
  readonly #smallBytesMax: number;
  readonly #ghost: Ghost;
  readonly #small: Queue = { oldest: NONE, newest: NONE, count: 0, bytes: 0 };
  readonly #main: Queue = { oldest: NONE, newest: NONE, count: 0, bytes: 0 };
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  readonly #queue: Uint8Array;
  readonly #uses: Uint8Array;
  readonly #pins: Uint16Array;
  readonly #bytes: Uint32Array;
  readonly #fingerprints: Uint32Array;

  constructor(entryCount: number, capacityBytes: number) {
    this.#smallBytesMax = capacityBytes * SMALL_SHARE;
    this.#ghost = new Ghost(entryCount);
    this.#older = new Int32Array(entryCount);
    this.#newer = new Int32Array(entryCount);
    this.#queue = new Uint8Array(entryCount);
    this.#uses = new Uint8Array(entryCount);
    this.#pins = new Uint16Array(entryCount);
    this.#bytes = new Uint32Array(entryCount);
    this.#fingerprints = new Uint32Array(entryCount);
  }

  /**
   * Lets an entry take part. `proven`: it has been here before (a restart): straight to the main
   * queue.
   */
  insert(entry: number, bytes: number, fingerprint: number, proven = false): void {
    this.#bytes[entry] = bytes;
    this.#fingerprints[entry] = fingerprint;
    this.#uses[entry] = 0;
    const stays = this.#ghost.recall(fingerprint) || proven;
    this.#append(entry, stays ? IN_MAIN : IN_SMALL);
  }

  touch(entry: number): void {
    if (this.#uses[entry]! < USES_MAX) this.#uses[entry]!++;
  }

  /** Keeps an entry from being a victim until as many `unpin`s. */
  pin(entry: number): void {
    this.#pins[entry]!++;
  }

  unpin(entry: number): void {
    if (this.#pins[entry] === 0) throw new Error('unpin without pin');
    this.#pins[entry]!--;
  }

  pinned(entry: number): boolean {
    return this.#pins[entry]! > 0;
  }

  /** Takes an entry out; harmless when it takes no part. */
  remove(entry: number): void {
    const at = this.#queue[entry]!;
    if (at === 0) return;
    const queue = at === IN_SMALL ? this.#small : this.#main;
    const older = this.#older[entry]!;
    const newer = this.#newer[entry]!;
    if (older === NONE) queue.oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) queue.newest = older;
    else this.#older[newer] = older;
    queue.count--;
    queue.bytes -= this.#bytes[entry]!;
    this.#queue[entry] = 0;
  }

  /** The entry to give up next, already taken out; -1 when every one is pinned. */
  victim(): number {
    // Each entry passes at most once as pinned, and once per use it has left: the search ends.
    let smallLeft = this.#small.count;
    let mainLeft = (USES_MAX + 1) * (this.#main.count + smallLeft);
    while (smallLeft > 0 || mainLeft > 0) {
      if (
        smallLeft > 0 &&
        (this.#small.bytes >= this.#smallBytesMax || mainLeft === 0 || this.#main.count === 0)
      ) {
        smallLeft--;
        const entry = this.#small.oldest;
        if (entry === NONE) continue;
        this.remove(entry);
        if (this.pinned(entry)) this.#append(entry, IN_SMALL);
        else if (this.#uses[entry]! >= USES_TO_STAY) this.#promote(entry);
        else return this.#forget(entry);
      } else if (this.#main.count > 0 && mainLeft > 0) {
        mainLeft--;
        const entry = this.#main.oldest;
        this.remove(entry);
        if (this.pinned(entry)) this.#append(entry, IN_MAIN);
        else if (this.#uses[entry]! > 0) this.#reprieve(entry);
        else return entry;
      } else {
        mainLeft = 0;
      }
    }
    return NONE;
  }

  #promote(entry: number): void {
    this.#uses[entry] = 0;
    this.#append(entry, IN_MAIN);
  }

  #reprieve(entry: number): void {
    this.#uses[entry]!--;
    this.#append(entry, IN_MAIN);
  }

  #forget(entry: number): number {
    this.#ghost.remember(this.#fingerprints[entry]!);
    return entry;
  }

  #append(entry: number, at: number): void {
    const queue = at === IN_SMALL ? this.#small : this.#main;
    this.#queue[entry] = at;
    this.#older[entry] = queue.newest;
    this.#newer[entry] = NONE;
    if (queue.newest === NONE) queue.oldest = entry;
    else this.#newer[queue.newest] = entry;
    queue.newest = entry;
    queue.count++;
    queue.bytes += this.#bytes[entry]!;
  }
}
