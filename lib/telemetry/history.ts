import { HISTORY_POINTS_MAX, HISTORY_STEP_SECONDS } from './limits.ts';

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

/** The last 15 minutes in steps of 5 s, for the live page's chart. */
export class History {
  readonly #points: HistoryPoint[] = [];
  #stepStart: { nowMs: number; totals: SourceTotals } | undefined;

  /** Called every tick with monotonic and wall time; adds a point at the end of each step. */
  tick(nowMs: number, wallMs: number, totals: SourceTotals): void {
    const start = this.#stepStart;
    if (start === undefined) {
      this.#stepStart = { nowMs, totals };
      return;
    }
    const seconds = (nowMs - start.nowMs) / 1000;
    // Half a tick of slack: a timer that fires a little early must not stretch the step by a
    // second.
    if (seconds < HISTORY_STEP_SECONDS - 0.5) return;
    const rate = (source: keyof SourceTotals): number =>
      Math.round(Math.max(0, totals[source] - start.totals[source]) / seconds);
    this.#points.push({
      atMs: Math.round(wallMs),
      origin: rate('origin'),
      peer: rate('peer'),
      cache: rate('cache'),
      client: rate('client'),
    });
    if (this.#points.length > HISTORY_POINTS_MAX) this.#points.shift();
    this.#stepStart = { nowMs, totals };
  }

  points(): HistoryPoint[] {
    return [...this.#points];
  }
}
