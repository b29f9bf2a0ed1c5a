import { ShoalError } from '../../errors.ts';
import { SHARD_BYTES } from '../../limits.ts';
import { OriginQueue } from '../../swarm/origin-queue.ts';
import { objectOf, type OriginTarget } from '../../origin-target.ts';
import type { OriginReadNews, OriginReadResult } from '../../workers/origin-read.ts';
import type { ProbeResult } from '../../workers/pool.ts';
import { CredentialEnds, seriesOf } from './credential-end.ts';
import { CREDENTIAL_LOOK_MS, HOLD_GATHER_MS } from './limits.ts';
import { endOf, refusalOf, wholeOnly } from './read-outcome.ts';
import type { ObjectReads, OriginRead, ReadHow } from './read-how.ts';
import { RangeMemory, type RangeSupport } from './range-support.ts';
import type { Filling, TransferParts } from './transfers.ts';

type Fact = Extract<OriginReadNews, { kind: 'head' }>;

/**
 * Reads shards at the origin, however it serves them.
 *
 *   parts:   each request brings one or several shards; OriginQueue says how many at once
 *   whole:   one answer brings the object. The thread that has it serves all its shards from it
 *            (lib/origin/whole-stream.ts), so all reads of the object go to that thread
 *   unknown: the first read goes alone to the object's thread; the others wait for its head
 *
 * When a credential may end before the object is read, one long request asks for the rest, and the
 * reads that still wait share it. In a swarm one node sends it for all: the one that would read the
 * object as a whole.
 */
export class OriginReads {
  readonly #parts: Pick<TransferParts, 'pools' | 'clock' | 'observation' | 'vouching'>;
  readonly #queue: OriginQueue<OriginRead>;
  readonly #objects = new Map<string, ObjectReads>();
  readonly #memory: RangeMemory;
  readonly #credentials: CredentialEnds;
  /** Checks that wait for the head of a read with the same credential, by series. */
  readonly #heads = new Map<string, PromiseWithResolvers<ProbeResult | null>>();

