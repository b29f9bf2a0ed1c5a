import { CAUTION_MS } from './limits.ts';

/**
 * Whether wrong bytes came lately. A node forwards bytes before it has checked them, so who sent
 * wrong ones may be honest. While there is reason for caution, nodes are asked for checked bytes
 * only: who sends wrong ones then has lied.
 */
export class Caution {
  #untilMs = -Infinity;

  /** Wrong bytes came from a node that may have only forwarded them. */
  raise(nowMs: number): void {
    this.#untilMs = nowMs + CAUTION_MS;
  }

  isOn(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }
}
