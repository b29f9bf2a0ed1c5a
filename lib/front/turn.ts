import { TURN_BYTES } from './limits.ts';

/** Somebody who has bytes to send and came too late in this turn. */
export interface TurnWaiter {
  /** There are bytes to be had again. */
  turned(): void;
}

/**
 * What one turn of a front's event loop writes, all connections together: TURN_BYTES. Sockets that
 * take whole shards at once would else keep the next read waiting for as many as are ready. Who
 * comes too late waits, in order, for the turns after.
 */
export class Turn {
  #leftBytes = TURN_BYTES;
  #isOpen = false;
  #waiting: TurnWaiter[] = [];

  /** Up to `bytes` of what is left; 0: `wait`. */
  take(bytes: number): number {
    this.#open();
    const taken = Math.min(bytes, this.#leftBytes);
    this.#leftBytes -= taken;
    return taken;
  }

  /** What was taken and not written. */
  giveBack(bytes: number): void {
    this.#leftBytes += bytes;
  }

  /** To be called once until `turned` is. */
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
