import type { ControlMessage, OpenRequest } from '../../workers/messages.ts';
import type { Span } from '../../span.ts';
import { Stream } from './stream.ts';
import type { StreamParts } from './stream-parts.ts';

/** Sends control's answers to one front. */
export type Reply = (message: ControlMessage) => void;

/**
 * The clients that read through one front: access, a layer turn, the requested shard, and
 * read-ahead.
 */
export class Streams {
  readonly #parts: StreamParts;
  readonly #reply: Reply;
  readonly #streams = new Map<number, Stream>();

  constructor(parts: StreamParts, reply: Reply) {
    this.#parts = parts;
    this.#reply = reply;
  }

  open(request: OpenRequest, span?: Span): void {
    this.#parts.open.streams += 1;
    const stream = new Stream(request, span, this.#parts, this.#reply);
    this.#streams.set(request.id, stream);
    stream.start();
  }

  want(id: number, shard: number, placed: boolean): void {
    this.#streams.get(id)?.at(shard, placed);
  }

  /** The front doubts the size of the bytes here. */
  size(id: number): void {
    this.#streams.get(id)?.doubted();
  }

  /** The stream is over; `whole`: to its end, not aborted. False when `id` is no stream. */
  close(id: number, whole: boolean): boolean {
    const stream = this.#streams.get(id);
    if (stream === undefined) return false;
    this.#streams.delete(id);
    this.#parts.open.streams -= 1;
    stream.close(whole);
    return true;
  }

  closeAll(): void {
    for (const id of [...this.#streams.keys()]) this.close(id, false);
  }
}
