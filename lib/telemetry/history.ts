import { HISTORY_FINE_POINTS_MAX, HISTORY_POINTS_MAX, HISTORY_STEP_MS } from './limits.ts';

/** Bytes per second over one step, by source, and to clients. */
export interface HistoryPoint {
  /** End of the step, milliseconds since the Unix epoch. */
  atMs: number;
  origin: number;
  peer: number;
  cache: number;
  client: number;
}

/** Running totals from which the history is computed. */
export interface SourceTotals {
  /** Payload bytes fetched back-to-source. */
  origin: number;
  /** Payload bytes received from other nodes. */
  peer: number;
  /** Payload bytes sent to clients from memory or disk that an earlier read had brought. */
  cache: number;
  /** Payload bytes sent to clients, whatever the source. */
  client: number;
}

const SOURCES = ['origin', 'peer', 'cache', 'client'] as const;

/** Points as they come for the last minutes, and their means in steps of 10 s for an hour. */
export class Timeline {
  readonly #fine: HistoryPoint[] = [];
  readonly #coarse: HistoryPoint[] = [];
  #step: HistoryPoint[] = [];
  #stepFromMs: number | null = null;

  add(point: HistoryPoint): void {
    this.#fine.push(point);
    if (this.#fine.length > HISTORY_FINE_POINTS_MAX) this.#fine.shift();
    this.#stepFromMs ??= point.atMs;
    this.#step.push(point);
    // The wall clock may be set back.
    if (Math.abs(point.atMs - this.#stepFromMs) < HISTORY_STEP_MS) return;
    this.#coarse.push(mean(this.#step, point.atMs));
    if (this.#coarse.length > HISTORY_POINTS_MAX) this.#coarse.shift();
    this.#step = [];
    this.#stepFromMs = point.atMs;
  }

  /** Oldest first. */
  points(): HistoryPoint[] {
    const fineFromMs = this.#fine[0]?.atMs ?? 0;
    return [...this.#coarse.filter(({ atMs }) => atMs < fineFromMs), ...this.#fine];
  }
}

function mean(points: readonly HistoryPoint[], atMs: number): HistoryPoint {
  const sum = { atMs, origin: 0, peer: 0, cache: 0, client: 0 };
  for (const point of points) for (const source of SOURCES) sum[source] += point[source];
  for (const source of SOURCES) sum[source] = Math.round(sum[source] / points.length);
  return sum;
}

/** The history of one node, from its running totals. */
export class History {
  readonly #timeline = new Timeline();
  #last: { nowMs: number; totals: SourceTotals } | undefined;

  /** Called once a second with monotonic and wall time. */
  tick(nowMs: number, wallMs: number, totals: SourceTotals): void {
    const last = this.#last;
    this.#last = { nowMs, totals };
    if (last === undefined || nowMs <= last.nowMs) return;
    const seconds = (nowMs - last.nowMs) / 1000;
    const rate = (source: keyof SourceTotals): number =>
      Math.round(Math.max(0, totals[source] - last.totals[source]) / seconds);
    this.#timeline.add({
      atMs: Math.round(wallMs),
      origin: rate('origin'),
      peer: rate('peer'),
      cache: rate('cache'),
      client: rate('client'),
    });
  }

  points(): HistoryPoint[] {
    return this.#timeline.points();
  }
}
