import type { Clock } from '../../clock.ts';
import { ShoalError, type WireError } from '../../errors.ts';
import { SlotSource, type Arena } from '../../io/arena.ts';
import { isVouched } from '../../registry/blob-size.ts';
import type { ShardFetch } from '../../swarm/fetch.ts';
import { rateOf } from '../../swarm/line-meter.ts';
import type {
  AttemptResult,
  Fetch,
  FetchEffects,
  FetchResult,
  LineTest,
  Member,
  NodeId,
  OriginAsk,
  PeerAsk,
  StatAsk,
} from '../../swarm/types.ts';
import type { Span } from '../../span.ts';
import type { BlobFacts } from '../shards/blob-facts.ts';
import type { FillFromSwarm, Resident, FetchOptions } from '../shards/resident.ts';
import type { Observation } from '../watch/observation.ts';
import { isWholeBlob } from '../../workers/slot-check.ts';
import { withReceived } from './read-outcome.ts';
import type { TargetRef } from './target-ref.ts';
import type { PeerStandings } from './standings.ts';
import type { Suspicion } from './suspicion.ts';
import { endAttempt } from './traced-fetch.ts';
import type { Filling, Transfers } from './transfers.ts';

interface EffectsParts {
  self: Member;
  arena: Arena;
  clock: Clock;
  facts: BlobFacts;
  observation: Observation;
  transfers: Transfers;
  standings: PeerStandings;
  suspicion: Suspicion;
  /** A node that offered a blob does not have it. */
  missed(key: string, node: string): void;
  /** Whether this node is the first owner, or the first root, of the blob's first shard. */
  isFirstFor(key: string): boolean;
}

/** What a fetch fills, and the caller that waits for it; the `place` of a Fetch. */
export interface FetchJob {
  resident: Resident;
  options: FetchOptions;
  done: Parameters<FillFromSwarm>[2];
  failed: Parameters<FillFromSwarm>[3];
  /** Of the shard, if the request that caused the fetch is traced. */
  span: Span | undefined;
  /** The attempt that may write to the slot. It never rejects. */
  running: Promise<unknown> | null;
}

/** Carries out the attempts that the swarm core decides on, and reports their results to it. */
export class NodeEffects implements FetchEffects {
  readonly #parts: EffectsParts;

  constructor(parts: EffectsParts) {
    this.#parts = parts;
  }

