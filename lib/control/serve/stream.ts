import { ShoalError } from '../../errors.ts';
import { ABORT_GRACE_MS, FINISH_SHARD_MS } from '../limits.ts';
import { READ_WINDOW_SHARDS, SHARD_BYTES } from '../../limits.ts';
import { shardCount } from '../../shard.ts';
import { ReadWindow } from '../../swarm/window.ts';
import type { OpenRequest } from '../../workers/messages.ts';
import type { OriginTarget } from '../../origin-target.ts';
import type { Span } from '../../span.ts';
import type { Grant } from '../upstream/access-gate.ts';
import type { Interest, Resident, FetchOptions } from '../shards/resident.ts';
import { originOf, sha256Of } from './blob-origin.ts';
import type { StreamParts } from './stream-parts.ts';
import type { Reply } from './streams.ts';
import { ToldSize } from './told-size.ts';

/** One client's read of one blob: access, a layer turn, the requested shard, and read-ahead. */
export class Stream {
  readonly #request: OpenRequest;
  readonly #parts: StreamParts;
  readonly #reply: Reply;
  readonly #options: FetchOptions;
  /** Shards this stream holds an interest in, by index. */
  readonly #held = new Map<number, Held>();
  #shard: number;
  readonly #window: ReadWindow;
  /** Null until access is granted; the place of the first shard is withheld until then. */
  #grant: Grant | null = null;
  #firstPlace: { resident: Resident; cold: boolean } | null = null;
  #leaveLayers: (() => void) | null = null;
  /** When it began to wait for its turn, and how long it waited. */
  #queuedMs = 0;
  #turnMs = 0;
  #turn: Span | undefined;
  /**
   * Whether this stream's layer is among those downloading, and the shards to request once it is.
   */
  #entered = false;
  readonly #beforeEntry = new Set<number>();
  /** Closed by the front, or refused: nothing is wanted any more. */
  #closed = false;
  /** The shard that was requested again after a refusal. */
  #retried = -1;
  /** The first shard was refused while this client's access check was still running. */
  #awaitsGrant = false;
  readonly #size: ToldSize;
  /** The size that the client may learn is known, or the upstream names none. */
  #isSized = false;

