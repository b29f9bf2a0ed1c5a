import { ShoalError } from '../errors.ts';
import { SHARD_BYTES } from '../limits.ts';
import { parseContentRange } from '../registry/range.ts';
import { ORIGIN_ERROR_BODY_BYTES_MAX } from './limits.ts';
import { BodyCollector, refusal } from './body.ts';
import { codingsOf } from './codings.ts';
import type { AnswerReader, Flow } from './exchange.ts';
import { judgeRangeAnswer, type AskedRange, type OriginHeaders } from './content-range.ts';
import type { StreamBody, WholeStream } from './whole-stream.ts';

/** Read at once from a body of which only some bytes are wanted. */
const SCRATCH_BYTES = 64 * 1024;

/** Takes the bytes of a read. Chunks are valid only during the call. */
export interface OriginSink {
  head(head: { totalBytes: number; startBytes: number; lengthBytes: number }): void;
  data(chunk: Uint8Array): void;
  /** Where the next bytes, at most `bytesMax`, may be written instead of a call of `data`. */
  room(bytesMax: number): Uint8Array;
  /** So many bytes were written at the start of the last room. */
  placed(bytes: number): void;
  /** Whether the rest is no longer wanted; called between chunks and every LOOK_MS. */
  stopped(): boolean;
}

/**
 * The origin answers with the whole object where a part was asked for, and the caller did not allow
 * the read to become a stream.
 */
export class WholeOnly extends ShoalError {
  constructor(host: string) {
    super('ORIGIN_BROKEN', `${host} does not serve ranges of this object`);
  }
}

/** Makes the body of an answer a stream that other reads can share. */
type Adopt = (body: StreamBody, flow: Flow) => WholeStream;

/** What to do with a body that runs on past the bytes asked for. */
type BeyondAsked =
  /** It becomes a stream. */
  | Adopt
  /** The read fails with WholeOnly. */
  | 'refuse'
  /** Only the object's size is wanted: the answer ends with its head. */
  | 'size';

type Body =
  | { kind: 'none' }
  | {
      kind: 'part';
      skipBytes: number;
      lengthBytes: number;
      bodyBytes: number | null;
      seenBytes: number;
      givenBytes: number;
    }
  | { kind: 'stream'; stream: WholeStream }
  | { kind: 'refusal'; status: number; headers: OriginHeaders; collected: BodyCollector };

/** Takes the answer to one ranged request and gives the sink the bytes asked for, and no others. */
export class RangeReader implements AnswerReader {
  /** The range ran past the end: the object's size, within which to ask again. */
  again: number | null = null;
  /** The answer to a Range was unusable: to be asked for without one. */
  wantsPlain = false;
  /** What the head said of the object's size. */
  totalBytes: number | null = null;
  readonly #asked: AskedRange;
  readonly #sink: OriginSink;
  readonly #host: string;
  readonly #beyond: BeyondAsked;
  readonly #saidBytes: number | null;
  readonly #adopted = Promise.withResolvers<WholeStream>();
  #body: Body = { kind: 'none' };
  #scratch: Uint8Array | null = null;
  #isPart = false;
  #isPlainPart = false;

  /** `saidBytes`: see OriginTarget. */
  constructor(
    asked: AskedRange,
    sink: OriginSink,
    host: string,
    beyond: BeyondAsked,
    saidBytes: number | null = null,
  ) {
    this.#asked = asked;
    this.#sink = sink;
    this.#host = host;
    this.#beyond = beyond;
    this.#saidBytes = saidBytes;
  }

