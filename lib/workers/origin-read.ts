import { ShoalError, type WireError } from '../errors.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { OriginTarget, Redirect } from '../origin-target.ts';
import { shardLength } from '../shard.ts';
import { SLICE_FIRST_BYTES_MIN } from './limits.ts';
import type { OriginClient } from '../origin/client.ts';
import type { HeadFact } from '../origin/range-asker.ts';
import { WholeOnly } from '../origin/range-reader.ts';
import type { TransferTools } from './peer/read.ts';
import { checksumSlot, isWholeBlob } from './slot-check.ts';
import { AfterRead } from './after-read.ts';

/** The part of a shard from byte `fromBytes` to its end, to be read into a slot. */
export interface OriginPart {
  slot: number;
  attempt: number;
  shard: number;
  fromBytes: number;
  /**
   * The offset in the shard at which a client waits: bytes from there to the end are read first.
   */
  sliceBytes: number;
}

/**
 * Reads one shard of a blob from the origin, or several consecutive ones. All but the first are
 * read whole.
 */
export interface OriginReadJob extends OriginTarget {
  kind: 'origin';
  parts: OriginPart[];
  /** null: unknown; then there is only one part. */
  totalBytes: number | null;
  /**
   * The blob's digest (`sha256:...`). A blob of one shard must match it before any client gets a
   * byte.
   */
  digest: string | null;
  /** See ReadOptions of lib/origin/client.ts. */
  ranges: HeadFact['ranges'];
  mayStream: boolean;
  redirect?: Redirect | undefined;
  isPlain?: boolean | undefined;
}

/** The outcome for one shard. */
export type OriginReadResult =
  | { kind: 'data'; totalBytes: number; lengthBytes: number; checksum: string }
  /**
   * `wholeOnly`: the origin sends the object only as a whole, and the job did not allow its answer
   * to become a stream. `totalBytes`: the object's size, where the answer had told it.
   */
  | {
      kind: 'failed';
      error: WireError;
      receivedBytes: number;
      wholeOnly?: true;
      totalBytes?: number;
    };

/**
 * What a job reports while it runs: the facts in the head of an answer, then a result for each
 * shard.
 */
export type OriginReadNews = ({ kind: 'head' } & HeadFact) | OriginReadResult;

/**
 * Runs a job. Reports the result of each part, in order, after the last write to its slot. Always
 * resolves. A cancelled part is skipped, or stopped if it is being read, and the rest is requested
 * again. Any other failure ends all parts that are not complete.
 */
export async function readFromOrigin(
  job: OriginReadJob,
  origin: Pick<OriginClient, 'readRange'>,
  tools: TransferTools,
  over: (result: OriginReadResult, part: OriginPart) => void,
  learned: (fact: HeadFact) => void = () => undefined,
): Promise<void> {
  const { arena } = tools;
  let left = job.parts;
  while (left.length > 0) {
    const unwanted = left.findIndex(({ slot, attempt }) => arena.cancelled(slot, attempt));
    if (unwanted === 0) {
      over(
        {
          kind: 'failed',
          error: new ShoalError('CANCELLED', 'not wanted any more').toWire(),
          receivedBytes: left[0]!.fromBytes,
        },
        left[0]!,
      );
      left = left.slice(1);
    } else
      left = left.slice(
        await new PartsReading(
          job,
          unwanted < 0 ? left : left.slice(0, unwanted),
          tools,
          over,
          learned,
        ).run(origin),
      );
  }
}

/** One request for consecutive parts (two requests if a slice comes first). */
class PartsReading {
  readonly #job: OriginReadJob;
  readonly #parts: readonly OriginPart[];
  readonly #tools: TransferTools;
  readonly #over: (result: OriginReadResult, part: OriginPart) => void;
  readonly #learned: (fact: HeadFact) => void;
  readonly #afterRead = new AfterRead();
  #at = 0;
  /** Of the current part. */
  #receivedBytes = 0;
  #lengthBytes = -1;
  #totalBytes: number;

