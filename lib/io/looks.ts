import { LOOK_MS } from '../limits.ts';

/** Called every LOOK_MS. */
export type Look = () => void;

/**
 * One interval for everything on a thread that has to look now and then whether an exchange was
 * cancelled or fell silent. Without anything to look after, no timer runs.
 */
export class Looks {
  readonly #looks = new Set<Look>();
  #timer: NodeJS.Timeout | null = null;

  /** Calls `look` every LOOK_MS until the returned function is called. */
  add(look: Look): () => void {
    this.#looks.add(look);
    this.#timer ??= setInterval(() => this.#run(), LOOK_MS);
    return () => {
      this.#looks.delete(look);
      if (this.#looks.size > 0 || this.#timer === null) return;
      clearInterval(this.#timer);
      this.#timer = null;
    };
  }

  get size(): number {
    return this.#looks.size;
  }

  #run(): void {
    for (const look of this.#looks) look();
  }
}

/** The looks of this thread. */
export const threadLooks = new Looks();
