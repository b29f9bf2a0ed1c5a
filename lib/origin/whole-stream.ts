import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { BodyCollector } from './body.ts';
import { decoded } from './codings.ts';
import type { Flow } from './exchange.ts';
import { STREAM_IDLE_MS, STREAM_LEFTOVER_BYTES_MAX, UNSIZED_BODY_BYTES_MAX } from './limits.ts';
import type { OriginSink } from './range-reader.ts';

/** The body of an answer that runs on. */
export interface StreamBody {
  startBytes: number;
  totalBytes: number | null;
  /** Codings that the body may have; see `codingsOf`. */
  codings?: readonly string[];
}

/** One read that waits for its part of a stream, or is taking it. */
interface StreamRead {
  /** The next byte it needs. */
  atBytes: number;
  endBytes: number;
  readonly sinceMs: number;
  readonly sink: OriginSink;
  resolve(): void;
  reject(error: ShoalError): void;
}

/**
 * The body of one long answer (a 200, or a 206 without an end) that several reads share. Reads take
 * their parts in the order of their offsets. While no read wants the next byte the stream is
 * paused,
 * so its memory is bounded. A stream that no read uses for STREAM_IDLE_MS ends.
 *
 * A read may wait for a part further on. The bytes before it are skipped only when no read has
 * wanted them for a while: the reads before it may come late, and skipped bytes would have to
 * be requested again.
 *
 * A body of unknown length is collected first (at most UNSIZED_BODY_BYTES_MAX), because a read's
 * sink needs the object's size before the first byte. Its bytes are kept for further reads. Where
 * the end of the connection ends it, only the digest tells whether it has come whole.
 */
export class WholeStream {
  readonly #host: string;
  readonly #clock: Clock;
  readonly #flow: Flow;
  /** How long a read waits for the bytes before it to be wanted. */
  readonly #gapMs: number;
  readonly #digest: string | null;
  readonly #codings: readonly string[];
  #reads: StreamRead[] = [];
  #atBytes: number;
  #totalBytes: number | null;
  /** Received but not yet taken by a read. */
  #leftover: Uint8Array[] = [];
  #leftoverBytes = 0;
  #isPaused = false;
  #usedMs: number;
  #collected: BodyCollector | null = null;
  /**
   * What is served after the body has ended: the whole object if its length was unknown, or the
   * rest that no read has taken yet.
   */
  #kept: { fromBytes: number; bytes: Uint8Array } | null = null;
  #over: ShoalError | 'done' | null = null;

  constructor(
    options: { host: string; clock: Clock; flow: Flow; gapMs: number; digest: string | null },
    body: StreamBody,
  ) {
    this.#host = options.host;
    this.#clock = options.clock;
    this.#flow = options.flow;
    this.#gapMs = options.gapMs;
    this.#digest = options.digest;
    this.#codings = body.codings ?? [];
    this.#atBytes = body.startBytes;
    this.#totalBytes = body.totalBytes;
    this.#usedMs = options.clock.nowMs();
    if (body.totalBytes === null)
      this.#collected = new BodyCollector(UNSIZED_BODY_BYTES_MAX, 'refuse');
  }

  /** The object's size; null until a body without a length has ended. */
  get totalBytes(): number | null {
    return this.#totalBytes;
  }