  constructor(parts: Pick<TransferParts, 'pools' | 'clock' | 'observation' | 'vouching'>) {
    this.#parts = parts;
    this.#queue = new OriginQueue(
      (together) => this.#begin(together),
      (look, ms) => void (ms === 0 ? Promise.resolve().then(look) : parts.clock.after(ms, look)),
      () => parts.clock.nowMs(),
    );
    this.#memory = new RangeMemory(parts.clock);
    this.#credentials = new CredentialEnds(parts.clock);
  }

  /**
   * Reads the rest of a shard, starting at `sliceBytes` if a client waits there. If none waits
   * (null), or another node does, it may share one request with others. Where the node is `alone`
   * (see OriginAsk), one long answer may bring all remaining shards. A read that must not become a
   * stream fails with `wholeOnly` where the origin serves only the whole object.
   */
  read(
    target: OriginTarget,
    filling: Filling,
    { sliceBytes, alone, isOnBehalf, mayStream = true }: ReadHow,
  ): Promise<OriginReadResult> {
    const name = objectOf(target);
    let object = this.#objects.get(name);
    if (object === undefined) {
      object = { name, reads: new Set(), sizeBytes: null, pioneer: null };
      this.#objects.set(name, object);
    }
    this.#credentials.used(target);
    const settle = Promise.withResolvers<OriginReadResult>();
    const read: OriginRead = {
      upstream: target.upstreamHost,
      isVouched: this.#parts.vouching.isVouched(target.url),
      series: seriesOf(target),
      index: filling.shard,
      get shares() {
        const isSized = filling.totalBytes !== null || this.object.sizeBytes !== null;
        return isSized && filling.fromBytes === 0 && (sliceBytes === null || isOnBehalf);
      },
      sizeShards: Math.min(1, (filling.totalBytes ?? Infinity) / SHARD_BYTES - filling.shard),
      target,
      filling,
      isOnBehalf,
      isWaitedFor: sliceBytes !== null && !isOnBehalf,
      sliceBytes,
      object,
      alone,
      mayStream,
      state: 'held',
      settle: settle.resolve,
    };
    object.reads.add(read);
    this.#route(read);
    if (object.reads.size === 1) this.#watchCredentials(object);
    return settle.promise;
  }

  /**
   * Whether the running read with the same credential proves the right to read; null if there is
   * none, or if its answer proves nothing.
   */
  proofOf(target: Pick<OriginTarget, 'url' | 'authorization'>): Promise<ProbeResult | null> | null {
    return this.#heads.get(seriesOf(target))?.promise ?? null;
  }

  /** See OriginQueue. */
  get stalledMs(): number {
    return this.#queue.stalledMs;
  }

  /** What is known of the origin's support for ranges. */
  support(target: { url: string; upstreamHost: string }): RangeSupport {
    const known = this.#memory.of(objectOf(target), target.upstreamHost);
    return known === 'unknown' ? this.#memory.ofHost(target.upstreamHost) : known;
  }

  /** Whether this very object was served in parts. */
  servesParts(target: { url: string }): boolean {
    return this.#memory.ofObject(objectOf(target)) === 'parts';
  }

  /** A check has learned what the origin does with ranges. */
  note(target: { url: string; upstreamHost: string }, support: 'parts' | 'whole'): void {
    this.#memory.note(objectOf(target), target.upstreamHost, support);
  }

  #support({ object, target }: OriginRead): RangeSupport {
    // A manifest is read without Range.
    return target.accept === undefined
      ? this.#memory.of(object.name, target.upstreamHost)
      : 'parts';
  }

  #route(read: OriginRead): void {
    const { object } = read;
    const support = this.#support(read);
    if (object.pioneer !== null) read.state = 'held';
    else if (support === 'whole' && !read.mayStream) this.#settle(read, wholeOnly(read));
    else if (support === 'whole') void this.#send([read], { ranges: 'whole', mayStream: true });
    else if (this.#movesNow(read)) this.#move(read);
    else if (this.#holdsNow(read)) this.#hold(read);
    else {
      if (support === 'unknown') object.pioneer = read;
      read.state = 'queued';
      this.#queue.add(read);
    }
  }

  /** Sends the requests that the queue allows. */
  #begin(together: readonly OriginRead[]): void {
    // Some may have been read in another request since.
    const due = together.filter(({ state }) => state === 'queued');
    if (due.length === 0) {
      queueMicrotask(() => void this.#queue.over(together, 'left'));
      return;
    }
    const ranges = this.#support(due[0]!);
    const { object, target } = due[0]!;
    void this.#send(due, {
      // A refusal may be about the range as long as this very object was not served in parts.
      ranges: target.accept === undefined ? this.#memory.ofObject(object.name) : ranges,
      mayStream: ranges !== 'parts' && due.every(({ mayStream }) => mayStream),
    }).then((first) => {
      const givenUp = this.#queue.over(
        together,
        first === undefined ? 'left' : endOf(first, due[0]!.filling.fromBytes),
      );
      for (const read of givenUp)
        if (read.state === 'queued')
          this.#settle(read, {
            ...(first as Extract<OriginReadResult, { kind: 'failed' }>),
            receivedBytes: read.filling.fromBytes,
          });
    });
  }

  /** Sends one request for consecutive shards; each is settled when it arrives. */
  async #send(
    together: readonly OriginRead[],
    mode: { ranges: RangeSupport; mayStream: boolean },
  ): Promise<OriginReadResult | undefined> {
    const { pools, clock, observation } = this.#parts;
    const first = together[0]!;
    const { target, filling, object, series } = first;
    for (const read of together) read.state = 'sent';
    const proof = this.#expectProof(series);
    const parts = together.map(({ filling: { slot, attempt, shard, fromBytes }, sliceBytes }) => ({
      slot,
      attempt,
      shard,
      fromBytes,
      sliceBytes: sliceBytes ?? 0,
    }));
    let startMs = clock.nowMs();
    const told: OriginReadResult[] = [];
    try {
      await pools.origin(
        {
          kind: 'origin',
          ...target,
          parts,
          totalBytes: filling.totalBytes ?? object.sizeBytes,
          digest: filling.digest,
          ...mode,
          ...this.#credentials.placeOf(target),
        },
        (news) => {
          if (news.kind === 'head') {
            proof?.(news.atHome ? { kind: 'granted', totalBytes: news.totalBytes } : null);
            this.#queue.head(first);
            this.#learn(first, news);
            return;
          }
          const read = together[told.length]!;
          const { shard, fromBytes } = read.filling;
          const sizeBytes = news.kind === 'data' ? news.lengthBytes - fromBytes : -1;
          observation.probe?.line(
            'download',
            `/${target.url}`,
            shard * SHARD_BYTES + fromBytes,
            sizeBytes,
            (clock.nowMs() - startMs) * 1000,
          );
          startMs = clock.nowMs();
          if (news.kind === 'data') this.#queue.arrived(first, sizeBytes);
          // What the head of such an answer told is not held against others.
          else object.sizeBytes = null;
          told.push(news);
          proof?.(refusalOf(news));
          this.#settle(read, news);
        },
        mode.mayStream,
      );
    } catch (thrown) {
      // The thread ended during the read: the fetch continues from the bytes in the slot.
      const error = ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire();
      for (const read of together.slice(told.length)) {
        const receivedBytes = read.filling.fromBytes;
        told.push({ kind: 'failed', error, receivedBytes });
        this.#settle(read, told.at(-1)!);
      }
    }
    proof?.(null);
    const [result] = told;
    if (object.pioneer === first && result?.kind === 'failed')
      this.#pioneerFailed(object, result, endOf(result, filling.fromBytes) === 'silent');
    else if (object.pioneer === first) this.#releaseHeld(object);
    return result;
  }

  /** The head of an answer has arrived. */
  #learn(read: OriginRead, fact: Fact): void {
    const { object, target } = read;
    const { ranges } = fact;
    object.sizeBytes = fact.totalBytes ?? object.sizeBytes;
    this.#credentials.answered(target, fact);
    if (ranges !== 'unknown') this.#memory.note(object.name, target.upstreamHost, ranges);
    if (object.pioneer === read && ranges !== 'unknown') this.#releaseHeld(object);
  }

  /** If the origin is silent, the waiting reads fail, too: each would wait as long again. */
  #pioneerFailed(
    object: ObjectReads,
    result: Extract<OriginReadResult, { kind: 'failed' }>,
    isSilent: boolean,
  ): void {
    if (isSilent)
      for (const read of object.reads)
        if (read.state === 'held')
          this.#settle(read, { ...result, receivedBytes: read.filling.fromBytes });
    this.#releaseHeld(object);
  }

  /** Continues the reads that waited, in the order of the shards. */
  #releaseHeld(object: ObjectReads): void {
    object.pioneer = null;
    const held = [...object.reads].filter(({ state }) => state === 'held');
    for (const read of held.sort((one, other) => one.index - other.index)) this.#route(read);
  }

  #settle(read: OriginRead, result: OriginReadResult): void {
    if (result.kind === 'failed' && result.wholeOnly === true) {
      // The origin serves parts of other objects, but not of this one: read it on the object's
      // thread.
      this.#memory.note(read.object.name, read.target.upstreamHost, 'whole');
      if (read.mayStream) return this.#route(read);
    }
    this.#forget(read);
    read.settle(result);
  }

  #forget(read: OriginRead): void {
    read.state = 'over';
    const { object } = read;
    object.reads.delete(read);
    if (object.reads.size === 0 && this.#objects.get(object.name) === object)
      this.#objects.delete(object.name);
  }

  #expectProof(series: string): ((result: ProbeResult | null) => void) | null {
    if (this.#heads.has(series)) return null;
    const head = Promise.withResolvers<ProbeResult | null>();
    this.#heads.set(series, head);
    return (result) => {
      if (this.#heads.get(series) === head) this.#heads.delete(series);
      head.resolve(result);
    };
  }

  // --- credentials that end ---

  /** Whether the right to read may end first. In a swarm a redirect target is used to its end. */
  #endsSoon({ target, alone }: OriginRead): boolean {
    return target.accept === undefined && this.#credentials.endsSoon(target, !alone);
  }

  /** Whether to request the rest of the object now. */
  #holdsNow(read: OriginRead): boolean {
    const { object, target, mayStream } = read;
    if (!mayStream || this.#memory.of(object.name, target.upstreamHost) !== 'parts') return false;
    return this.#endsSoon(read);
  }

  /** Whether another node is to request the rest of the object now. */
  #movesNow(read: OriginRead): boolean {
    return !read.mayStream && this.#endsSoon(read);
  }

  #move(read: OriginRead): void {
    this.#memory.hold(read.object.name);
    this.#settle(read, wholeOnly(read));
  }

  /** Checks every CREDENTIAL_LOOK_MS whether to request the rest in one long request. */
  #watchCredentials(object: ObjectReads): void {
    this.#parts.clock.after(CREDENTIAL_LOOK_MS, () => {
      for (const read of [...object.reads])
        if (read.state === 'queued' && this.#movesNow(read)) this.#move(read);
      const reads = [...object.reads];
      if (reads.length === 0) return;
      const due = reads.find((read) => this.#holdsNow(read));
      if (due !== undefined && object.pioneer === null) this.#hold(due);
      this.#watchCredentials(object);
    });
  }

  /**
   * Opens a stream of the rest of the object. The reads that are not sent yet wait for it, and in a
   * swarm it waits for those that other nodes leave to this one.
   */
  #hold(due: OriginRead): void {
    const { object, alone } = due;
    object.pioneer = 'hold';
    for (const read of object.reads) if (read.state === 'queued') read.state = 'held';
    if (alone) this.#openStream(due);
    else this.#parts.clock.after(HOLD_GATHER_MS, () => this.#openStream(due));
  }

  #openStream({ object, target, filling: { totalBytes, digest } }: OriginRead): void {
    const reads = [...object.reads];
    if (reads.length === 0) return void (object.pioneer = null);
    const held = reads.filter(({ state }) => state === 'held');
    const shards = (held.length > 0 ? held : reads).map(({ index }) => index);
    const fromBytes =
      (held.length > 0 ? Math.min(...shards) : Math.max(...shards) + 1) * SHARD_BYTES;
    const { redirect } = this.#credentials.placeOf(target);
    const opening =
      totalBytes !== null && fromBytes >= totalBytes
        ? Promise.resolve(false)
        : this.#parts.pools.hold({
            kind: 'hold',
            ...target,
            redirect,
            digest,
            fromBytes,
            totalBytes,
          });
    void opening
      .catch(() => false)
      .then((opened) => {
        if (opened) this.#memory.hold(object.name);
        // Another attempt would fail too: no further stream for this credential.
        else this.#credentials.giveUp(target);
        this.#releaseHeld(object);
      });
  }
}