  constructor(request: OpenRequest, span: Span | undefined, parts: StreamParts, reply: Reply) {
    this.#request = request;
    this.#parts = parts;
    this.#reply = reply;
    this.#shard = request.shard;
    this.#window = new ReadWindow(request.sequential, READ_WINDOW_SHARDS);
    this.#window.begin(request.shard);
    const { blob, authorization } = request;
    this.#size = new ToldSize(parts, blob, authorization);
    this.#options = {
      origin: originOf(blob, authorization, parts.gate.saidBytes(blob, authorization)),
      sliceBytes: 0,
      digest: sha256Of(blob),
      requestId: request.requestId,
      span,
      onBehalf: null,
    };
  }

  start(): void {
    const { gate, facts } = this.#parts;
    const { blob, authorization } = this.#request;
    facts.setUrl(blob.key, blob.url, sha256Of(blob));
    const remembered = gate.remembered(blob, authorization);
    if (remembered !== null) {
      facts.addOrigin(blob.key, this.#options.origin!);
      this.#grant = { forMs: remembered, stale: false };
      this.#want(this.#shard);
      this.#vouch();
      return;
    }
    // The check and the fetch run side by side, so the first byte waits for the slower of the two,
    // not for their sum.
    const check = this.#options.span?.child('access check');
    gate.check(blob, authorization, check?.traceparent).then(
      (grant) => {
        check?.end({ 'shoal.stale': grant.stale });
        if (this.#closed) return;
        facts.addOrigin(blob.key, this.#options.origin!);
        this.#grant = grant;
        if (this.#awaitsGrant) {
          // The first place is invalid; the front does not know it yet.
          this.#firstPlace = null;
          this.#again(this.#shard);
        }
        this.#vouch();
      },
      (thrown: unknown) => {
        const error = ShoalError.from(thrown);
        check?.end({ 'error.type': error.code }, error.message);
        this.#refuse(error);
      },
    );
    this.#want(this.#shard);
  }

  /** Answers once the client may learn a size. */
  #vouch(): void {
    const ready = (): void => {
      this.#isSized = true;
      this.#tellFirst();
    };
    if (this.#size.bytes !== null) ready();
    else this.#size.ask().then(ready, (thrown: unknown) => this.#refuse(ShoalError.from(thrown)));
  }

  /** The bytes here belong to a size other than the one that the client may learn. */
  doubted(): void {
    const { id } = this.#request;
    this.#size.ask().then(
      (totalBytes) => {
        if (!this.#closed) this.#reply({ kind: 'sized', id, totalBytes });
      },
      (thrown: unknown) => this.#refuse(ShoalError.from(thrown)),
    );
  }

  /** The client has advanced to `shard`, or begins with it. */
  at(shard: number, placed: boolean): void {
    if (this.#closed) return;
    const hasMoved = shard !== this.#shard;
    this.#shard = shard;
    this.#window.at(shard);
    for (const [held, { resident, interest }] of this.#held) {
      if (held >= shard) continue;
      this.#held.delete(held);
      this.#parts.loader.drop(resident, interest);
    }
    if (!placed) this.#place(shard);
    this.#readAhead();
    if (this.#grant !== null && hasMoved) this.#noteRead(shard * SHARD_BYTES);
  }

  /**
   * The front does not know where `shard` is: tell it, or fetch the shard again.
   */
  #place(shard: number): void {
    const known = this.#held.get(shard);
    if (
      known !== undefined &&
      this.#parts.loader.find(known.resident.key, shard) === known.resident
    ) {
      if (known.resident.slot >= 0)
        this.#placed(known.resident, known.resident.phase !== 'complete');
      return;
    }
    if (known !== undefined) {
      this.#held.delete(shard);
      this.#parts.loader.drop(known.resident, known.interest);
    }
    this.#want(shard);
  }

  /**
   * After an abort, another request may continue at the same offset, so the fetch continues for a
   * short time. After a complete small read the client usually reads more of the same shard, so
   * that shard is completed.
   */
  close(whole: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#turn?.end();
    for (const [shard, { resident, interest }] of this.#held) {
      this.#parts.loader.drop(
        resident,
        interest,
        !whole ? ABORT_GRACE_MS : shard <= this.#shard ? FINISH_SHARD_MS : 0,
      );
    }
    this.#held.clear();
    this.#leaveLayers?.();
  }

  /** Requests `shard`; waits for a layer turn if the shard is not here. */
  #want(shard: number): void {
    const { loader, layers } = this.#parts;
    const { key } = this.#request.blob;
    if (this.#entered || loader.has(key, shard)) {
      this.#hold(shard);
      return;
    }
    this.#beforeEntry.add(shard);
    if (this.#leaveLayers !== null) return;
    this.#queuedMs = this.#parts.nowMs();
    this.#turn = this.#options.span?.child('turn');
    const share = this.#parts.shareOf(this.#options);
    this.#leaveLayers = layers.enter(
      key,
      this.#request.small ? { ...share, lane: 'ask' } : share,
      () => this.#enter(),
    );
    this.#leaveWhenIdle();
  }

  /** The layer's turn has come. */
  #enter(): void {
    this.#entered = true;
    this.#turnMs += this.#parts.nowMs() - this.#queuedMs;
    this.#turn?.end();
    if (this.#closed) return;
    for (const shard of this.#beforeEntry) if (shard >= this.#shard) this.#hold(shard);
    this.#beforeEntry.clear();
    this.#leaveWhenIdle();
  }

  /**
   * Gives the place among the downloading layers back while nothing is being downloaded: a client
   * that reads slowly holds up no other layer.
   */
  #leaveWhenIdle(): void {
    if (!this.#entered || this.#leaveLayers === null) return;
    for (const { resident } of this.#held.values()) if (resident.phase !== 'complete') return;
    const leave = this.#leaveLayers;
    this.#entered = false;
    this.#leaveLayers = null;
    leave();
  }

  #hold(shard: number): void {
    if (this.#held.has(shard)) return;
    const interest: Interest = {
      placed: (resident, cold) => this.#placed(resident, cold),
      failed: (error, of = null) => this.#failed(shard, error, of),
      complete: () => this.#leaveWhenIdle(),
    };
    const sliceBytes =
      shard > this.#shard ? null : shard === this.#request.shard ? this.#request.sliceBytes : 0;
    const options = { ...this.#options, sliceBytes };
    const { loader } = this.#parts;
    const { key } = this.#request.blob;
    const isJoined = loader.find(key, shard) !== undefined;
    const resident = loader.want(key, shard, options, interest);
    if (this.#closed) loader.drop(resident, interest);
    else this.#held.set(shard, { resident, interest, isJoined });
  }

  #placed(resident: Resident, cold: boolean): void {
    if (this.#closed) return;
    if (this.#firstPlace === null && resident.shard === this.#request.shard) {
      this.#firstPlace = { resident, cold };
      this.#tellFirst();
    } else if (this.#firstPlace !== null) {
      const { shard, slot, generation, checksum } = resident;
      this.#reply({
        kind: 'granted',
        id: this.#request.id,
        shard,
        slot,
        generation,
        checksum,
        totalBytes: this.#parts.facts.totalOf(resident.key),
        cold,
      });
    }
  }

  /** Sends `opened` once both are known: access is granted and the first shard has a place. */
  #tellFirst(): void {
    if (this.#grant === null || this.#firstPlace === null || this.#closed || !this.#isSized) return;
    const { resident, cold } = this.#firstPlace;
    const { shard, slot, generation } = resident;
    const { facts } = this.#parts;
    const { id } = this.#request;
    this.#reply({
      kind: 'opened',
      id,
      shard,
      slot,
      generation,
      totalBytes: facts.totalOf(resident.key),
      provenBytes: this.#size.bytes,
      cold,
      grantMs: this.#grant.forMs,
      stale: this.#grant.stale,
      turnMs: this.#turnMs,
    });
    // Nodes that others ask, too, get requests in any order: the first shard is to come first
    // (`at`).
    if (!cold || this.#parts.readsAheadAtOnce()) this.#readAhead();
    this.#noteRead(shard * SHARD_BYTES + this.#request.sliceBytes);
  }

  /**
   * A granted small read needs `startBytes`: records it and reads ahead.
   */
  #noteRead(startBytes: number): void {
    const { ahead, trace, facts } = this.#parts;
    const { small, blob } = this.#request;
    const totalBytes = facts.totalOf(blob.key);
    if (!small || totalBytes === null || startBytes >= totalBytes) return;
    trace.note(blob.digest ?? blob.key, Math.floor(startBytes / SHARD_BYTES));
    ahead.read(blob.key, startBytes, totalBytes, this.#options);
  }

  #failed(shard: number, error: ShoalError, of: OriginTarget | null): void {
    const isJoined = this.#held.get(shard)?.isJoined === true;
    this.#held.delete(shard);
    // A shard that was only read ahead is requested again when it is needed.
    if (shard !== this.#shard) return;
    // The fetch may be another's, and so may the tries that it has used up and the origin that
    // failed: retry once with our own.
    const mayRetry = this.#retried !== shard && !this.#closed;
    if (!mayRetry || !mayBeOthers(error, of, this.#options.origin!, isJoined)) this.#refuse(error);
    else if (this.#grant !== null) this.#again(shard);
    // The running check decides whether this client has access.
    else this.#awaitsGrant = true;
  }

  #again(shard: number): void {
    this.#awaitsGrant = false;
    this.#retried = shard;
    this.#hold(shard);
  }

  #refuse(error: ShoalError): void {
    const { blob, authorization } = this.#request;
    // The remembered right is void, for example because a signed URL has expired. Later requests
    // must be checked again.
    if (error.code === 'ORIGIN_REFUSED' && (error.status === 401 || error.status === 403))
      this.#parts.gate.revoke(blob, authorization, error.status);
    if (this.#closed) return;
    this.#reply({ kind: 'refused', id: this.#request.id, error: error.toWire() });
    // The front may request the shard once more before it gets the refusal.
    this.close(false);
  }

  #readAhead(): void {
    const { facts, slotCount, open, innerShards, shardsTogether } = this.#parts;
    // A manifest's word is enough for what is fetched next.
    const totalBytes = facts.totalOf(this.#request.blob.key) ?? this.#size.bytes;
    if (totalBytes === null) return;
    // Shards read ahead stay in memory until they are read. More than this stream's share would
    // evict what is read next.
    const room = Math.max(1, Math.floor(slotCount / 2 / open.streams));
    const count = Math.min(
      shardCount(totalBytes),
      (this.#request.untilShard ?? Number.POSITIVE_INFINITY) + 1,
      this.#shard + 1 + room,
    );
    const isInner = innerShards();
    let underWay = 0;
    for (const [shard, { resident }] of this.#held)
      if (resident.phase !== 'complete' && !isInner(shard)) underWay += 1;
    const share = Math.min(1, room / this.#window.sizeShards);
    const isKnown = (shard: number): boolean =>
      this.#held.has(shard) || this.#beforeEntry.has(shard);
    for (const shard of this.#window.next(
      count,
      underWay,
      isKnown,
      share,
      isInner,
      shardsTogether(),
    ))
      this.#want(shard);
  }
}

/** A shard that a stream waits for. `isJoined`: it was here, or being fetched, before. */
interface Held {
  resident: Resident;
  interest: Interest;
  isJoined: boolean;
}

/**
 * Whether the error that a fetch ended with may be that of another client's origin (`of`), so that
 * a fetch with `own` may end in another way. After an outage, which takes long to show, it must be
 * known to be. `isJoined`: the fetch had begun before, and so had its tries at the origin.
 */
function mayBeOthers(
  error: ShoalError,
  of: OriginTarget | null,
  own: OriginTarget,
  isJoined: boolean,
): boolean {
  const { code, status } = error;
  if (code === 'ORIGIN_REFUSED' && status < 500) return true;
  if (code === 'ORIGIN_BROKEN' && isJoined) return true;
  if (of !== null && of.url === own.url && of.authorization === own.authorization) return false;
  if (code === 'ORIGIN_BROKEN' || code === 'DIGEST_MISMATCH') return true;
  return of !== null && of.upstreamHost !== own.upstreamHost && code.startsWith('ORIGIN_');
}
