import { originsOf, type RegistryEntry } from './allow.ts';

/**
 * Which upstreams have failed, for all threads of a node: one word for each upstream of each entry,
 * in the order of the config; 1: it is left out.
 */
export function mirrorStates(registries: readonly RegistryEntry[]): SharedArrayBuffer {
  const count = registries.reduce((sum, entry) => sum + originsOf(entry).length, 0);
  return new SharedArrayBuffer(Math.max(1, count) * Int32Array.BYTES_PER_ELEMENT);
}

export interface Mirror {
  origin: string;
  /** Of its word. */
  at: number;
  /** When this thread saw that it is left out, or last looked whether it is back. */
  lookedMs: number | null;
}

/** The words of `mirrorStates`, read: which upstream of a registry answers for it now. */
export class MirrorView {
  protected readonly states: Int32Array;
  protected readonly sets = new Map<string, Mirror[]>();

  constructor(registries: readonly RegistryEntry[], states: SharedArrayBuffer) {
    this.states = new Int32Array(states);
    let at = 0;
    for (const entry of registries) {
      const mirrors = originsOf(entry).map((origin) => ({ origin, at: at++, lookedMs: null }));
      if (mirrors.length > 1) this.sets.set(entry.upstream, mirrors);
    }
  }

  /** The first upstream that is not left out; `origin` itself where it has no mirrors. */
  answering(origin: string): string {
    const mirrors = this.sets.get(origin) ?? [];
    return (mirrors.find((mirror) => !this.isOut(mirror)) ?? mirrors[0])?.origin ?? origin;
  }

  protected isOut({ at }: Mirror): boolean {
    return Atomics.load(this.states, at) === 1;
  }
}
