import type { HttpResponse } from 'uWebSockets.js';
import type { Arena } from '../io/arena.ts';
import { BRIEF_READ_BYTES_MAX } from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { SlotFollowers } from './slot-follower.ts';
import { giveBackBudget, takeBudget, type SendLimits, type SpentLimit } from './send-budget.ts';

/** The slot of a shard. The place is valid while the slot has this `generation`. */
export interface Place {
  slot: number;
  generation: number;
}

/** What a sender needs besides its response. */
export interface SenderTools extends SendLimits {
  arena: Arena;
  followers: SlotFollowers;
  nowMs: () => number;
  /**
   * Byte of the slot up to which a reader at `fromBytes` may be sent: vouched bytes for clients,
   * received bytes for nodes.
   */
  watermark(slot: number, fromBytes: number): number;
}

export interface SenderEvents {
  /** The place of the shard, or null if it is not known here; then `placed` is called later. */
  place(shard: number): Place | null;
  /** `bytes` of `shard`, from `slot`, were sent. */
  sent(bytes: number, shard: number, slot: number): void;
  /** The sender waited `ms` for throttle tokens, or for bytes in `slot`. */
  waited?(cause: 'data' | 'throttle', ms: number, slot: number): void;
  /** The sender waits for bytes that are not here yet. */
  starved?(): void;
  /** The whole body was sent. */
  done(): void;
}

/**
 * Sends the blob's bytes [startBytes, endBytes) as the body of a response whose head is written:
 * straight from the arena, up to the watermark, at the pace of the socket and the throttle.
 *
 *   pump -> waits for: a place | the watermark | tokens | the socket | the next tick -> pump -> ...
 *
 * A slot is pinned only during a write.
 */
export class BodySender {
  readonly #res: HttpResponse;
  readonly #tools: SenderTools;
  readonly #events: SenderEvents;
  readonly #startBytes: number;
  readonly #endBytes: number;
  #atBytes: number;
  #place: Place | null = null;
  #placeShard = -1;
  #over = false;
  #writableArmed = false;
  #queuedForTokens = false;
  #awaitsTurn = false;
  #blocked: 'data' | 'throttle' | null = null;
  #blockedMs = 0;

  constructor(
    res: HttpResponse,
    tools: SenderTools,
    events: SenderEvents,
    startBytes: number,
    endBytes: number,
  ) {
    this.#res = res;
    this.#tools = tools;
    this.#events = events;
    this.#startBytes = startBytes;
    this.#endBytes = endBytes;
    this.#atBytes = startBytes;
  }

  get atBytes(): number {
    return this.#atBytes;
  }

