import type { HttpResponse } from 'uWebSockets.js';
import { ShoalError, type ErrorCode } from '../errors.ts';
import {
  BRIEF_READ_BYTES_MAX,
  READ_AHEAD_FROM,
  SIZE_QUESTIONS_MAX,
  SMALL_READ_BYTES_MAX,
} from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import { otherSize } from '../registry/blob-size.ts';
import {
  ifRangeHolds,
  isAtMost,
  noneMatchFails,
  parseRange,
  resolveRange,
  type ParsedRange,
  type Span,
} from '../registry/range.ts';
import { namespaceOf } from '../registry/route.ts';
import { STALE_WARNING } from '../registry/words.ts';
import type { ControlMessage } from '../workers/messages.ts';
import { blobHeadOf, writeBlobHead } from './blob-head.ts';
import { BodySender, type Place } from './body-sender.ts';
import type { BlobAnswerTools, BlobRequest } from './blob-request.ts';
import { ReadAccount } from './read-account.ts';
import { endBodyless, refuse, statusLine } from './responses.ts';
import type { WarmBlob } from './warm.ts';

/**
 * Answers one client's read of one blob.
 *
 *   (warm | open -> opened) -> size known -> head written -> body sent shard by shard -> closed
 *      \-> refused: an error response, or a closed connection once the head is sent
 */
export class BlobAnswer {
  readonly #res: HttpResponse;
  readonly #request: BlobRequest;
  readonly #tools: BlobAnswerTools;
  readonly #range: ParsedRange;
  readonly #startMs: number;
  #stream: number | null = null;
  #blob: WarmBlob | null = null;
  #first: { shard: number; place: Place } | null = null;
  /** Shards read ahead that control reported before the answer started. */
  readonly #ahead = new Map<number, Place>();
  /** Time until which the same request may be answered without asking control. */
  #grantUntilMs = 0;
  #stale = false;
  /** The only size that the client may be told; null: any. See `opened`. */
  #provenBytes: number | null = null;
  /** What is here has another size: control has been asked which is right. */
  #isSizing = false;
  #sizings = 0;
  #isComing = false;
  #sender: BodySender | null = null;
  #offsetBytes = 0;
  #opened = -1;
  /** First shard of the opened stream. */
  #fromBytes = 0;
  readonly #account: ReadAccount;
  #over = false;

