import {
  COOL_DOWN_MS,
  COOL_DOWN_MS_MAX,
  LIES_MAX,
  QUARANTINE_MS,
  SLOW_MS,
  SLOW_STRIKES,
  TROUBLED_NODES_MAX,
} from './limits.ts';
import { PEER_SILENCE_MS } from '../limits.ts';
import type { NodeId, PeerCondition } from './types.ts';

/** A trial has ended by then: in an answer, or in silence. */
const TRIAL_MS = 1.25 * PEER_SILENCE_MS;

interface Trouble {
  /** Failures in a row. */
  failures: number;
  /** Slow transfers in a row. */
  strikes: number;
  /** Wrong shards, less a quarter for every good one since. */
  lies: number;
  condition: PeerCondition;
  untilMs: number;
  /** A fetch is testing whether it is back. */
  tried: boolean;
}

/**
 * What this node thinks of the others. Only nodes in trouble have an entry.
 *
 *   good --failed--> cooling (doubling) --time--> tried by one, cooling for the others --failed-->
 * cooling, --answered--> good
 *   good --slow x SLOW_STRIKES--> slow --time--> good
 *   good --lied--> cooling --lied again--> quarantined --time--> good
 */
export class PeerHealth {
  readonly #troubles = new Map<NodeId, Trouble>();
  readonly #random: () => number;
  #quarantines = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Nodes ever quarantined. */
  get quarantines(): number {
    return this.#quarantines;
  }