  /** The shard of the next byte to send. */
  get shard(): number {
    return Math.floor(this.#atBytes / SHARD_BYTES);
  }

  /** The response was aborted; nothing more is sent. */
  stop(): void {
    this.#over = true;
    this.#tools.followers.delete(this);
  }

  /** Control found the shard that `place` did not know. */
  placed(shard: number, place: Place): void {
    if (this.#over || shard !== this.shard) return;
    this.#place = place;
    this.#placeShard = shard;
    this.pump();
  }

  get isBrief(): boolean {
    return this.#endBytes - this.#startBytes <= BRIEF_READ_BYTES_MAX;
  }

  look(): boolean {
    if (this.#over) return false;
    const place = this.#place;
    const withinBytes = this.#atBytes % SHARD_BYTES;
    if (
      place === null ||
      this.#tools.watermark(place.slot, withinBytes) > withinBytes ||
      this.#tools.arena.generation(place.slot) !== place.generation
    ) {
      this.pump();
      return false;
    }
    return true;
  }

  resume(): void {
    this.#queuedForTokens = false;
    if (!this.#over) this.pump();
  }

  /** Continues after `sentBytes`, from `slot`, that the socket took. */
  goOn(sentBytes: number, slot: number): void {
    this.#events.sent(sentBytes, this.shard, slot);
    this.#atBytes += sentBytes;
    this.#awaitWritable();
  }

  /** Sends what can be sent now, and waits for the rest. */
  pump(): void {
    // It already waits for the next tick, in order.
    if (this.#awaitsTurn) return;
    this.#res.cork(() => {
      while (!this.#over && this.#step());
    });
    // At the end of the cork the socket may refuse what `tryEnd` took. Without an onWritable
    // handler uWebSockets.js then considers the response finished, and closes it after 10 s even if
    // data flows.
    if (!this.#over) this.#awaitWritable();
  }

  turned(): void {
    this.#awaitsTurn = false;
    if (!this.#over) this.pump();
  }

  /** Writes once. Returns false when there is something to wait for, or nothing left to send. */
  #step(): boolean {
    const { arena, followers } = this.#tools;
    const place = this.#findPlace();
    if (place === null) return this.#block('data');
    const withinBytes = this.#atBytes % SHARD_BYTES;
    const untilBytes = Math.min(SHARD_BYTES, withinBytes + (this.#endBytes - this.#atBytes));
    const readyBytes =
      Math.min(this.#tools.watermark(place.slot, withinBytes), untilBytes) - withinBytes;
    if (readyBytes <= 0) {
      if (arena.generation(place.slot) !== place.generation) {
        this.#place = null;
        return true;
      }
      followers.add(this);
      return this.#block('data');
    }
    // Everything available in one write: the socket does not copy what it cannot take, and fewer,
    // larger writes cost half (docs/PERFORMANCE.md).
    const { bytes: tokens, spent } = takeBudget(this.#tools, readyBytes);
    if (spent !== null) {
      this.#awaitBudget(spent);
      return false;
    }
    if (!arena.tryPin(place.slot, place.generation)) {
      giveBackBudget(this.#tools, tokens);
      if (arena.generation(place.slot) === place.generation) {
        // Control is handing the slot to another shard. The place becomes invalid in a moment;
        // asking for it until then would only spin.
        setImmediate(() => this.resume());
        return false;
      }
      this.#place = null;
      return true;
    }
    const [ok, whole] = this.#res.tryEnd(
      arena.bytes(place.slot, withinBytes, withinBytes + tokens),
      this.#endBytes - this.#startBytes,
    );
    const sentBytes = whole
      ? tokens
      : this.#res.getWriteOffset() - (this.#atBytes - this.#startBytes);
    giveBackBudget(this.#tools, tokens - sentBytes);
    this.#unblock(place.slot);
    this.#events.sent(sentBytes, this.shard, place.slot);
    arena.unpin(place.slot);
    arena.markUsed(place.slot);
    this.#atBytes += sentBytes;
    if (whole) {
      this.stop();
      this.#events.done();
      return false;
    }
    if (!ok) this.#awaitWritable();
    else if (sentBytes === readyBytes && withinBytes + sentBytes < untilBytes) {
      // All that was there: what came since rings.
      followers.add(this);
      return this.#block('data');
    }
    return ok;
  }

  #awaitBudget(spent: SpentLimit): void {
    if (spent === 'turn') {
      this.#awaitsTurn = true;
      this.#tools.turn.wait(this);
    } else if (!this.#queuedForTokens) {
      this.#queuedForTokens = true;
      spent.wait(this);
      this.#block('throttle');
    }
  }

  #block(cause: 'data' | 'throttle'): false {
    if (cause === 'data') this.#events.starved?.();
    if (this.#blocked === null && this.#events.waited !== undefined) {
      this.#blocked = cause;
      this.#blockedMs = this.#tools.nowMs();
    }
    return false;
  }

  #unblock(slot: number): void {
    if (this.#blocked === null) return;
    this.#events.waited?.(this.#blocked, this.#tools.nowMs() - this.#blockedMs, slot);
    this.#blocked = null;
  }

  #findPlace(): Place | null {
    if (this.#place !== null && this.#placeShard === this.shard) return this.#place;
    this.#placeShard = this.shard;
    this.#place = this.#events.place(this.shard);
    return this.#place;
  }

  #awaitWritable(): void {
    if (this.#writableArmed) return;
    this.#writableArmed = true;
    this.#res.onWritable(() => {
      // The handler stays registered. uWebSockets.js calls it whenever the socket has room.
      if (!this.#over && !this.#awaitsTurn) while (this.#step());
      return true;
    });
  }
}