  constructor(
    res: HttpResponse,
    request: BlobRequest,
    tools: BlobAnswerTools,
    startMs: number = tools.nowMs(),
  ) {
    this.#res = res;
    this.#request = request;
    this.#tools = tools;
    // A Range counts for GET only (RFC 9110, 14.2).
    this.#range = parseRange(request.bodyless ? '' : request.range);
    this.#startMs = startMs;
    const { name, warm } = request;
    this.#account = new ReadAccount(tools, name, warm.authorization, startMs);
    res.onAborted(() => this.#finish(true, null));
    tools.started();
  }

  /**
   * Starts from a grant that this front remembers for the same request. Falls back to `startCold`
   * when the first byte is not in memory, since the request may still be refused.
   */
  startWarm(blob: WarmBlob): void {
    if (!this.#request.bodyless && !this.#isHere(blob)) {
      this.#openStream(this.#span(blob.totalBytes).startBytes);
      return;
    }
    this.#blob = blob;
    this.#begin();
  }

  /** Continues a warm read whose head and first `sentBytes` of body, from `slot`, are sent. */
  goOnWarm(blob: WarmBlob, span: Span, sentBytes: number, slot: number): void {
    this.#blob = blob;
    this.#offsetBytes = span.startBytes;
    this.#sender = this.#senderOf(span);
    this.#sender.goOn(sentBytes, slot);
  }

  /** Asks control whether the client may read the blob, and where its shards are. */
  startCold(): void {
    this.#openStream(this.#range.kind === 'from' ? this.#range.startBytes : 0);
  }

  get isBrief(): boolean {
    return isAtMost(this.#range, BRIEF_READ_BYTES_MAX);
  }

  /**
   * Waits for the length of the first shard, which comes with the blob's size, and for a byte to
   * send. Until then an error can still be reported with a status.
   */
  look(): boolean {
    const first = this.#first;
    // Control may have reported another place meanwhile, and the answer has started from that.
    if (this.#over || first === null || this.#blob !== null) return false;
    const { arena } = this.#tools;
    const { slot, generation } = first.place;
    const within = this.#fromBytes % SHARD_BYTES;
    const lengthBytes = arena.length(slot);
    // The size is only a claim of the sender until a byte is vouched for. Where there is no byte to
    // send, the claim is believed with the whole shard.
    const isClaim =
      within < lengthBytes
        ? arena.sendableTo(slot, within) <= within
        : arena.released(slot) < lengthBytes;
    const waits = lengthBytes < 0 || isClaim;
    const totalBytes = arena.total(slot);
    if (arena.generation(slot) !== generation) {
      // The slot was evicted before this look: ask for it again.
      this.#first = null;
      this.#tools.link.want(this.#stream!, first.shard, false);
      return false;
    }
    if (waits && lengthBytes > 0) this.#comes(first.shard, arena.received(slot) / lengthBytes);
    return waits || !this.#sized(totalBytes);
  }

  /** `part` of the first shard is here: control may request the others, to come behind it. */
  #comes(shard: number, part: number): void {
    if (this.#isComing || part < READ_AHEAD_FROM || this.#stream === null) return;
    this.#isComing = true;
    const isSmall = isAtMost(this.#range, SMALL_READ_BYTES_MAX);
    if (!isSmall) this.#tools.link.want(this.#stream, shard, true);
  }

  /** Whether the first requested byte can be sent now. */
  #isHere(blob: WarmBlob): boolean {
    const { startBytes, endBytes } = this.#span(blob.totalBytes);
    if (startBytes === endBytes) return true;
    const place = blob.places.get(Math.floor(startBytes / SHARD_BYTES));
    const within = startBytes % SHARD_BYTES;
    return (
      place !== undefined &&
      this.#tools.arena.sendableTo(place.slot, within) > within &&
      this.#tools.arena.generation(place.slot) === place.generation
    );
  }

  /** Opens a stream that reads the blob from `fromBytes` on. */
  #openStream(fromBytes: number): void {
    const shard = Math.floor(fromBytes / SHARD_BYTES);
    this.#opened = shard;
    this.#fromBytes = fromBytes;
    const { name, warm, requestId, traceparent } = this.#request;
    const authorization = warm.authorization === '' ? null : warm.authorization;
    this.#stream = this.#tools.link.open(
      name,
      {
        authorization,
        shard,
        sliceBytes: fromBytes % SHARD_BYTES,
        untilShard: this.#lastShard(shard),
        sequential: this.#range.kind !== 'from' || this.#range.endBytes !== undefined,
        small: isAtMost(this.#range, SMALL_READ_BYTES_MAX),
        requestId,
        ...(traceparent === '' ? {} : { traceparent }),
      },
      (message) => this.#heard(message),
    );
  }

  /** The last shard that the request's range covers, if it has an end. */
  #lastShard(first: number): number | null {
    if (this.#request.bodyless) return first;
    const range = this.#range;
    if (range.kind !== 'from' || range.endBytes === undefined) return null;
    return Math.max(first, Math.floor(range.endBytes / SHARD_BYTES));
  }

  #heard(message: ControlMessage): void {
    if (this.#over) return;
    switch (message.kind) {
      case 'opened':
        this.#grantUntilMs = this.#tools.nowMs() + message.grantMs;
        this.#stale = message.stale;
        this.#provenBytes = message.provenBytes;
        if (message.cold) this.#account.cold(message.shard);
        this.#account.waitedForAccess(message.slot, this.#fromBytes, message.turnMs);
        this.#placed(message.shard, message, message.totalBytes);
        return;
      case 'granted':
        if (message.cold) this.#account.cold(message.shard);
        this.#placed(message.shard, message, message.totalBytes);
        return;
      case 'sized':
        this.#settled(message.totalBytes);
        return;
      case 'refused':
        this.#fail(ShoalError.fromWire(message.error));
        return;
      default:
        throw new Error(`a stream over a blob got the message ${message.kind}`);
    }
  }

  #placed(shard: number, at: Place, totalBytes: number | null): void {
    const place = { slot: at.slot, generation: at.generation };
    if (this.#blob !== null) {
      this.#blob.places.set(shard, place);
      this.#sender?.placed(shard, place);
      return;
    }
    // Shards read ahead may arrive much later than the shard that the answer starts with.
    if (shard !== this.#opened) {
      this.#ahead.set(shard, place);
      return;
    }
    this.#first = { shard, place };
    if (totalBytes !== null && this.#request.bodyless && this.#sized(totalBytes)) return;
    if (this.look()) this.#tools.followers.add(this);
  }

  /** Control has checked the size: bytes here of another size are fetched again. */
  #settled(totalBytes: number | null): void {
    this.#isSizing = false;
    this.#provenBytes = totalBytes;
    if (this.#blob !== null || this.#first === null) return;
    const { shard } = this.#first;
    this.#first = null;
    if (totalBytes !== null && this.#request.bodyless) this.#sized(totalBytes);
    else this.#tools.link.want(this.#stream!, shard, false);
  }

  /** The blob here seems to have this size. False if it must not be told, or not yet. */
  #sized(totalBytes: number): boolean {
    if (this.#provenBytes !== null && this.#provenBytes !== totalBytes) {
      this.#askSize();
      return false;
    }
    const { warm, nowMs } = this.#tools;
    const { name, warm: request } = this.#request;
    this.#blob = warm.blob(name.key, totalBytes);
    for (const [shard, place] of this.#ahead) this.#blob.places.set(shard, place);
    if (this.#first !== null) this.#blob.places.set(this.#first.shard, this.#first.place);
    if (this.#grantUntilMs > nowMs()) warm.grant(request, name, this.#blob, this.#grantUntilMs);
    this.#res.cork(() => this.#begin());
    return true;
  }

  /** Sources may contradict each other for as long as none has sent the whole blob. */
  #askSize(): void {
    if (this.#isSizing) return;
    this.#isSizing = true;
    this.#sizings += 1;
    if (this.#sizings <= SIZE_QUESTIONS_MAX) this.#tools.link.askSize(this.#stream!);
    else this.#fail(otherSize());
  }

  /** Called once the size is known. Writes the head and starts the body, if there is one. */
  #begin(): void {
    const totalBytes = this.#blob!.totalBytes;
    const { digest } = this.#request.name;
    const head = blobHeadOf(digest, namespaceOf(this.#request.warm.query));
    if (noneMatchFails(this.#request.ifNoneMatch, etagOf(digest))) {
      this.#res.writeStatus(statusLine(304) + head);
      endBodyless(this.#res, null);
      this.#finish(false, null);
      return;
    }
    const span = this.#span(totalBytes);
    if (span.status === 416) {
      this.#fail(
        new ShoalError(
          'RANGE_NOT_SATISFIABLE',
          `the range ${this.#request.range} lies outside the blob's ${totalBytes} bytes`,
          { headers: { 'Content-Range': `bytes */${totalBytes}` } },
        ),
      );
      return;
    }
    const res = this.#res;
    writeBlobHead(res, head, span);
    if (this.#stale) res.writeHeader('Warning', STALE_WARNING);
    this.#offsetBytes = span.startBytes;
    const bodyBytes = span.endBytes - span.startBytes;
    if (this.#request.bodyless) {
      endBodyless(res, bodyBytes);
      this.#finish(false, null);
    } else if (bodyBytes === 0) {
      res.end('');
      this.#finish(false, null);
    } else {
      this.#sender = this.#senderOf(span);
      this.#sender.pump();
    }
  }

  /** The part of the blob to send. */
  #span(totalBytes: number): Span {
    return resolveRange(
      ifRangeHolds(this.#request.ifRange, etagOf(this.#request.name.digest))
        ? this.#range
        : { kind: 'whole' },
      totalBytes,
    );
  }

  #senderOf(span: Span): BodySender {
    const events = {
      place: (shard: number) => this.#place(shard),
      sent: (bytes: number, shard: number, slot: number) => this.#sent(bytes, shard, slot),
      waited: (cause: 'data' | 'throttle', ms: number, slot: number) =>
        this.#account.waited(cause, ms, slot),
      done: () => this.#finish(false, null),
    };
    return new BodySender(this.#res, this.#tools, events, span.startBytes, span.endBytes);
  }

  /**
   * The place of `shard` if this front knows a valid one; otherwise control is asked. Control is
   * told about every shard in any case, so that it can read ahead.
   */
  #place(shard: number): Place | null {
    const places = this.#blob!.places;
    let place = places.get(shard) ?? null;
    if (place !== null && this.#tools.arena.generation(place.slot) !== place.generation) {
      places.delete(shard);
      place = null;
    }
    if (this.#stream !== null) {
      if (place === null || shard !== this.#opened)
        this.#tools.link.want(this.#stream, shard, place !== null);
    } else if (place === null) this.#openStream(Math.max(shard * SHARD_BYTES, this.#offsetBytes));
    return place;
  }

  #fail(error: ShoalError): void {
    if (this.#over) return;
    // A client that retries needs a status, not one more closed connection.
    if (error.status === 401 || error.status === 403) this.#tools.warm.revoke(this.#request.warm);
    if (this.#sender !== null) {
      this.#finish(true, error.code);
      this.#res.close();
      return;
    }
    this.#finish(true, error.code);
    // Container runtimes retry a 429 at once on the same host, but treat a 503 as intended
    // (docs/SPEC.md 2.5).
    const said =
      error.status === 429
        ? new ShoalError('OVERLOADED', error.message, { headers: error.headers })
        : error;
    this.#res.cork(() => refuse(this.#res, said, this.#request.bodyless, this.#request.requestId));
  }

  #sent(bytes: number, shard: number, slot: number): void {
    const fromBytes = this.#offsetBytes + this.#account.sentBytes - shard * SHARD_BYTES;
    this.#account.sent(bytes, shard, fromBytes, slot, this.#stream !== null);
    if (shard !== this.#opened || this.#isComing) return;
    const part = (fromBytes + bytes) / this.#tools.arena.length(slot);
    if (part < 1) this.#comes(shard, part); // After a whole shard the next is asked for anyway.
  }

  #finish(failed: boolean, error: ErrorCode | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#sender?.stop();
    this.#tools.followers.delete(this);
    const { sentBytes, tier, summary } = this.#account;
    if (this.#stream !== null) this.#tools.link.close(this.#stream, !failed, sentBytes, summary);
    this.#tools.over({
      name: this.#request.name,
      offsetBytes: this.#offsetBytes,
      sentBytes,
      tier,
      failed,
      aborted: failed && error === null,
      error,
      startMs: this.#startMs,
    });
  }
}

function etagOf(digest: string | undefined): string | null {
  return digest === undefined ? null : `"${digest}"`;
}