  /** Whether the node may be asked at all. */
  usable(node: NodeId, nowMs: number): boolean {
    if (this.#troubles.size === 0) return true;
    const condition = this.condition(node, nowMs);
    return condition === 'good' || condition === 'slow';
  }

  /** Whether other nodes may be sent to it; false while it is slow, too. */
  good(node: NodeId, nowMs: number): boolean {
    return this.#troubles.size === 0 || this.condition(node, nowMs) === 'good';
  }

  condition(node: NodeId, nowMs: number): PeerCondition {
    const trouble = this.#troubles.get(node);
    return trouble === undefined || trouble.untilMs <= nowMs ? 'good' : trouble.condition;
  }

  /** Whether it failed, and nothing good has come from it since. */
  hasFailed(node: NodeId): boolean {
    return (this.#troubles.get(node)?.failures ?? 0) > 0;
  }

  /** It could not be reached, broke off or fell silent. Returns the cool-down in ms. */
  failed(node: NodeId, nowMs: number): number {
    const trouble = this.#trouble(node);
    if (trouble.condition === 'quarantined' && trouble.untilMs > nowMs)
      return trouble.untilMs - nowMs;
    // Fetches under way when a node dies all fail at once: that is one failure.
    if (trouble.condition === 'cooling' && trouble.untilMs > nowMs && !trouble.tried)
      return trouble.untilMs - nowMs;
    trouble.tried = false;
    trouble.failures++;
    const coolMs =
      Math.min(COOL_DOWN_MS_MAX, COOL_DOWN_MS * 2 ** (trouble.failures - 1)) *
      (0.75 + 0.5 * this.#random());
    this.#set(trouble, 'cooling', nowMs + coolMs);
    return coolMs;
  }

  /**
   * It is being asked. After a cool-down that is a trial, and the others wait for how it ends: they
   * would lose as much time each.
   */
  asked(node: NodeId, nowMs: number): void {
    const trouble = this.#troubles.get(node);
    if (trouble === undefined || trouble.failures === 0 || trouble.untilMs > nowMs) return;
    trouble.tried = true;
    this.#set(trouble, 'cooling', nowMs + TRIAL_MS);
  }

  /**
   * Nodes whose cool-down ends within `withinMs`: they are to be asked whether they are there
   * before any fetch waits for them. Call `alive` or `failed` for each.
   */
  toSound(nowMs: number, withinMs: number): NodeId[] {
    const found: NodeId[] = [];
    for (const [node, trouble] of this.#troubles) {
      if (trouble.condition !== 'cooling' || trouble.failures === 0 || trouble.tried) continue;
      if (trouble.untilMs > nowMs + withinMs || trouble.untilMs < nowMs - withinMs) continue;
      trouble.tried = true;
      this.#set(trouble, 'cooling', nowMs + withinMs + TRIAL_MS);
      found.push(node);
    }
    return found;
  }

  /** It says that it is there: a fetch may try it. */
  alive(node: NodeId): void {
    const trouble = this.#troubles.get(node);
    if (trouble?.tried !== true) return;
    trouble.tried = false;
    trouble.untilMs = -Infinity;
  }

  /** It is alive, at least: the trial is over. */
  answered(node: NodeId): void {
    const trouble = this.#troubles.get(node);
    if (trouble?.tried !== true) return;
    trouble.tried = false;
    trouble.failures = 0;
    trouble.untilMs = -Infinity;
  }

  /** A shard from it took far longer than others did. */
  slow(node: NodeId, nowMs: number): void {
    const trouble = this.#trouble(node);
    trouble.strikes++;
    if (trouble.strikes >= SLOW_STRIKES && trouble.untilMs <= nowMs)
      this.#set(trouble, 'slow', nowMs + SLOW_MS);
  }

  /**
   * It sent bytes that are not what the owner vouches for. True when that puts it into quarantine.
   */
  lied(node: NodeId, nowMs: number): boolean {
    const trouble = this.#trouble(node);
    trouble.lies++;
    if (trouble.condition === 'quarantined' && trouble.untilMs > nowMs) return false;
    if (trouble.lies < LIES_MAX) {
      if (trouble.untilMs <= nowMs) this.#set(trouble, 'cooling', nowMs + COOL_DOWN_MS);
      return false;
    }
    this.#set(trouble, 'quarantined', nowMs + QUARANTINE_MS);
    this.#quarantines++;
    return true;
  }

  /** Ends the quarantines that have expired. Returns their nodes. */
  release(nowMs: number): NodeId[] {
    const released = [];
    for (const [node, trouble] of this.#troubles)
      if (trouble.condition === 'quarantined' && trouble.untilMs <= nowMs) {
        trouble.condition = 'good';
        released.push(node);
      }
    return released;
  }

  /** It sent a whole correct shard, or a valid answer. */
  succeeded(node: NodeId): void {
    const trouble = this.#troubles.get(node);
    if (trouble === undefined || trouble.condition === 'quarantined') return;
    trouble.lies = Math.max(0, trouble.lies - 0.25);
    this.answered(node);
    trouble.failures = 0;
    trouble.strikes = 0;
    if (trouble.lies === 0) this.#troubles.delete(node);
  }

  /** Forgets nodes that are no longer members, and old failures. */
  prune(isMember: (node: NodeId) => boolean, nowMs: number): void {
    for (const [node, trouble] of this.#troubles) {
      if (!isMember(node) || trouble.untilMs + QUARANTINE_MS < nowMs) this.#troubles.delete(node);
    }
  }

  /** Failures in a row and the time left of the node's condition. */
  detail(
    node: NodeId,
    nowMs: number,
  ): { condition: PeerCondition; failures: number; forMs: number } {
    const trouble = this.#troubles.get(node);
    const condition = this.condition(node, nowMs);
    return {
      condition,
      failures: trouble?.failures ?? 0,
      forMs: condition === 'good' ? 0 : Math.round(trouble!.untilMs - nowMs),
    };
  }

  #trouble(node: NodeId): Trouble {
    let trouble = this.#troubles.get(node);
    if (trouble === undefined) {
      if (this.#troubles.size >= TROUBLED_NODES_MAX)
        this.#troubles.delete(this.#troubles.keys().next().value!);
      trouble = {
        failures: 0,
        strikes: 0,
        lies: 0,
        condition: 'good',
        untilMs: -Infinity,
        tried: false,
      };
      this.#troubles.set(node, trouble);
    }
    return trouble;
  }

  #set(trouble: Trouble, condition: PeerCondition, untilMs: number): void {
    trouble.condition = condition;
    trouble.untilMs = untilMs;
  }
}