  #job(fetch: Fetch): FetchJob {
    return fetch.place as FetchJob;
  }

  /** `totalBytes`: the size that the source must name; null: any. */
  #filling(fetch: Fetch, attempt: number, fromBytes: number, totalBytes: number | null): Filling {
    const { arena } = this.#parts;
    const { resident, options } = this.#job(fetch);
    if (fromBytes < arena.released(resident.slot)) this.#startOver(resident);
    // Bytes that are read again do not count as received until then.
    if (fromBytes < arena.received(resident.slot)) arena.setReceived(resident.slot, fromBytes);
    // Bytes that an earlier attempt read ahead of the watermark are valid only until another one
    // writes to the slot.
    arena.setAhead(resident.slot, 0, 0);
    return {
      slot: resident.slot,
      attempt,
      shard: resident.shard,
      fromBytes,
      totalBytes,
      digest: options.digest,
    };
  }

  /** Clients have received wrong bytes: their connections are closed before the shard ends. */
  #startOver(resident: Resident): void {
    this.#parts.arena.setReleased(resident.slot, 0);
    const error = new ShoalError(
      'CHECKSUM_MISMATCH',
      'a shard does not have the checksum that its owner sent',
    );
    for (const interest of [...resident.interests]) interest.failed(error);
    resident.interests.clear();
  }

  async ask(fetch: Fetch, attempt: number, ask: PeerAsk): Promise<void> {
    const { arena, self, observation } = this.#parts;
    const job = this.#job(fetch);
    const { options, resident } = job;
    const { key, index } = fetch.shard;
    const filling = this.#filling(fetch, attempt, ask.fromBytes, this.#sizeFor(key, options));
    arena.setSource(resident.slot, SlotSource.peer);
    arena.setOwned(resident.slot, ask.trusted);
    const startMs = this.#parts.clock.nowMs();
    const span = job.span?.child('peer', 'client', {
      'server.address': ask.node,
      'shoal.role': ask.role,
    });
    const running = this.#parts.transfers.peer(
      ask.node,
      {
        key,
        shard: index,
        fromBytes: ask.fromBytes,
        node: self.node,
        zone: self.zone,
        role: ask.role,
        exclude: ask.exclude,
        hops: ask.hops,
        load: ask.load,
        holdMs: ask.holdMs,
        ...(ask.lineMs === undefined ? {} : { lineMs: ask.lineMs }),
        ...(fetch.shard.rankedAs === 0 ? { whole: true as const } : {}),
        ...(ask.checked === true ? { checked: true as const } : {}),
        ...(ask.parentFailed === true ? { parentFailed: true as const } : {}),
      },
      filling,
      {
        origin: (ask.origin as TargetRef | null)?.target ?? null,
        requestId: options.requestId,
        traceparent: span?.traceparent,
        patience: { silenceMs: ask.holdMs + ask.silenceMs, stallMs: ask.stallMs },
        shardMs: ask.shardMs,
        gatherMs: ask.gatherMs,
      },
    );
    job.running = running;
    const result = withReceived(await running, () => arena.received(resident.slot));
    job.running = null;
    endAttempt(span, result);
    observation.journal.transferred(options, fetch.shard, ask.node, startMs, result);
    this.#standingOf(ask.node, result);
    if (ask.role === 'holder' && result.kind === 'miss') this.#parts.missed(key, ask.node);
    if (this.#isOtherSize(key, options, result)) {
      observation.meter.count('transfer.peer.failed');
      this.#settle(fetch, attempt, otherSize(ask.node, result, arena.received(resident.slot)));
      return;
    }
    if (result.kind === 'data') {
      this.#parts.suspicion.received(key, index, ask.node, result.checksum);
      observation.meter.count('transfer.peer.done');
      if (ask.fromBytes > 0) observation.meter.count('transfer.peer.resumed');
      observation.telemetry.peerRates.add(ask.node, result.lengthBytes - ask.fromBytes);
    } else if (result.kind === 'failed') observation.meter.count('transfer.peer.failed');
    this.#settle(fetch, attempt, result);
  }

  /** Whether a node names another size of the blob than the registry, or a verified digest. */
  #isOtherSize(key: string, options: FetchOptions, result: AttemptResult): boolean {
    if (result.kind !== 'data' && result.kind !== 'redirect') return false;
    const bytes = this.#sizeFor(key, options);
    return bytes !== null && result.totalBytes !== null && result.totalBytes !== bytes;
  }

  /**
   * The size that another node must name: that of the registry which the fetch is for, else of the
   * one that said one last. A size that only another node reported must not make a right answer
   * fail.
   */
  #sizeFor(key: string, { origin }: FetchOptions): number | null {
    const { facts } = this.#parts;
    const known = facts.sizeOf(key);
    const own = origin === null ? null : facts.saidBy(key, origin.upstreamHost);
    return own ?? (isVouched(known) ? known.bytes : null);
  }

  #standingOf(node: string, result: { kind: string; error?: WireError }): void {
    if (result.kind === 'failed' && result.error!.code === 'THREAD_LOST') return;
    if (result.kind === 'failed') this.#parts.standings.failed(node, result.error!);
    else this.#parts.standings.answered(node);
  }

  async origin(fetch: Fetch, attempt: number, ask: OriginAsk): Promise<void> {
    const { arena, facts, observation } = this.#parts;
    const { key } = fetch.shard;
    const { target } = ask.origin as TargetRef;
    const sizeBytes = facts.saidBy(key, target.upstreamHost);
    const filling = this.#filling(fetch, attempt, ask.fromBytes, sizeBytes);
    arena.setSource(filling.slot, SlotSource.origin);
    arena.setOwned(filling.slot, true);
    const job = this.#job(fetch);
    const startMs = this.#parts.clock.nowMs();
    // Only the node that all others ask for this blob may read it as a whole.
    const mayStream = fetch.shard.rankedAs === 0 || this.#parts.isFirstFor(key);
    const span = job.span?.child('origin', 'client', { 'server.address': target.upstreamHost });
    const read = span === undefined ? target : { ...target, traceparent: span.traceparent };
    const running = this.#parts.transfers.origin(read, filling, {
      sliceBytes: job.options.sliceBytes,
      alone: ask.alone,
      isOnBehalf: job.options.onBehalf !== null,
      mayStream,
    });
    job.running = running;
    const result = withReceived(await running, () => arena.received(filling.slot));
    job.running = null;
    endAttempt(span, result);
    observation.journal.transferred(job.options, fetch.shard, null, startMs, result);
    observation.meter.count(
      result.kind === 'data' ? 'transfer.origin.done' : 'transfer.origin.failed',
    );
    if (result.kind === 'data' && ask.fromBytes > 0)
      observation.meter.count('transfer.origin.resumed');
    if (result.kind === 'data') {
      this.#parts.suspicion.received(key, fetch.shard.index, null, result.checksum);
      const isChecked = isWholeBlob(filling, result.totalBytes);
      facts.said(key, target.upstreamHost, result.totalBytes, isChecked);
      this.#settle(fetch, attempt, { ...result, claimedChecksum: null });
    } else if (result.error.code === 'ORIGIN_REFUSED') {
      const { status } = result.error;
      const isOfRight = status === 401 || status === 403;
      if (isOfRight) facts.dropOrigin(key, target);
      this.#settle(
        fetch,
        attempt,
        isOfRight && this.#hasReader(fetch)
          ? { ...result, wholeOnly: true }
          : { kind: 'refused', error: result.error },
      );
    } else {
      if (result.error.code === 'DIGEST_MISMATCH') facts.disproved(key, target);
      // A later answer, of a part, need not tell the size again.
      else if (result.totalBytes !== undefined)
        facts.said(key, target.upstreamHost, result.totalBytes);
      this.#settle(fetch, attempt, result);
    }
  }

  /**
   * Whether another node may still read what the registry no longer opens to this one: the right
   * has ended in the middle of the blob, and the node that has read its first shard knows where the
   * registry redirected to.
   */
  #hasReader({ shard, place }: Fetch): boolean {
    const { facts, isFirstFor } = this.#parts;
    const isOwn = (place as FetchJob).options.onBehalf === null;
    const isBegun = facts.totalOf(shard.key) !== null;
    return isOwn && isBegun && shard.rankedAs !== 0 && !isFirstFor(shard.key);
  }

  async stat(fetch: Fetch, attempt: number, ask: StatAsk): Promise<void> {
    const { key, index } = fetch.shard;
    const span = this.#job(fetch).span?.child('stat', 'client', { 'server.address': ask.node });
    const result = await this.#parts.transfers.stat(
      ask.node,
      {
        key,
        shard: index,
        node: this.#parts.self.node,
        zone: this.#parts.self.zone,
        parent: ask.parent,
        report: ask.report,
      },
      { traceparent: span?.traceparent },
    );
    const error = result.kind === 'failed' ? result.error : undefined;
    span?.end({ 'shoal.outcome': result.kind, 'error.type': error?.code }, error?.message);
    this.#standingOf(ask.node, result);
    (fetch as ShardFetch).settleStat(attempt, result);
  }

  sound(node: NodeId, waitMs: number, told: (isThere: boolean) => void): void {
    void this.#parts.transfers.isThere(node, waitMs).then(told);
  }

  async testLine(nodes: readonly NodeId[], told: (test: LineTest) => void): Promise<void> {
    const test = await this.#parts.transfers.testLine(nodes);
    const { receivedBytes, tookMs } = test;
    const rate = rateOf(test);
    this.#parts.observation.log.info(
      { peers: nodes.length, receivedBytes, tookMs: Math.round(tookMs) },
      rate === null
        ? "this node's line could not be tested: other agents sent too little"
        : `this node's line brings at least ${Math.round((rate * 8) / 1000)} Mbit/s`,
    );
    told(test);
  }

  #settle(fetch: Fetch, attempt: number, result: AttemptResult): void {
    if (result.kind === 'redirect' && result.totalBytes !== null)
      this.#parts.facts.sized(fetch.shard.key, result.totalBytes, 'heard');
    (fetch as ShardFetch).settle(attempt, result);
  }

  abandon(fetch: Fetch, attempt: number): void {
    this.#parts.arena.cancel(this.#job(fetch).resident.slot, attempt);
  }

  receivedBytes(fetch: Fetch): number {
    return this.#parts.arena.received(this.#job(fetch).resident.slot);
  }

  /** The fetch is over. The slot is released after the last write to it. */
  finished(fetch: Fetch, result: FetchResult): void {
    const job = this.#job(fetch);
    if (result.kind === 'done') {
      job.done(result);
      return;
    }
    const error =
      result.kind === 'cancelled'
        ? new ShoalError('CANCELLED', 'the shard is no longer wanted')
        : ShoalError.fromWire(result.error);
    const of = result.kind === 'cancelled' ? undefined : (result.of as TargetRef | undefined);
    const failed = (): void => job.failed(error, of?.target ?? null);
    if (job.running === null) failed();
    else void job.running.then(failed);
  }
}

/**
 * The answer of a node that was asked before the blob's size was known, and names another one: its
 * bytes are wrong, too.
 */
function otherSize(node: NodeId, { kind }: AttemptResult, receivedBytes: number): AttemptResult {
  const code = kind === 'data' ? 'CHECKSUM_MISMATCH' : 'PEER_BROKEN';
  const message = `${node} named another size of the blob than its registry`;
  return { kind: 'failed', error: { code, message }, receivedBytes };
}
