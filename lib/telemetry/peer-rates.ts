import { PEER_RATES_MAX, RATE_WINDOW_SECONDS } from './limits.ts';
import { RateWindow } from './rate-window.ts';

interface PeerFlow {
  receivedBytes: number;
  sentBytes: number;
  idleTicks: number;
  readonly window: RateWindow;
}

/** Bytes per second from and to each peer; only peers active within the window are kept. */
export class PeerRates {
  readonly #flows = new Map<string, PeerFlow>();

  /**
   * Adds bytes moved since the last call. Beyond `PEER_RATES_MAX` active peers, further ones are
   * ignored.
   */
  add(node: string, receivedBytes: number, sentBytes = 0): void {
    let flow = this.#flows.get(node);
    if (flow === undefined) {
      if (this.#flows.size >= PEER_RATES_MAX) return;
      flow = { receivedBytes: 0, sentBytes: 0, idleTicks: 0, window: new RateWindow() };
      this.#flows.set(node, flow);
    }
    flow.receivedBytes += receivedBytes;
    flow.sentBytes += sentBytes;
    flow.idleTicks = 0;
  }

  tick(nowMs: number): void {
    for (const [node, flow] of this.#flows) {
      if (flow.idleTicks++ > RATE_WINDOW_SECONDS) this.#flows.delete(node);
      else flow.window.push(nowMs, [flow.receivedBytes, flow.sentBytes]);
    }
  }

  receivedBytesPerSecond(node: string): number {
    return this.#flows.get(node)?.window.rate(0) ?? 0;
  }

  sentBytesPerSecond(node: string): number {
    return this.#flows.get(node)?.window.rate(1) ?? 0;
  }
}
