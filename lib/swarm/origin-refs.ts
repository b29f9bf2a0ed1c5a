import { ORIGIN_REFS_MAX } from './limits.ts';
import type { OriginRef } from './types.ts';

/** The origins that the requests for one shard have named. The newest is the likeliest to work. */
export class OriginRefs {
  readonly #refs: OriginRef[] = [];
  /** Created at the first refusal, because most fetches have none. */
  #refused: Set<string> | null = null;

  #used: OriginRef | null = null;

  /** The one in use, or used last. */
  get used(): OriginRef | null {
    return this.#used;
  }

  /** Whether none is left. */
  get isEmpty(): boolean {
    return this.#refs.length === 0;
  }

  /** Whether there is another one besides the one in use. */
  get hasOthers(): boolean {
    return this.#refs.some((ref) => ref.id !== this.#used?.id);
  }

  /** Whether one was offered after the one in use. */
  get hasNewer(): boolean {
    const newest = this.#refs.at(-1);
    return newest !== undefined && newest.id !== this.#used?.id;
  }

  /** The one to use now, if one is left. */
  use(): OriginRef | null {
    this.#used = this.#refs.at(-1) ?? null;
    return this.#used;
  }

  offer(origin: OriginRef): void {
    if (this.#refused?.has(origin.id) === true) return;
    const known = this.#refs.findIndex((ref) => ref.id === origin.id);
    if (known >= 0) this.#refs.splice(known, 1);
    this.#refs.push(origin);
    if (this.#refs.length > ORIGIN_REFS_MAX) this.#refs.shift();
  }

  /** The origin refused the one used last. It is not used again; newer offers are unaffected. */
  refused(): void {
    const used = this.#used;
    if (used === null) return;
    (this.#refused ??= new Set()).add(used.id);
    const at = this.#refs.findIndex((ref) => ref.id === used.id);
    if (at >= 0) this.#refs.splice(at, 1);
  }
}
