import type { Clock, Timer } from '../clock.ts';
import { RATE_WINDOW_SECONDS } from './limits.ts';
import { History, type SourceTotals } from './history.ts';
import type { MeterBoard } from './meter-board.ts';
import { tiers, trafficTypes, type Tier, type TrafficType } from './metrics-list.ts';
import { PeerRates } from './peer-rates.ts';
import { MaxWindow, RateWindow } from './rate-window.ts';
import { RecentErrors } from './recent-errors.ts';
import { buildStatus, type Status, type StatusInputs } from './status.ts';

const TICK_MS = 1_000;

export interface Identity {
  mode: 'agent' | 'root';
  /** address:p2p port. */
  node: string;
  version: string;
}

/** One type of traffic over the last window. */
interface TrafficRates {
  bytesPerSecond: number;
  operationsPerSecond: number;
  latencyMaxUs: number;
}

/**
 * Turns the counters of all threads into rates, history and status, once a second, on control.
 */
export class Telemetry {
  readonly identity: Identity;
  readonly board: MeterBoard;
  readonly errors = new RecentErrors();
  readonly peerRates = new PeerRates();
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #traffic = new RateWindow();
  readonly #sources = new RateWindow();
  readonly #latency: Record<TrafficType, MaxWindow>;
  readonly #history = new History();
  #timer: Timer | undefined;

  constructor(identity: Identity, board: MeterBoard, clock: Clock) {
    this.identity = identity;
    this.board = board;
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#latency = Object.fromEntries(
      trafficTypes.map((type) => [type, new MaxWindow(RATE_WINDOW_SECONDS)]),
    ) as Record<TrafficType, MaxWindow>;
    this.tick();
  }

  /** Ticks once a second until stopped. */
  start(): void {
    const next = (): void => {
      this.#timer = this.#clock.after(TICK_MS, () => {
        this.tick();
        next();
      });
    };
    next();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Takes one sample of everything; `start` calls it once a second. */
  tick(): void {
    const nowMs = this.#clock.nowMs();
    this.#traffic.push(
      nowMs,
      trafficTypes.flatMap((type) => {
        const { bytes, operations } = this.board.traffic(type);
        return [bytes, operations];
      }),
    );
    const totals = this.totals();
    this.#sources.push(nowMs, [
      totals.origin,
      totals.peer,
      totals.cache,
      totals.client,
      this.uploadedBytes(),
    ]);
    const maxima = this.board.takeLatencyMaxUs();
    for (const type of trafficTypes) this.#latency[type].push(maxima[type]);
    this.#history.tick(nowMs, this.#clock.wallMs(), totals);
    this.peerRates.tick(nowMs);
  }

  trafficRates(type: TrafficType): TrafficRates {
    const index = trafficTypes.indexOf(type) * 2;
    return {
      bytesPerSecond: this.#traffic.rate(index),
      operationsPerSecond: this.#traffic.rate(index + 1),
      latencyMaxUs: this.#latency[type].max(),
    };
  }

  /** Bytes sent to clients since the start, by tier. */
  clientBytes(): Record<Tier, number> {
    return Object.fromEntries(
      tiers.map((tier) => [tier, this.board.counter(`served.client.${tier}`)]),
    ) as Record<Tier, number>;
  }

  uploadedBytes(): number {
    return tiers.reduce((sum, tier) => sum + this.board.counter(`served.peer.${tier}`), 0);
  }

  totals(): SourceTotals {
    const client = this.clientBytes();
    return {
      origin: this.board.traffic('download').bytes,
      peer: this.board.traffic('peer').bytes,
      cache: client.arena + client.runtime + client.disk,
      client: tiers.reduce((sum, tier) => sum + client[tier], 0),
    };
  }

  uptimeSeconds(): number {
    return (this.#clock.nowMs() - this.#startMs) / 1000;
  }

  status(inputs: StatusInputs): Status {
    return { ...this.statusNow(inputs), history: this.#history.points() };
  }

  /** The status without its history. */
  statusNow(inputs: StatusInputs): Omit<Status, 'history'> {
    const rate = (index: number): number => Math.round(this.#sources.rate(index));
    return buildStatus(inputs, {
      ...this.identity,
      uptimeSeconds: this.uptimeSeconds(),
      totals: this.totals(),
      rates: { origin: rate(0), peer: rate(1), cache: rate(2), client: rate(3) },
      clientBytes: this.clientBytes(),
      uploadedBytes: this.uploadedBytes(),
      uploadRate: rate(4),
      peerRates: (node) => ({
        receivedBytesPerSecond: Math.round(this.peerRates.receivedBytesPerSecond(node)),
        sentBytesPerSecond: Math.round(this.peerRates.sentBytesPerSecond(node)),
      }),
      errors: this.errors.list(),
    });
  }
}
