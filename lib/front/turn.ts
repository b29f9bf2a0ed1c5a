import { TURN_BYTES } from './limits.ts';

/** A sender that waits: the write budget of this tick is spent. */
export interface TurnWaiter {
  /** There is budget again. */
  turned(): void;
}

/**
 * Write budget of one tick of a front's event loop, over all connections: TURN_BYTES, or as little
 * as half of that where ticks before took the rest. Without it sockets that take whole shards at
 * once would delay the next read by as many shards as are ready. Senders that find it spent wait,
 * in order, for the following ticks.
 */
export class Turn {
  #leftBytes = TURN_BYTES;
  #isOpen = false;
  #waiting: TurnWaiter[] = [];

  /** Takes up to `bytes` of the budget; 0 means `wait`. */
  take(bytes: number): number {
    const taken = Math.min(bytes, this.#leftBytes);
    this.#leftBytes -= taken;
    // A callback for each tick would cost a slow line as much as a small write.
    if (this.#leftBytes < TURN_BYTES / 2) this.#open();
    return taken;
  }

  /** Returns budget that was taken and not used. */
  giveBack(bytes: number): void {
    this.#leftBytes += bytes;
  }

  /** Must be called once until `turned` is. */
  wait(waiter: TurnWaiter): void {
    this.#waiting.push(waiter);
    this.#open();
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    setImmediate(this.#next);
  }

  readonly #next = (): void => {
    this.#isOpen = false;
    this.#leftBytes = TURN_BYTES;
    const waiting = this.#waiting;
    this.#waiting = [];
    let at = 0;
    while (at < waiting.length && this.#leftBytes > 0) waiting[at++]!.turned();
    if (at === waiting.length) return;
    this.#waiting = [...waiting.slice(at), ...this.#waiting];
    this.#open();
  };
}
