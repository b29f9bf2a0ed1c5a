import { ShoalError } from '../errors.ts';
import { ORIGIN_ERROR_BODY_BYTES_MAX } from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import { BodyCollector, refusal } from './body.ts';
import type { AnswerReader } from './exchange.ts';
import { judgeRangeAnswer, type AskedRange, type OriginHeaders } from './content-range.ts';

/** Who takes the bytes of a read. Chunks are valid only during the call. */
export interface OriginSink {
  head(head: { totalBytes: number; startBytes: number; lengthBytes: number }): void;
  data(chunk: Uint8Array): void;
  /** Where the next bytes, at most `bytesMax`, may be put in place of `data`. */
  room(bytesMax: number): Uint8Array;
  /** So many bytes were put at the start of the last room. */
  placed(bytes: number): void;
  /** Whether nobody wants the rest any more; asked between chunks and every LOOK_MS. */
  stopped(): boolean;
}

type Body =
  | { kind: 'none' }
  | {
      kind: 'part';
      skipBytes: number;
      lengthBytes: number;
      bodyBytes: number;
      seenBytes: number;
      givenBytes: number;
    }
  | { kind: 'unsized'; collected: BodyCollector }
  | { kind: 'refusal'; status: number; headers: OriginHeaders; collected: BodyCollector };

/** Takes the answer to one ranged request and gives the sink the bytes asked for, and no others. */
export class RangeReader implements AnswerReader {
  /**
   * The object's size, when the answer taught nothing else: the range must be asked for again
   * within it.
   */
  again: number | null = null;
  readonly #asked: AskedRange;
  readonly #sink: OriginSink;
  readonly #host: string;
  #body: Body = { kind: 'none' };
  #isPlain = false;

  constructor(asked: AskedRange, sink: OriginSink, host: string) {
    this.#asked = asked;
    this.#sink = sink;
    this.#host = host;
  }

  head(status: number, headers: OriginHeaders): 'more' | 'enough' {
    this.#isPlain = status === 206 && headers['content-length'] !== undefined;
    if (status !== 200 && status !== 206 && status !== 416) {
      this.#body = {
        kind: 'refusal',
        status,
        headers,
        collected: new BodyCollector(ORIGIN_ERROR_BODY_BYTES_MAX, 'cut'),
      };
      return 'more';
    }
    const verdict = judgeRangeAnswer(status, headers, this.#asked);
    switch (verdict.kind) {
      case 'again':
        this.again = verdict.totalBytes;
        return 'enough';
      case 'unsized':
        // Only its end tells its size, whatever part of it is wanted: one byte, where the right to
        // read is checked.
        this.#body = {
          kind: 'unsized',
          collected: new BodyCollector(Math.max(this.#asked.endBytes, SHARD_BYTES), 'refuse'),
        };
        return 'more';
      case 'use': {
        const { skipBytes, lengthBytes, bodyBytes, totalBytes } = verdict;
        this.#body = {
          kind: 'part',
          skipBytes,
          lengthBytes,
          bodyBytes,
          seenBytes: 0,
          givenBytes: 0,
        };
        this.#sink.head({ totalBytes, startBytes: this.#asked.offsetBytes, lengthBytes });
        return lengthBytes === 0 ? 'enough' : 'more';
      }
    }
  }

  data(chunk: Uint8Array): 'more' | 'enough' {
    const body = this.#body;
    switch (body.kind) {
      case 'none':
        return 'enough';
      case 'unsized':
      case 'refusal':
        return body.collected.add(chunk);
      case 'part': {
        if (this.#sink.stopped())
          throw new ShoalError(
            'CANCELLED',
            `the rest of an answer of ${this.#host} is not wanted any more`,
          );
        const from = Math.max(0, body.skipBytes - body.seenBytes);
        const to = Math.min(chunk.length, body.skipBytes + body.lengthBytes - body.seenBytes);
        body.seenBytes += chunk.length;
        if (body.seenBytes > body.bodyBytes)
          throw new ShoalError('ORIGIN_BROKEN', `${this.#host} sent more than it announced`);
        if (to > from) {
          body.givenBytes += to - from;
          this.#sink.data(chunk.subarray(from, to));
        }
        // What follows of a whole object is left unread; a part is read to its end, for the
        // connection's sake.
        return body.givenBytes === body.lengthBytes && body.seenBytes < body.bodyBytes
          ? 'enough'
          : 'more';
      }
    }
  }

  /** @throws Error when the answer is no plain part: its bytes are not all the sink's */
  room(bytesMax: number): Uint8Array {
    const body = this.#body;
    if (body.kind !== 'part' || body.lengthBytes !== body.bodyBytes)
      throw new Error('only a part as it was asked for is put in place');
    return this.#sink.room(Math.min(bytesMax, body.lengthBytes - body.givenBytes));
  }

  placed(bytes: number): 'more' | 'enough' {
    const body = this.#body;
    if (body.kind !== 'part') throw new Error('only a part is put in place');
    if (this.#sink.stopped())
      throw new ShoalError(
        'CANCELLED',
        `the rest of an answer of ${this.#host} is not wanted any more`,
      );
    body.seenBytes += bytes;
    body.givenBytes += bytes;
    this.#sink.placed(bytes);
    return 'more';
  }

  /** Whether what came was 206 with a length, as nearly all parts come. */
  get isPlain(): boolean {
    return this.#isPlain;
  }

  stopped(): boolean {
    return this.#sink.stopped();
  }

  /** The status the upstream said no with, or null. */
  get refusedStatus(): number | null {
    return this.#body.kind === 'refusal' ? this.#body.status : null;
  }

  refusal(): ShoalError {
    if (this.#body.kind !== 'refusal') throw new Error('the upstream has not refused');
    return refusal(this.#host, this.#body.status, this.#body.headers, this.#body.collected.bytes());
  }

  /**
   * The answer has ended: sees that everything was there.
   * @throws ShoalError ORIGIN_BROKEN
   */
  finish(): void {
    const body = this.#body;
    if (body.kind === 'part' && body.givenBytes !== body.lengthBytes) {
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#host} ended after ${body.givenBytes} of ${body.lengthBytes} bytes`,
      );
    }
    if (body.kind === 'unsized') {
      const whole = body.collected.bytes();
      const lengthBytes = Math.min(whole.length, this.#asked.endBytes);
      this.#sink.head({ totalBytes: whole.length, startBytes: 0, lengthBytes });
      if (lengthBytes > 0) this.#sink.data(whole.subarray(0, lengthBytes));
    }
  }
}
