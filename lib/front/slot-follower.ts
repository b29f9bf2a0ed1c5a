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
  /** The follower that is looking, and whether it has come to wait again meanwhile. */
  #looking: Follower | null = null;
  #waitsAgain = false;
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
    if (follower === this.#looking) this.#waitsAgain = true;
    this.#waiting.add(follower);
    if (follower.isBrief === true) this.#brief.add(follower);
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

  /** Bytes came on this thread, which so needs no bell. */
  rung(): void {
    for (const follower of [...this.#waiting])
      if (this.#waiting.has(follower)) this.#look(follower);
    this.#looking = null;
  }

  #heard(): boolean {
    this.rung();
    this.#listening = this.#waiting.size > 0;
    return this.#listening;
  }

  /** Nearly all go on waiting, so they stay where they are. */
  #look(follower: Follower): void {
    this.#looking = follower;
    this.#waitsAgain = false;
    if (!follower.look() && !this.#waitsAgain) this.delete(follower);
    else if (this.#brief.size > 0 && follower.isBrief !== true) this.#brief.delete(follower);
  }
}
