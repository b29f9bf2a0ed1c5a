import { CONTEXTS_MAX } from '../limits.ts';
import type { FetchContext } from './types.ts';

/** The ways to the origin that clients of one shard have brought along: the newest is the likeliest to be good. */
export class Contexts {
  readonly #ways: FetchContext[] = [];
  /** Made when first needed: fetches are many, refusals few. */
  #refused: Set<string> | null = null;

  /** The one to use now, if one is left. */
  get current(): FetchContext | null {
    return this.#ways.at(-1) ?? null;
  }

  offer(context: FetchContext): void {
    if (this.#refused?.has(context.id) === true) return;
    const known = this.#ways.findIndex((way) => way.id === context.id);
    if (known >= 0) this.#ways.splice(known, 1);
    this.#ways.push(context);
    if (this.#ways.length > CONTEXTS_MAX) this.#ways.shift();
  }

  /** The origin said no to the current one; it is not taken again. */
  refused(): void {
    const way = this.#ways.pop();
    if (way !== undefined) (this.#refused ??= new Set()).add(way.id);
  }
}
