import { STREAMS_MAX } from './limits.ts';
import type { WholeStream } from './whole-stream.ts';

/**
 * The long answers under way in one thread, by the object they bring. Whoever has the right to read
 * an object may share its stream: the right is checked before a read starts.
 */
export class WholeStreams {
  readonly #streams = new Map<string, WholeStream[]>();
  #count = 0;

  /** The stream that reaches `offsetBytes` first. */
  find(object: string, offsetBytes: number): WholeStream | null {
    for (const stream of this.#streams.get(object) ?? [])
      if (stream.isExpired) this.remove(object, stream);
    return this.#streams.get(object)?.find((stream) => stream.serves(offsetBytes)) ?? null;
  }

  /**
   * Adds a stream. Those whose time is over end, and where there are too many, the one unused for
   * longest makes room.
   */
  add(object: string, stream: WholeStream): void {
    for (const [of, streams] of this.#streams)
      for (const other of streams) if (other.isExpired) this.remove(of, other);
    if (this.#count >= STREAMS_MAX) this.#evict();
    const streams = this.#streams.get(object);
    // The newest is the furthest back: one that has passed a byte cannot serve it again.
    if (streams === undefined) this.#streams.set(object, [stream]);
    else streams.push(stream);
    this.#count++;
  }

  remove(object: string, stream: WholeStream): void {
    const streams = this.#streams.get(object) ?? [];
    const left = streams.filter((other) => other !== stream);
    this.#count -= streams.length - left.length;
    if (left.length === 0) this.#streams.delete(object);
    else this.#streams.set(object, left);
  }

  #evict(): void {
    let oldest: { object: string; stream: WholeStream } | null = null;
    for (const [object, streams] of this.#streams)
      for (const stream of streams)
        if (!stream.isUsed && (oldest === null || stream.usedMs < oldest.stream.usedMs))
          oldest = { object, stream };
    if (oldest !== null) this.remove(oldest.object, oldest.stream);
  }
}