  constructor(
    job: OriginReadJob,
    parts: readonly OriginPart[],
    tools: TransferTools,
    over: (result: OriginReadResult, part: OriginPart) => void,
    learned: (fact: HeadFact) => void,
  ) {
    this.#job = job;
    this.#parts = parts;
    this.#tools = tools;
    this.#over = over;
    this.#learned = learned;
    this.#totalBytes = job.totalBytes ?? -1;
    this.#receivedBytes = this.#part.fromBytes;
  }

  /** Reads the parts; returns how many of them have ended. */
  async run(origin: Pick<OriginClient, 'readRange'>): Promise<number> {
    const sliceBytes = this.#parts.length === 1 ? sliceFirst(this.#job, this.#part) : 0;
    const { arena } = this.#tools;
    const { slot, fromBytes } = this.#part;
    try {
      if (fromBytes > 0 && fromBytes === arena.length(slot)) {
        // All bytes came, but the thread that read them ended before it said so.
        this.#totalBytes = arena.total(slot);
        this.#lengthBytes = fromBytes;
      } else if (sliceBytes > 0) {
        await this.#read(origin, sliceBytes, SHARD_BYTES, (bytes) =>
          this.#afterRead.add(() => arena.setAhead(slot, sliceBytes, bytes)),
        );
        this.#afterRead.now();
        await this.#read(origin, this.#part.fromBytes, sliceBytes, (bytes) => this.#receive(bytes));
        this.#receive(this.#lengthBytes);
      } else
        await this.#read(origin, this.#part.fromBytes, this.#parts.length * SHARD_BYTES, (bytes) =>
          this.#receiveInOrder(bytes),
        );
      this.#afterRead.now();
      this.#partDone();
    } catch (thrown) {
      this.#afterRead.now();
      const error = ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire();
      const wholeOnly = thrown instanceof WholeOnly;
      this.#partFailed(error, wholeOnly);
      while (error.code !== 'CANCELLED' && this.#at < this.#parts.length)
        this.#partFailed(error, wholeOnly);
    }
    return this.#at;
  }

  get #part(): OriginPart {
    return this.#parts[this.#at]!;
  }

  /**
   * Reads [startBytes, endBytes), counted from the start of the current part. `advance` gets the
   * offset in the current part up to which bytes have arrived.
   */
  async #read(
    origin: Pick<OriginClient, 'readRange'>,
    startBytes: number,
    endBytes: number,
    advance: (bytes: number) => void,
  ): Promise<void> {
    const job = this.#job;
    const { arena, doorbells } = this.#tools;
    const firstBytes = this.#part.shard * SHARD_BYTES;
    let atBytes = startBytes;
    /** The end of the current part or of the requested range, whichever is first. */
    const untilBytes = (): number =>
      Math.min(this.#lengthBytes, endBytes - (this.#part.shard * SHARD_BYTES - firstBytes));
    const came = (bytes: number): void => {
      const part = this.#at;
      advance((atBytes += bytes));
      if (this.#at !== part) atBytes = 0;
      this.#afterRead.add(() => doorbells.ringAll());
    };
    await origin.readRange(
      job,
      {
        offsetBytes: firstBytes + startBytes,
        lengthBytes: endBytes - startBytes,
        totalBytes: job.totalBytes,
      },
      {
        head: (head) => {
          if (job.totalBytes !== null && head.totalBytes !== job.totalBytes)
            throw new ShoalError(
              'ORIGIN_BROKEN',
              `the blob's size changed from ${job.totalBytes} to ${head.totalBytes} bytes`,
            );
          this.#totalBytes = head.totalBytes;
          this.#measure();
        },
        data: (chunk) => {
          let rest = chunk;
          while (rest.length > 0) {
            const piece = rest.subarray(0, untilBytes() - atBytes);
            if (piece.length === 0)
              throw new ShoalError('ORIGIN_BROKEN', 'the origin sent more than was asked for');
            arena.bytes(this.#part.slot, atBytes, atBytes + piece.length).set(piece);
            came(piece.length);
            rest = rest.subarray(piece.length);
          }
        },
        // Never past the current part.
        room: (bytesMax) =>
          arena.bytes(this.#part.slot, atBytes, Math.min(atBytes + bytesMax, untilBytes())),
        placed: (bytes) => came(bytes),
        stopped: () => arena.cancelled(this.#part.slot, this.#part.attempt),
      },
      {
        ranges: job.ranges,
        mayStream: job.mayStream,
        learned: this.#learned,
        redirect: job.redirect,
        isPlain: job.isPlain,
      },
    );
    if (this.#at < this.#parts.length - 1 || atBytes < untilBytes())
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `the origin ended after ${atBytes} of ${this.#lengthBytes} bytes of a shard`,
      );
  }

  /** Sets the length of the current part's slot, once the blob's size is known. */
  #measure(): void {
    const { slot, shard } = this.#part;
    this.#lengthBytes = shardLength(this.#totalBytes, shard);
    this.#tools.arena.setLength(slot, this.#lengthBytes, this.#totalBytes);
    this.#tools.doorbells.ringAll();
  }

  #receive(bytes: number): void {
    const { arena } = this.#tools;
    const { slot } = this.#part;
    const isReleased = !isWholeBlob(this.#job, this.#totalBytes);
    this.#receivedBytes = bytes;
    this.#afterRead.add(() => {
      arena.setReceived(slot, bytes);
      if (isReleased) arena.setReleased(slot, bytes);
    });
  }

  #receiveInOrder(bytes: number): void {
    this.#receive(bytes);
    // The last part is complete only when the answer has ended correctly.
    if (bytes === this.#lengthBytes && this.#at < this.#parts.length - 1) {
      const [part, lengthBytes] = [this.#part, this.#lengthBytes];
      this.#goOn();
      this.#afterRead.add(() => this.#over(this.#checked(part, lengthBytes), part));
    }
  }

  #partDone(): void {
    const part = this.#part;
    const result = this.#checked(part, this.#lengthBytes);
    this.#goOn();
    this.#over(result, part);
  }

  #checked({ slot }: OriginPart, lengthBytes: number): OriginReadResult {
    const [totalBytes, { arena }] = [this.#totalBytes, this.#tools];
    const checksum = checksumSlot(
      { slot, digest: this.#job.digest },
      lengthBytes,
      totalBytes,
      arena,
    );
    return { kind: 'data', totalBytes, lengthBytes, checksum };
  }

  #partFailed(error: WireError, wholeOnly: boolean): void {
    const part = this.#part;
    const receivedBytes = this.#receivedBytes;
    const told = this.#totalBytes < 0 ? {} : { totalBytes: this.#totalBytes };
    this.#goOn();
    this.#over(
      { kind: 'failed', error, receivedBytes, ...told, ...(wholeOnly ? { wholeOnly } : {}) },
      part,
    );
  }

  /** Continues with the next part, if there is one. */
  #goOn(): void {
    this.#at += 1;
    if (this.#at === this.#parts.length) return;
    this.#receivedBytes = this.#part.fromBytes;
    if (this.#totalBytes >= 0) this.#measure();
  }
}

/**
 * The offset from which the shard is read first; 0: in order. A shard is read in order if the slice
 * is near the first byte to read, if its blob is released only as a whole, if the size is unknown
 * (there may be nothing after the slice), or if it is read from a stream.
 */
function sliceFirst(
  { totalBytes, digest, ranges }: OriginReadJob,
  { fromBytes, sliceBytes, shard }: OriginPart,
): number {
  if (ranges === 'whole' || totalBytes === null || isWholeBlob({ digest }, totalBytes)) return 0;
  const lengthBytes = shardLength(totalBytes, shard);
  return sliceBytes < lengthBytes && sliceBytes - fromBytes >= SLICE_FIRST_BYTES_MIN
    ? sliceBytes
    : 0;
}
