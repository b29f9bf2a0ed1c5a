import type { Clock, Timer } from '../../clock.ts';
import { collectorsFor } from '../../swarm/collectors.ts';
import type { Membership } from '../../swarm/rank.ts';
import { Timeline, type HistoryPoint } from '../../telemetry/history.ts';
import type { AgedSummary, NodeSummary } from '../../telemetry/node-summary.ts';
import type { ClusterSecret } from '../../wire/secret.ts';
import {
  formatGathering,
  formatTelling,
  packSummaries,
  parseGathering,
  SUMMARY_PATH,
  SWARM_PATH,
  sumRates,
  tellings,
  unpackSummaries,
  type Gathering,
  type Telling,
} from '../../wire/summary.ts';
import type { PeerCalls } from './calls.ts';
import {
  GATHERING_BYTES_MAX,
  GATHERING_FRESH_MS,
  HISTORY_INTERVAL_MS,
  SUMMARY_CALL_MS,
  SUMMARY_HEARTBEAT_MS,
  SUMMARY_INTERVAL_MS,
  SUMMARY_KEPT_MS,
  SUMMARY_SENDERS_MAX,
} from './limits.ts';

interface SummaryParts {
  self: string;
  clock: Clock;
  secret: Pick<ClusterSecret, 'seal' | 'open'>;
  membership(): Membership;
  /** What this node tells of itself now. */
  own(): NodeSummary;
  call: PeerCalls['call'];
}

/** Everything known of the swarm's nodes. */
interface SwarmRows {
  rows: AgedSummary[];
  history: HistoryPoint[];
  /** The node that keeps the summaries; null: none of those answered. */
  head: string | null;
}

interface Row {
  summary: AgedSummary;
  receivedMs: number;
}

/**
 * Sends this node's summary to other nodes, and keeps the summaries of others: a head keeps all, a
 * leader those of a part of the swarm (lib/swarm/collectors.ts). A node sends its summary every 2 s
 * while it changes, else every 20 s. A lost message is replaced by the next.
 */
export class Summaries {
  readonly #parts: SummaryParts;
  readonly #timeline = new Timeline();
  /** As a head: the last message of each node or leader. */
  readonly #told = new Map<string, { telling: Telling; receivedMs: number }>();
  /** As a leader: rows to be passed on. */
  readonly #rows = new Map<string, Row>();
  /** Nodes that a message is on its way to: a slow one is not sent a second. */
  readonly #sending = new Set<string>();
  #hasNews = false;
  #passedOnMs = -Infinity;
  #toldMs = -Infinity;
  #toldText = '';
  #leaderAt = 0;
  #timer: Timer | null = null;
  #read: { atMs: number; rows: Promise<SwarmRows> } | null = null;

  constructor(parts: SummaryParts) {
    this.#parts = parts;
  }

