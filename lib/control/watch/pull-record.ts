import type { PeerPace, PullError, PullSources, PullWaits } from '../../telemetry/status.ts';
import type { ReadSummary } from '../../workers/messages.ts';

/** The record of a pull, or of one blob of it. */
export class Tally {
  startMs: number;
  lastMs: number;
  bytes = 0;
  readonly sources: PullSources = { memory: 0, disk: 0, runtime: 0, peer: 0, origin: 0 };
  readonly waitedMs: PullWaits = {
    access: 0,
    turn: 0,
    throttle: 0,
    tracker: 0,
    peer: 0,
    origin: 0,
  };
  slowestPeer: PeerPace | null = null;
  readonly errors: PullError[] = [];

  constructor(nowMs: number) {
    this.startMs = nowMs;
    this.lastMs = nowMs;
  }

  get seconds(): number {
    return Math.max(0.001, (this.lastMs - this.startMs) / 1000);
  }

  addRead({ sources, waitedMs }: ReadSummary): void {
    const { arena, runtime, disk, peer, origin } = sources;
    this.sources.memory += arena;
    this.sources.runtime += runtime;
    this.sources.disk += disk;
    this.sources.peer += peer;
    this.sources.origin += origin;
    this.bytes += arena + runtime + disk + peer + origin;
    for (const cause of ['access', 'turn', 'throttle', 'peer', 'origin'] as const)
      this.waitedMs[cause] += waitedMs[cause];
  }

  /** A tracker answered after `ms`; that part of the wait for a peer belongs to the tracker. */
  addTracker(ms: number): void {
    this.waitedMs.tracker += ms;
  }

  addPeer(node: string, bytes: number, ms: number): void {
    const bytesPerSecond = Math.round((bytes * 1000) / Math.max(1, ms));
    if (this.slowestPeer === null || bytesPerSecond < this.slowestPeer.bytesPerSecond)
      this.slowestPeer = { node, bytesPerSecond };
  }

  addError(code: string, message: string, count = 1): void {
    const known = this.errors.find((error) => error.code === code);
    if (known !== undefined) known.count += count;
    else if (this.errors.length < PULL_ERRORS_MAX) this.errors.push({ code, message, count });
  }

  add(part: Tally): void {
    this.bytes += part.bytes;
    for (const source of Object.keys(this.sources) as (keyof PullSources)[])
      this.sources[source] += part.sources[source];
    for (const cause of Object.keys(this.waitedMs) as (keyof PullWaits)[])
      this.waitedMs[cause] += part.waitedMs[cause];
    const slowest = part.slowestPeer;
    if (
      slowest !== null &&
      (this.slowestPeer === null || slowest.bytesPerSecond < this.slowestPeer.bytesPerSecond)
    )
      this.slowestPeer = slowest;
    for (const { code, message, count } of part.errors) this.addError(code, message, count);
  }

  /** The fields of a log line and of `shoal pulls --json`. */
  report(): {
    bytes: number;
    seconds: number;
    bytesPerSecond: number;
    sources: PullSources;
    waitedMs: PullWaits;
    slowestPeer: PeerPace | null;
    errors: PullError[];
  } {
    const { tracker, peer } = this.waitedMs;
    // Trackers answer for several shards at once, so their sum may exceed the reader's wait.
    const forTracker = Math.min(tracker, peer);
    const waited = { ...this.waitedMs, tracker: forTracker, peer: peer - forTracker };
    const waitedMs = Object.fromEntries(
      Object.entries(waited).map(([cause, ms]) => [cause, Math.round(ms)]),
    ) as unknown as PullWaits;
    return {
      bytes: this.bytes,
      seconds: Number(this.seconds.toFixed(3)),
      bytesPerSecond: Math.round(this.bytes / this.seconds),
      sources: { ...this.sources },
      waitedMs,
      slowestPeer: this.slowestPeer,
      errors: this.errors,
    };
  }
}

/** Bound on the kinds of errors in one record. */
const PULL_ERRORS_MAX = 5;
