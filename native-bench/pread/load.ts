import type { PreadPattern } from '../../lib/commands/bench.ts';
import { Random } from '../sim/random.ts';
import { PreadConnection, type ReadOutcome } from './connection.ts';
import { Latencies } from './latency.ts';
import { offsetsOf } from './offsets.ts';
import { Pattern } from './pattern.ts';
import type { Target } from './target.ts';

/** One thread's part of the load; plain data, so that it can be sent to a worker. */
export interface LoadPlan {
  target: Target;
  totalBytes: number;
  sizeBytes: number;
  pattern: PreadPattern;
  connections: number;
  /** Reads per second at fixed times; null: as fast as answers come. */
  ratePerSecond: number | null;
  verifySeed: number | null;
  /** Of the choice of offsets. */
  seed: number;
  /** When counting starts and all ends, milliseconds since the epoch: the same for all threads. */
  countFromMs: number;
  endMs: number;
}

/** What one thread saw between `countFromMs` and `endMs`. */
export interface LoadTally {
  requests: number;
  bytes: number;
  errors: number;
  mismatches: number;
  /** Buckets of `Latencies`. */
  latencies: Float64Array<ArrayBuffer>;
  /** The first failure, in words. */
  problem: string | null;
}

/**
 * Loopback gives up to this much at once; more does not pay, and this still lies in the processor's
 * cache.
 */
const READ_BUFFER_BYTES = 256 * 1024;
/** A server that refuses connections is tried again after this time. */
const RECONNECT_MS = 100;

/** Runs one thread's load to its end. Resolves always; failures are in the tally. */
export function runLoad(plan: LoadPlan): Promise<LoadTally> {
  return new Promise((resolve) => new Load(plan, resolve).start());
}

interface Lane {
  connection: PreadConnection | null;
  nextOffset: () => number;
  startMs: number;
}

/**
 * Closed loop: every connection asks again as soon as it has its answer. Open loop
 * (`ratePerSecond`): reads fall due at fixed times; one that finds no free connection waits for
 * one, and its latency counts from when it fell due, so that a server that stalls cannot hide it by
 * being asked less.
 */
class Load {
  readonly #plan: LoadPlan;
  readonly #done: (tally: LoadTally) => void;
  readonly #lanes: Lane[];
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  readonly #content: Pattern | null;
  readonly #latencies = new Latencies();
  readonly #tally = {
    requests: 0,
    bytes: 0,
    errors: 0,
    mismatches: 0,
    problem: null as string | null,
  };
  readonly #idle: Lane[] = [];
  /** When reads fell due that no connection was free for. */
  readonly #overdue: number[] = [];
  #fallenDue = 0;
  #startMs = 0;
  #counting = false;
  #over = false;

  constructor(plan: LoadPlan, done: (tally: LoadTally) => void) {
    this.#plan = plan;
    this.#done = done;
    this.#content = plan.verifySeed === null ? null : new Pattern(plan.verifySeed);
    const random = new Random(plan.seed);
    this.#lanes = Array.from({ length: plan.connections }, (_, index) => ({
      connection: null,
      nextOffset: offsetsOf(plan.pattern, plan.sizeBytes, plan.totalBytes, random, {
        index,
        count: plan.connections,
      }),
      startMs: 0,
    }));
  }

  start(): void {
    const { countFromMs, endMs } = this.#plan;
    const nowMs = Date.now();
    this.#startMs = performance.now();
    setTimeout(() => (this.#counting = true), countFromMs - nowMs);
    setTimeout(() => this.#end(), endMs - nowMs);
    for (const lane of this.#lanes) this.#connect(lane);
    if (this.#plan.ratePerSecond !== null) this.#tick();
  }

  #connect(lane: Lane): void {
    if (this.#over) return;
    lane.connection = new PreadConnection(this.#plan.target, this.#buffer, {
      free: (outcome) => this.#free(lane, outcome),
      body: (bytes, offsetBytes) => {
        if (this.#counting) this.#tally.bytes += bytes.length;
        return this.#content === null || this.#content.holds(bytes, offsetBytes);
      },
      lost: (problem) => this.#lost(lane, problem),
    });
  }

  #free(lane: Lane, outcome: ReadOutcome | null): void {
    if (this.#over) return;
    if (outcome !== null && this.#counting) this.#count(lane, outcome);
    if (this.#plan.ratePerSecond === null) this.#read(lane, performance.now());
    else if (this.#overdue.length > 0) this.#read(lane, this.#overdue.shift()!);
    else this.#idle.push(lane);
  }

  #read(lane: Lane, startMs: number): void {
    const { sizeBytes, totalBytes } = this.#plan;
    lane.startMs = startMs;
    lane.connection!.read(lane.nextOffset(), Math.min(sizeBytes, totalBytes));
  }

  #count(lane: Lane, outcome: ReadOutcome): void {
    if (!outcome.ok) {
      this.#failed(outcome.problem);
      return;
    }
    this.#tally.requests += 1;
    if (!outcome.matches) this.#tally.mismatches += 1;
    this.#latencies.add((performance.now() - lane.startMs) * 1000);
  }

  #failed(problem: string): void {
    this.#tally.errors += 1;
    this.#tally.problem ??= problem;
  }

  #lost(lane: Lane, problem: string | null): void {
    lane.connection = null;
    const at = this.#idle.indexOf(lane);
    if (at >= 0) this.#idle.splice(at, 1);
    if (problem !== null && !this.#over) this.#failed(problem);
    setTimeout(() => this.#connect(lane), problem === null ? 0 : RECONNECT_MS);
  }

  /** Once a millisecond, as timers go: starts what has fallen due since. */
  #tick(): void {
    if (this.#over) return;
    const nowMs = performance.now();
    const due = Math.floor(((nowMs - this.#startMs) / 1000) * this.#plan.ratePerSecond!);
    for (; this.#fallenDue < due; this.#fallenDue++) {
      const lane = this.#idle.shift();
      if (lane === undefined) this.#overdue.push(nowMs);
      else this.#read(lane, nowMs);
    }
    setTimeout(() => this.#tick(), 1);
  }

  #end(): void {
    this.#over = true;
    for (const { connection } of this.#lanes) connection?.destroy();
    this.#done({ ...this.#tally, latencies: this.#latencies.counts });
  }
}
