import type { Doorbells } from '../io/doorbell.ts';

/** Waits for the watermark of a slot to advance. */
export interface Follower {
  /** Checks the watermark; returns true while it still waits. */
  look(): boolean;
  /** Whether this is a small read, which is woken for each ring instead of each batch. */
  readonly isBrief?: boolean;
}

/** All followers of a thread, woken together once per batch of rings. */
export class SlotFollowers {
  readonly #doorbells: Doorbells;
  readonly #bell: number;
  readonly #waiting = new Set<Follower>();
  /** The followers that were brief when they started to wait. */
  readonly #brief = new Set<Follower>();
  #listening = false;
  #hurry: () => void = () => undefined;

  constructor(doorbells: Doorbells, bell: number) {
    this.#doorbells = doorbells;
    this.#bell = bell;
  }

  /** Whether a small read waits. */
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
    // Deferred: listen() calls look() synchronously, and the caller has not finished yet.
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
    // `look()` may add the follower again, so it is removed first.
    for (const follower of [...this.#waiting]) {
      if (!this.delete(follower)) continue;
      if (follower.look()) this.#put(follower);
    }
    this.#listening = this.#waiting.size > 0;
    return this.#listening;
  }
}
