import { BUSY_PAUSE_MS_MAX, OWNER_RETRY_MS, REDIRECTS_MAX } from './limits.ts';
import type { Pace } from './pace.ts';
import type { NodeId } from './types.ts';

/** How many bytes of one fetch have arrived, how long it has waited, and for which node. */
export class Progress {
  /** Bytes of the shard, from byte 0, here when last looked. */
  receivedBytes = 0;
  /** The byte to go on from. */
  fromBytes = 0;
  /** When the first byte came of the attempt under way, or of the last that brought any. */
  #begunMs = 0;
  /** When the bytes last grew. */
  grownMs: number;
  /** Since when the acting owner has been asked without a byte coming of it. */
  ownerMs: number;
  readonly #nowMs: () => number;
  readonly #pace: Pick<Pace, 'received'>;
  #redirects = 0;
  #silent: NodeId | null = null;
  #asked: NodeId | null = null;
  #askedTimes = 0;

  constructor(nowMs: () => number, pace: Pick<Pace, 'received'>) {
    this.#nowMs = nowMs;
    this.#pace = pace;
    this.grownMs = this.ownerMs = nowMs();
  }

  /** So many bytes are here now. */
  grew(receivedBytes: number): void {
    if (receivedBytes <= this.receivedBytes) return;
    if (this.receivedBytes === this.fromBytes) this.#begunMs = this.#nowMs();
    this.#pace.received(receivedBytes - this.receivedBytes, this.#nowMs());
    this.receivedBytes = receivedBytes;
    this.#redirects = 0;
    this.#asked = null;
    this.grownMs = this.ownerMs = this.#nowMs();
  }

  /** For how long the attempt under way has been bringing bytes. */
  get sendingMs(): number {
    return this.sentBytes === 0 ? 0 : this.#nowMs() - this.#begunMs;
  }

  /** What the attempt under way has brought. */
  get sentBytes(): number {
    return this.receivedBytes - this.fromBytes;
  }

  /** The bytes after `fromBytes` are discarded. */
  restart(fromBytes: number): void {
    this.fromBytes = this.receivedBytes = fromBytes;
  }

  /**
   * The node said nothing; returns whether for the first time, not counting other nodes. Its next
   * request is held no longer than its first.
   */
  fellSilent(node: NodeId): boolean {
    const isFirst = this.#silent !== node;
    this.#silent = node;
    this.#asked = null;
    return isFirst;
  }

  /** `node` is asked: returns how often it said "busy" since a byte came, or it was silent. */
  asked(node: NodeId): number {
    this.#askedTimes = this.#asked === node ? this.#askedTimes + 1 : 0;
    this.#asked = node;
    return this.#askedTimes;
  }

  /** The pause before a node that was busy at once is asked again: twice as long each time. */
  pauseMs(retryMs: number): number {
    const pauseMs = Math.max(retryMs, OWNER_RETRY_MS) * 2 ** this.#askedTimes;
    return Math.min(pauseMs, BUSY_PAUSE_MS_MAX);
  }

  /** Redirected once more; whether that is too often without a byte in between. */
  redirected(): boolean {
    return ++this.#redirects > REDIRECTS_MAX;
  }

  /** Another node is the owner from now on. */
  ownerChanged(): void {
    this.ownerMs = this.#nowMs();
    this.#redirects = 0;
  }
}