  head(given: number, headers: OriginHeaders, flow: Flow | null): 'more' | 'enough' {
    const status = meantStatus(given, headers);
    this.#isPart = status === 206;
    const coding = headers['content-encoding'];
    this.#isPlainPart =
      given === 206 &&
      headers['content-length'] !== undefined &&
      (coding === undefined || coding === 'identity');
    if (status !== 200 && status !== 204 && status !== 206 && status !== 416) {
      this.#refuse(status, headers);
      return 'more';
    }
    const codings = codingsOf(coding);
    if (status === 200 && codings.length > 0 && mayDecode(headers, this.#asked))
      return this.#runOn({ startBytes: 0, totalBytes: null, codings }, flow);
    const verdict = judgeRangeAnswer(status, headers, this.#asked, this.#saidBytes);
    switch (verdict.kind) {
      case 'again':
        this.again = verdict.totalBytes;
        return 'enough';
      case 'plain':
        this.wantsPlain = true;
        this.#refuse(status, headers);
        return 'enough';
      case 'whole':
        this.totalBytes = verdict.totalBytes;
        return this.#runOn(verdict, flow);
      case 'use': {
        const { skipBytes, lengthBytes, bodyBytes, totalBytes } = verdict;
        this.totalBytes = totalBytes;
        const startBytes = this.#asked.offsetBytes - skipBytes;
        const runsOn =
          bodyBytes !== null &&
          bodyBytes > skipBytes + lengthBytes &&
          startBytes + bodyBytes === totalBytes;
        if (runsOn && flow !== null && typeof this.#beyond === 'function')
          return this.#runOn({ startBytes, totalBytes }, flow);
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
      case 'stream':
        return body.stream.data(chunk);
      case 'refusal':
        return body.collected.add(chunk);
      case 'part': {
        this.#assertWanted();
        const from = Math.max(0, body.skipBytes - body.seenBytes);
        const to = Math.min(chunk.length, body.skipBytes + body.lengthBytes - body.seenBytes);
        body.seenBytes += chunk.length;
        if (body.bodyBytes !== null && body.seenBytes > body.bodyBytes)
          throw new ShoalError('ORIGIN_BROKEN', `${this.#host} sent more than it announced`);
        if (to > from) {
          body.givenBytes += to - from;
          this.#sink.data(chunk.subarray(from, to));
        }
        // The rest of a longer answer is left unread. A part is read to its end, so that the
        // connection can be used again.
        return body.givenBytes === body.lengthBytes && body.seenBytes !== body.bodyBytes
          ? 'enough'
          : 'more';
      }
    }
  }

  room(bytesMax: number): Uint8Array {
    const body = this.#body;
    if (body.kind === 'part' && body.lengthBytes === body.bodyBytes)
      return this.#sink.room(Math.min(bytesMax, body.lengthBytes - body.givenBytes));
    // Not all of these bytes are the sink's: they take the way of `data`.
    this.#scratch = new Uint8Array(Math.min(bytesMax, SCRATCH_BYTES));
    return this.#scratch;
  }

  placed(bytes: number): 'more' | 'enough' {
    const scratch = this.#scratch;
    this.#scratch = null;
    if (scratch !== null) return this.data(scratch.subarray(0, bytes));
    const body = this.#body;
    if (body.kind !== 'part') throw new Error('only a part is put in place');
    this.#assertWanted();
    body.seenBytes += bytes;
    body.givenBytes += bytes;
    this.#sink.placed(bytes);
    return 'more';
  }

  stopped(): boolean {
    return this.#body.kind === 'stream' ? this.#body.stream.isDone() : this.#sink.stopped();
  }

  /** Whether the answer was a 206. */
  get isPart(): boolean {
    return this.#isPart;
  }

  /** Whether the answer was a 206 with a length and no coding, as nearly all parts are. */
  get isPlainPart(): boolean {
    return this.#isPlainPart;
  }

  /** Resolves when the answer has become a stream; stays pending otherwise. */
  get adopted(): Promise<WholeStream> {
    return this.#adopted.promise;
  }

  /** The status of the upstream's refusal, or null. */
  get refusedStatus(): number | null {
    return this.#body.kind === 'refusal' ? this.#body.status : null;
  }

  refusal(): ShoalError {
    if (this.#body.kind !== 'refusal') throw new Error('the upstream has not refused');
    return refusal(this.#host, this.#body.status, this.#body.headers, this.#body.collected.bytes());
  }

  /** Bytes given to the sink. */
  get givenBytes(): number {
    return this.#body.kind === 'part' ? this.#body.givenBytes : 0;
  }

  /**
   * Call it when the answer has ended: checks that it was complete.
   * @throws ShoalError ORIGIN_BROKEN
   */
  finish(): void {
    const body = this.#body;
    if (body.kind === 'part' && body.givenBytes !== body.lengthBytes)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#host} ended after ${body.givenBytes} of ${body.lengthBytes} bytes`,
      );
  }

  #refuse(status: number, headers: OriginHeaders): void {
    const collected = new BodyCollector(ORIGIN_ERROR_BODY_BYTES_MAX, 'cut');
    this.#body = { kind: 'refusal', status, headers, collected };
  }

  /** The body runs on past what was asked for. */
  #runOn(body: StreamBody, flow: Flow | null): 'more' | 'enough' {
    if (this.#beyond === 'refuse' || flow === null) throw new WholeOnly(this.#host);
    if (this.#beyond === 'size') return 'enough';
    const stream = this.#beyond(body, flow);
    this.#body = { kind: 'stream', stream };
    this.#adopted.resolve(stream);
    return 'more';
  }

  #assertWanted(): void {
    if (this.#sink.stopped())
      throw new ShoalError(
        'CANCELLED',
        `the rest of an answer of ${this.#host} is no longer wanted`,
      );
  }
}

/**
 * A proxy on the way says 203 where the origin said 200 (RFC 9110, 15.3.4). Some servers say 200
 * where they mean 206: a Content-Range tells.
 */
function meantStatus(status: number, headers: OriginHeaders): number {
  if (status !== 200 && status !== 203) return status;
  const range = parseContentRange(headers['content-range']);
  if (range?.startBytes == null) return 200;
  return range.startBytes === 0 && range.endBytes === range.totalBytes ? 200 : 206;
}

/**
 * Whether a coded body can be collected, to see whether its digest is that of its bytes as they
 * come (the coding is metadata of an object store) or without the coding.
 */
function mayDecode(headers: OriginHeaders, { totalBytes }: AskedRange): boolean {
  const length = headers['content-length'];
  if (length === undefined || Number(length) <= SHARD_BYTES) return true;
  return totalBytes !== null && Number(length) !== totalBytes;
}
