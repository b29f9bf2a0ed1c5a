import type { Clock } from '../../clock.ts';

interface Waiting {
  key: string;
  enter: () => void;
  sinceMs: number;
}

/**
 * `proxyConcurrencyLimit`: so many layers download at once on this node, the rest wait in order of
 * arrival. All streams of one blob share one place; a place is free when its last stream has left.
 */
export class LayerGate {
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #inside = new Map<string, number>();
  #waiting: Waiting[] = [];
  readonly #waited: (ms: number) => void;

  constructor(limit: number, clock: Clock, waited: (ms: number) => void) {
    this.#limit = limit;
    this.#clock = clock;
    this.#waited = waited;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Calls `enter`, at once or in its turn. Every call is answered by one call of the function
   * returned, entered or not.
   */
  enter(key: string, enter: () => void): () => void {
    const waiting: Waiting = { key, enter, sinceMs: this.#clock.nowMs() };
    let left = false;
    if (this.#inside.has(key) || (this.#inside.size < this.#limit && this.#waiting.length === 0))
      this.#admit(waiting);
    else this.#waiting.push(waiting);
    return () => {
      if (left) return;
      left = true;
      const at = this.#waiting.indexOf(waiting);
      if (at >= 0) this.#waiting.splice(at, 1);
      else this.#leave(key);
    };
  }

  #admit(waiting: Waiting): void {
    this.#inside.set(waiting.key, (this.#inside.get(waiting.key) ?? 0) + 1);
    waiting.enter();
  }

  #leave(key: string): void {
    const streams = this.#inside.get(key)! - 1;
    if (streams > 0) {
      this.#inside.set(key, streams);
      return;
    }
    this.#inside.delete(key);
    while (this.#waiting.length > 0 && this.#inside.size < this.#limit) {
      const next = this.#waiting.shift()!;
      this.#waited(this.#clock.nowMs() - next.sinceMs);
      this.#admit(next);
      // The others who wait for the same layer share its place.
      const same = this.#waiting.filter((waiting) => waiting.key === next.key);
      this.#waiting = this.#waiting.filter((waiting) => waiting.key !== next.key);
      for (const waiting of same) this.#admit(waiting);
    }
  }
}