  start(): void {
    const next = (ticks: number): void => {
      this.#timer = this.#parts.clock.after(HISTORY_INTERVAL_MS, () => {
        this.sample();
        const isDue = ticks * HISTORY_INTERVAL_MS >= SUMMARY_INTERVAL_MS;
        if (isDue) this.tick();
        next(isDue ? 1 : ticks + 1);
      });
    };
    next(1);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Adds a point to the history of a head; `start` calls it every second. */
  sample(): void {
    const { self, membership, own } = this.#parts;
    if (collectorsFor(membership(), self).heads.includes(self)) this.#addPoint(own());
  }

  /** Tells what there is to tell; `start` calls it every 2 s. */
  tick(): void {
    const { self, clock, membership } = this.#parts;
    const members = membership();
    const { heads, leaders } = collectorsFor(members, self);
    const nowMs = clock.nowMs();
    if (members.byNode.size === 1) return;
    const own = this.#news(this.#parts.own(), nowMs);
    if (own !== null) {
      if (leaders.length === 0) this.#tellHeads(heads, [own], false);
      else this.#tellLeader(leaders, own);
    }
    const intervalMs = Math.max(1, members.byNode.size / 1_000) * SUMMARY_INTERVAL_MS;
    if (this.#hasNews && nowMs - this.#passedOnMs >= intervalMs - SUMMARY_INTERVAL_MS / 2) {
      this.#hasNews = false;
      this.#passedOnMs = nowMs;
      this.#tellHeads(heads, this.#agedRows(), true);
    }
  }

  /** Another node sent summaries. */
  accept(telling: Telling): void {
    const { self, clock, membership } = this.#parts;
    const receivedMs = clock.nowMs();
    const { heads } = collectorsFor(membership(), self);
    if (heads.includes(self)) this.#keep(telling, receivedMs);
    // A message that was passed on goes no further: nodes may disagree on the heads.
    else if (!telling.isPassedOn) this.#lead(unpackSummaries(telling.packed), receivedMs);
  }

  /** The answer to another node that shows the swarm; null: this node does not keep summaries. */
  answer(): object | null {
    const { self, secret, membership } = this.#parts;
    const { heads } = collectorsFor(membership(), self);
    return heads.includes(self) ? formatGathering(this.#gathering(), secret) : null;
  }

  /** The swarm, from here or from a head; at most GATHERING_FRESH_MS old. Resolves always. */
  swarm(): Promise<SwarmRows> {
    const nowMs = this.#parts.clock.nowMs();
    if (this.#read === null || nowMs - this.#read.atMs > GATHERING_FRESH_MS)
      this.#read = { atMs: nowMs, rows: this.#gather() };
    return this.#read.rows;
  }

  async #gather(): Promise<SwarmRows> {
    const { self, secret, membership, call, own } = this.#parts;
    const { heads } = collectorsFor(membership(), self);
    if (heads.includes(self)) return rowsOf(this.#gathering(), self);
    for (const head of heads) {
      const answer = await call(head, SWARM_PATH, {
        deadlineMs: SUMMARY_CALL_MS,
        answerBytesMax: GATHERING_BYTES_MAX,
      });
      if (answer.kind !== 'answer' || answer.status !== 200) continue;
      const gathering = parseGathering(new TextDecoder().decode(answer.body), secret);
      if (gathering !== null) return rowsOf(gathering, head);
    }
    return { rows: [{ ...own(), ageMs: 0 }], history: [], head: null };
  }

  #gathering(): Gathering {
    const { clock, own } = this.#parts;
    const nowMs = clock.nowMs();
    const parts = [...this.#told.values()].map(({ telling, receivedMs }) => ({
      packed: telling.packed,
      ageMs: Math.round(nowMs - receivedMs),
    }));
    parts.push({ packed: packSummaries([{ ...own(), ageMs: 0 }]), ageMs: 0 });
    return { parts, history: this.#timeline.points() };
  }

  /** This node's summary, if it has changed or is due; its age alone is no change. */
  #news(own: NodeSummary, nowMs: number): AgedSummary | null {
    const text = JSON.stringify({ ...own, uptimeSeconds: 0 });
    if (text === this.#toldText && nowMs - this.#toldMs < SUMMARY_HEARTBEAT_MS) return null;
    this.#toldText = text;
    this.#toldMs = nowMs;
    return { ...own, ageMs: 0 };
  }

  #addPoint(own: NodeSummary): void {
    const { clock } = this.#parts;
    this.#forgetBefore(clock.nowMs() - SUMMARY_KEPT_MS);
    const staleMs = clock.nowMs() - 2 * SUMMARY_HEARTBEAT_MS;
    const fresh = [...this.#told.values()].filter(({ receivedMs }) => receivedMs > staleMs);
    const rates = sumRates([...fresh.map(({ telling }) => telling.rates), own.rates]);
    this.#timeline.add({ atMs: clock.wallMs(), ...rates });
  }

  #forgetBefore(oldestMs: number): void {
    for (const [node, { receivedMs }] of this.#told)
      if (receivedMs < oldestMs) this.#told.delete(node);
    for (const [node, { receivedMs }] of this.#rows)
      if (receivedMs < oldestMs) this.#rows.delete(node);
  }

  #keep(telling: Telling, receivedMs: number): void {
    const name = `${telling.node} ${telling.part}`;
    if (this.#told.size >= SUMMARY_SENDERS_MAX && !this.#told.has(name)) return;
    this.#told.set(name, { telling, receivedMs });
  }

  #lead(summaries: readonly AgedSummary[], receivedMs: number): void {
    for (const summary of summaries)
      if (this.#rows.size < SUMMARY_SENDERS_MAX || this.#rows.has(summary.node))
        this.#rows.set(summary.node, { summary, receivedMs });
    this.#hasNews ||= summaries.length > 0;
  }

  #agedRows(): AgedSummary[] {
    const nowMs = this.#parts.clock.nowMs();
    this.#forgetBefore(nowMs - SUMMARY_KEPT_MS);
    return [...this.#rows.values()].map(({ summary, receivedMs }) => ({
      ...summary,
      ageMs: Math.round(summary.ageMs + nowMs - receivedMs),
    }));
  }

  #tellHeads(heads: readonly string[], summaries: AgedSummary[], isPassedOn: boolean): void {
    const { self, clock } = this.#parts;
    const all = tellings(self, summaries, isPassedOn);
    for (const head of heads)
      if (head !== self) void this.#tell(head, all);
      // Its own summary is at hand always.
      else if (isPassedOn) for (const telling of all) this.#keep(telling, clock.nowMs());
  }

  #tellLeader(leaders: readonly string[], own: AgedSummary): void {
    const leader = leaders[this.#leaderAt % leaders.length]!;
    if (leader === this.#parts.self) this.#lead([own], this.#parts.clock.nowMs());
    else
      void this.#tell(leader, tellings(this.#parts.self, [own], false)).then((isTold) => {
        if (isTold) return;
        // The next one stands in, from the next tick on.
        this.#leaderAt += 1;
        this.#toldMs = -Infinity;
      });
  }

  /** Resolves with whether `node` took all. */
  async #tell(node: string, all: readonly Telling[]): Promise<boolean> {
    if (this.#sending.has(node)) return true;
    this.#sending.add(node);
    let isTold = true;
    for (const telling of all) {
      const answer = await this.#parts.call(node, SUMMARY_PATH, {
        deadlineMs: SUMMARY_CALL_MS,
        words: formatTelling(telling),
      });
      isTold = answer.kind === 'answer' && answer.status === 200;
      if (!isTold) break;
    }
    this.#sending.delete(node);
    return isTold;
  }
}

/** The rows of a gathering, the latest of each node. */
function rowsOf({ parts, history }: Gathering, head: string): SwarmRows {
  const latest = new Map<string, AgedSummary>();
  for (const { packed, ageMs } of parts)
    for (const row of unpackSummaries(packed)) {
      row.ageMs += ageMs;
      if (row.ageMs < (latest.get(row.node)?.ageMs ?? Infinity)) latest.set(row.node, row);
    }
  return { rows: [...latest.values()], history, head };
}
