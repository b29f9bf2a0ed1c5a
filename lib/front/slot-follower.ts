import type { Doorbells } from '../io/doorbell.ts';

/** Somebody who waits for a slot's watermark to move. */
export interface Follower {
  /** Looks at the watermark again; true while it still waits. */
  look(): boolean;
  /**
   * Whether it is a small read, for which every millisecond counts: the others are woken together,
   * now and then.
   */
  readonly isBrief?: boolean;
}

/** All who wait for watermarks on this thread, woken together, once per batch of rings. */
export class SlotFollowers {
  readonly #doorbells: Doorbells;
  readonly #bell: number;
  readonly #waiting = new Set<Follower>();
  /** Those of them that were brief when they began to wait. */
  readonly #brief = new Set<Follower>();
  #listening = false;
  #hurry: () => void = () => undefined;

  constructor(doorbells: Doorbells, bell: number) {
    this.#doorbells = doorbells;
    this.#bell = bell;
  }

  /** Whether a small read is among those who wait. */
  get isUrgent(): boolean {
    return this.#brief.size > 0;
  }

  add(follower: Follower): void {
    this.#put(follower);
    if (this.#listening) {
      if (follower.isBrief === true) this.#hurry();
      return;
    }
    this.#listening = true;
    // Not before this turn ends: the first look happens at once, inside listen().
    queueMicrotask(() => {
      this.#hurry = this.#doorbells.listen(
        this.#bell,
        () => this.#heard(),
        () => this.isUrgent,
      );
    });
  }

  delete(follower: Follower): boolean {
    this.#brief.delete(follower);
    return this.#waiting.delete(follower);
  }

  #put(follower: Follower): void {
    this.#waiting.add(follower);
    if (follower.isBrief === true) this.#brief.add(follower);
  }

  #heard(): boolean {
    // Who goes on may come to wait again within its look: it is taken out before, not after.
    for (const follower of [...this.#waiting]) {
      if (!this.delete(follower)) continue;
      if (follower.look()) this.#put(follower);
    }
    this.#listening = this.#waiting.size > 0;
    return this.#listening;
  }
}