  /** Whether a read from `offsetBytes` on can join. */
  serves(offsetBytes: number): boolean {
    if (this.#kept !== null) return offsetBytes >= this.#kept.fromBytes;
    return this.#over === null && offsetBytes >= this.#atBytes;
  }

  get isUsed(): boolean {
    return this.#reads.length > 0;
  }

  get usedMs(): number {
    return this.#usedMs;
  }

  /**
   * Reads [offsetBytes, endBytes), or less where the object ends earlier. Resolves when the sink
   * has every byte. Call it only when `serves(offsetBytes)`.
   * @throws ShoalError ORIGIN_BROKEN, ORIGIN_TIMEOUT, CANCELLED, or what the sink threw
   */
  read(offsetBytes: number, endBytes: number, sink: OriginSink): Promise<void> {
    this.#usedMs = this.#clock.nowMs();
    return new Promise((resolve, reject) => {
      const read: StreamRead = {
        atBytes: offsetBytes,
        endBytes,
        sinceMs: this.#usedMs,
        sink,
        resolve,
        reject,
      };
      this.#reads.push(read);
      if (this.#totalBytes !== null) this.#announce(read, this.#totalBytes);
      if (this.#kept !== null) this.#serveKept();
      else this.#advance();
    });
  }

  /** Takes the next piece of the body; the piece is valid only during the call. */
  data(chunk: Uint8Array): 'more' | 'enough' {
    if (this.#collected !== null) return this.#collected.add(chunk);
    const rest = this.#leftover.length > 0 ? chunk : this.#deliver(chunk);
    if (rest.length > 0) this.#keepLeftover(rest);
    return 'more';
  }

  /** The body has ended (null) or failed. */
  end(error: ShoalError | null): void {
    if (this.#over !== null) return;
    const collected = error === null ? this.#collected?.bytes() : undefined;
    const whole = collected === undefined ? null : this.#wholeOf(collected);
    if (whole !== null) {
      this.#collected = null;
      this.#totalBytes = whole.length;
      for (const read of [...this.#reads]) this.#announce(read, this.#totalBytes);
      this.#keep(0, whole);
      return;
    }
    // What has arrived is good, whatever happened afterwards.
    this.#atBytes += collected?.length ?? 0;
    this.#advance();
    if (this.#leftoverBytes > 0 && this.#atBytes + this.#leftoverBytes === this.#totalBytes) {
      this.#keep(this.#atBytes, Buffer.concat(this.#leftover.splice(0)));
      return;
    }
    const isWhole = this.#totalBytes !== null && this.#atBytes >= this.#totalBytes;
    this.#over = error ?? (isWhole ? 'done' : this.#cutShort());
    const failure = this.#over === 'done' ? this.#cutShort() : this.#over;
    for (const read of this.#reads.splice(0)) read.reject(failure);
  }

  /**
   * Called every LOOK_MS while the answer is under way: drops reads nobody wants any more and
   * skips bytes nobody wants. Whether the stream is no longer needed.
   */
  isDone(): boolean {
    for (const read of this.#reads.filter(({ sink }) => sink.stopped())) this.#drop(read);
    if (this.#collected !== null) return this.#reads.length === 0 && this.#isIdle();
    this.#skipGap();
    this.#advance();
    return this.#isRead() || (this.#reads.length === 0 && this.#isIdle());
  }

  /** Whether the body has ended and is kept in memory for further reads, all or its rest. */
  get isKept(): boolean {
    return this.#kept !== null;
  }

  /** Whether a body that was kept has not been used for STREAM_IDLE_MS. */
  get isExpired(): boolean {
    return this.#over !== null && this.#isIdle();
  }

  #isIdle(): boolean {
    return this.#clock.nowMs() - this.#usedMs >= STREAM_IDLE_MS;
  }

  /** Every byte up to the end was handed over. */
  #isRead(): boolean {
    return this.#totalBytes !== null && this.#atBytes >= this.#totalBytes;
  }

  /**
   * The object in a body that was collected: as it came, or without the codings of the way; null:
   * neither has the digest.
   */
  #wholeOf(collected: Uint8Array): Uint8Array | null {
    if (hasDigest(collected, this.#digest)) return collected;
    const whole = decoded(collected, this.#codings, UNSIZED_BODY_BYTES_MAX);
    return whole !== null && hasDigest(whole, this.#digest) ? whole : null;
  }

  #cutShort(): ShoalError {
    return new ShoalError(
      'ORIGIN_BROKEN',
      `${this.#host} ended its answer at byte ${this.#atBytes} of ${this.#totalBytes ?? 'unknown'}`,
    );
  }

  #announce(read: StreamRead, totalBytes: number): void {
    read.endBytes = Math.min(read.endBytes, totalBytes);
    const lengthBytes = Math.max(0, read.endBytes - read.atBytes);
    this.#guarded(read, () =>
      read.sink.head({ totalBytes, startBytes: read.atBytes, lengthBytes }),
    );
    if (lengthBytes === 0) this.#settle(read);
  }

  /** Gives the reads at the stream's position their bytes; returns what no read wants yet. */
  #deliver(chunk: Uint8Array): Uint8Array {
    let rest = chunk;
    while (rest.length > 0) {
      const takers = this.#reads.filter(({ atBytes }) => atBytes === this.#atBytes);
      if (takers.length === 0) return rest;
      const untilBytes = Math.min(
        this.#atBytes + rest.length,
        ...takers.map(({ endBytes }) => endBytes),
        ...this.#reads.flatMap(({ atBytes }) => (atBytes > this.#atBytes ? [atBytes] : [])),
      );
      const piece = rest.subarray(0, untilBytes - this.#atBytes);
      rest = rest.subarray(piece.length);
      this.#atBytes = untilBytes;
      this.#usedMs = this.#clock.nowMs();
      for (const read of takers) {
        this.#guarded(read, () => {
          if (read.sink.stopped()) throw cancelled(this.#host);
          read.sink.data(piece);
        });
        read.atBytes = untilBytes;
        if (untilBytes === read.endBytes) this.#settle(read);
      }
    }
    return rest;
  }

  #keepLeftover(rest: Uint8Array): void {
    // A copy: the chunk may be a view into a buffer that is used again.
    this.#leftover.push(rest.slice());
    this.#leftoverBytes += rest.length;
    if (this.#leftoverBytes > STREAM_LEFTOVER_BYTES_MAX)
      throw new ShoalError('INTERNAL', 'a paused answer went on');
    if (!this.#isPaused) this.#flow.pause();
    this.#isPaused = true;
  }

  /** Goes on with what has arrived, then with the connection. */
  #advance(): void {
    while (this.#leftover.length > 0) {
      const first = this.#leftover[0]!;
      const rest = this.#deliver(first);
      this.#leftoverBytes -= first.length - rest.length;
      if (rest.length > 0) {
        this.#leftover[0] = rest;
        return;
      }
      this.#leftover.shift();
    }
    if (this.#isPaused && this.#over === null && this.#isWanted()) {
      this.#isPaused = false;
      this.#flow.resume();
    }
  }

  #isWanted(): boolean {
    return this.#reads.some(({ atBytes }) => atBytes === this.#atBytes);
  }

  /** Skips to the next read when nobody has asked for the bytes before it in time. */
  #skipGap(): void {
    if (this.#reads.length === 0 || this.#isWanted()) return;
    const next = this.#reads.reduce((one, other) => (other.atBytes < one.atBytes ? other : one));
    const nowMs = this.#clock.nowMs();
    if (nowMs - Math.max(next.sinceMs, this.#usedMs) < this.#gapMs) return;
    this.#reads.push({
      atBytes: this.#atBytes,
      endBytes: next.atBytes,
      sinceMs: nowMs,
      sink: NOWHERE,
      resolve: () => undefined,
      reject: () => undefined,
    });
  }

  #keep(fromBytes: number, bytes: Uint8Array): void {
    this.#kept = { fromBytes, bytes };
    this.#over = 'done';
    this.#serveKept();
  }

  #serveKept(): void {
    const { fromBytes, bytes } = this.#kept!;
    for (const read of [...this.#reads]) {
      const part = bytes.subarray(read.atBytes - fromBytes, read.endBytes - fromBytes);
      this.#guarded(read, () => read.sink.data(part));
      this.#settle(read);
    }
  }

  /** What a read's sink throws fails that read, and no other one. */
  #guarded(read: StreamRead, step: () => void): void {
    if (!this.#reads.includes(read)) return;
    try {
      step();
    } catch (thrown) {
      this.#remove(read);
      read.reject(ShoalError.from(thrown, 'INTERNAL'));
    }
  }

  #drop(read: StreamRead): void {
    this.#remove(read);
    read.reject(cancelled(this.#host));
  }

  #settle(read: StreamRead): void {
    if (!this.#reads.includes(read)) return;
    this.#remove(read);
    read.resolve();
  }

  #remove(read: StreamRead): void {
    this.#reads = this.#reads.filter((other) => other !== read);
  }
}

/** Whether these bytes have the digest; true where it is unknown, or not a sha256. */
function hasDigest(bytes: Uint8Array, digest: string | null): boolean {
  const [algorithm, wanted] = digest?.split(':') ?? [];
  return algorithm !== 'sha256' || createHash('sha256').update(bytes).digest('hex') === wanted;
}

/** Takes bytes that nobody wants. */
const NOWHERE: OriginSink = {
  head: () => undefined,
  data: () => undefined,
  room: () => new Uint8Array(0),
  placed: () => undefined,
  stopped: () => false,
};

function cancelled(host: string): ShoalError {
  return new ShoalError('CANCELLED', `the rest of an answer of ${host} is no longer wanted`);
}
