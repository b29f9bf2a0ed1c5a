import type { Doorbells } from '../io/doorbell.ts';

/** Somebody who waits for a slot's watermark to move. */
export interface Follower {
  /** Looks at the watermark again; true while it still waits. */
  look(): boolean;
}

/** All who wait for watermarks on this thread, woken together, once per batch of rings. */
export class SlotFollowers {
  readonly #doorbells: Doorbells;
  readonly #bell: number;
  readonly #waiting = new Set<Follower>();
  #listening = false;

  constructor(doorbells: Doorbells, bell: number) {
    this.#doorbells = doorbells;
    this.#bell = bell;
  }

  add(follower: Follower): void {
    this.#waiting.add(follower);
    if (this.#listening) return;
    this.#listening = true;
    // Not before this turn ends: the first look happens at once, inside listen().
    queueMicrotask(() => this.#doorbells.listen(this.#bell, () => this.#heard()));
  }

  delete(follower: Follower): void {
    this.#waiting.delete(follower);
  }

  #heard(): boolean {
    // Who goes on may come to wait again within its look: it is taken out before, not after.
    for (const follower of [...this.#waiting]) {
      if (!this.#waiting.delete(follower)) continue;
      if (follower.look()) this.#waiting.add(follower);
    }
    this.#listening = this.#waiting.size > 0;
    return this.#listening;
  }
}
