import { CONTEXTS_MAX } from './limits.ts';
import type { FetchContext } from './types.ts';

/**
 * The ways to the origin that clients of one shard have brought along: the newest is the likeliest
 * to be good.
 */
export class Contexts {
  readonly #ways: FetchContext[] = [];
  /** Made when first needed: fetches are many, refusals few. */
  #refused: Set<string> | null = null;

  #used: FetchContext | null = null;

  /** Whether none is left. */
  get isEmpty(): boolean {
    return this.#ways.length === 0;
  }

  /** Whether there is another one beside that in use. */
  get hasOthers(): boolean {
    return this.#ways.some((way) => way.id !== this.#used?.id);
  }

  /** The one to use now, if one is left. */
  use(): FetchContext | null {
    this.#used = this.#ways.at(-1) ?? null;
    return this.#used;
  }

  offer(context: FetchContext): void {
    if (this.#refused?.has(context.id) === true) return;
    const known = this.#ways.findIndex((way) => way.id === context.id);
    if (known >= 0) this.#ways.splice(known, 1);
    this.#ways.push(context);
    if (this.#ways.length > CONTEXTS_MAX) this.#ways.shift();
  }

  /**
   * The origin said no to the one used last, not to what was offered meanwhile; it is not taken
   * again.
   */
  refused(): void {
    const used = this.#used;
    if (used === null) return;
    (this.#refused ??= new Set()).add(used.id);
    const at = this.#ways.findIndex((way) => way.id === used.id);
    if (at >= 0) this.#ways.splice(at, 1);
  }
}
