import { SHARD_BYTES } from '../../lib/limits.ts';
import { SlotState } from '../../lib/io/arena.ts';
import { pull, type Outcome, type Pull, type Seen } from './client.ts';
import { scheduleFaults } from './faults.ts';
import { intrude } from './intruder.ts';
import { ACCESS_TTL_S, STALE_TTL_S, type Variant } from './machine.ts';
import {
  HEALED_MS,
  REVOKED_MS,
  planOf,
  type FaultKind,
  type Plan,
  type PlannedPull,
  type Who,
} from './plan.ts';
import { World, type Machine } from './world.ts';

/** After the last fault, until everything must work again. */
const RECOVERY_MS = 70_000;
/** After the last client, until nothing may be under way. */
const REST_MS = 90_000;
/** A check and its answer may be on their way for so long. */
const CHECK_MS = 3_000;
/** How long a right from before an outage may count after the outage was last seen. */
const OUTAGE_MEMORY_MS = 90_000;

const CREDENTIALS: Record<Who, string | null> = {
  right: 'Bearer right',
  other: 'Bearer other',
  wrong: 'Bearer wrong',
  nobody: null,
  revoked: 'Bearer revoked',
  late: 'Bearer late',
};

export interface SeedResult {
  plan: Plan;
  violations: string[];
  pulls: { pull: PlannedPull; outcome: Outcome; seen: Seen }[];
  originBytes: number;
  lie: string;
  events: number;
}

/** Runs the simulation of one seed to its end. The same seed gives the same result. */
export async function runSeed(
  seed: number,
  variant: Variant = {},
  only?: readonly FaultKind[],
): Promise<SeedResult> {
  const plan = planOf(seed, only);
  const world = new World(plan, variant);
  const result: SeedResult = {
    ...{ plan, violations: world.violations, pulls: [], originBytes: 0, lie: '', events: 0 },
  };
  try {
    await new Simulation(plan, world, result).run();
  } finally {
    world.end();
  }
  result.lie = world.lie;
  result.events = world.timeline.count;
  for (const bytes of world.registry.sentBytes.values()) result.originBytes += bytes;
  return result;
}

class Simulation {
  readonly #plan: Plan;
  readonly #world: World;
  readonly #result: SeedResult;
  #running = 0;
  #lastOutageMs = Number.NEGATIVE_INFINITY;

  constructor(plan: Plan, world: World, result: SeedResult) {
    this.#plan = plan;
    this.#world = world;
    this.#result = result;
  }

  async run(): Promise<void> {
    const { timeline, machines } = this.#world;
    this.#fillRegistry();
    scheduleFaults(this.#plan, this.#world);
    for (const machine of machines) await this.#world.start(machine);
    for (const planned of this.#plan.pulls)
      timeline.after(planned.atMs, () => void this.#pull(planned, false));
    for (const atMs of [5_000, 12_000, 25_000, 38_000])
      timeline.after(atMs, () => void intrude(this.#plan, this.#world));
    this.#watchOutages();
    const finalMs = HEALED_MS + RECOVERY_MS;
    await timeline.run(() => false, finalMs);
    this.#pullAll();
    await timeline.run(() => this.#running === 0, finalMs + 300_000);
    if (this.#running > 0) this.#world.violated(`${this.#running} pulls never ended`);
    await timeline.run(() => false, timeline.nowMs + REST_MS);
    for (const machine of machines) this.#checkRest(machine);
    this.#checkOrigin();
  }

  #fillRegistry(): void {
    const { registry } = this.#world;
    const always = { fromMs: 0, untilMs: Infinity };
    for (const { repository, blob } of this.#plan.blobs) registry.put(repository, blob);
    for (const repository of ['one', 'two']) {
      registry.grant(CREDENTIALS.right!, { repository, ...always });
      registry.grant(CREDENTIALS.revoked!, { repository, fromMs: 0, untilMs: REVOKED_MS });
      registry.grant(CREDENTIALS.late!, { repository, fromMs: 20_000, untilMs: Infinity });
    }
    registry.grant(CREDENTIALS.other!, { repository: 'three', ...always });
  }

  #watchOutages(): void {
    const { timeline, registry, network, machines } = this.#world;
    const look = (): void => {
      const isOut =
        registry.state !== 'up' ||
        machines.some(
          ({ name }) =>
            network.path(name, 'registry.test').isCut || network.path('registry.test', name).isCut,
        );
      if (isOut) this.#lastOutageMs = timeline.nowMs;
      if (timeline.nowMs < HEALED_MS) timeline.after(100, look);
    };
    look();
  }

  /** Everything is well again: every node must serve every blob to who may read it. */
  #pullAll(): void {
    for (const [machine, { mode }] of this.#world.machines.entries())
      if (mode === 'agent')
        for (const blob of this.#plan.blobs.keys())
          void this.#pull(
            { atMs: 0, machine, blob, who: 'right', range: null, abortBytes: null },
            true,
          );
  }

  async #pull(planned: PlannedPull, mustWork: boolean): Promise<void> {
    const { network, timeline } = this.#world;
    const { repository, blob } = this.#plan.blobs[planned.blob]!;
    const machine = this.#world.machines[planned.machine]!.name;
    const client = `client-of-${machine}`;
    for (const [from, to] of [
      [client, machine],
      [machine, client],
    ] as const)
      Object.assign(network.path(from, to), { latencyMs: 0.05, bytesPerMs: 1_000_000 });
    const what: Pull = {
      ...{ client, machine, repository, blob, range: planned.range },
      credential: CREDENTIALS[planned.who],
      abortBytes: planned.abortBytes,
    };
    this.#running += 1;
    try {
      const { outcome, seen } = await pull(network, what);
      this.#result.pulls.push({ pull: planned, outcome, seen });
      this.#check(what, planned, outcome, seen, mustWork);
    } catch (thrown) {
      this.#world.violated(`a client failed: ${(thrown as Error).stack}`);
    } finally {
      this.#running -= 1;
    }
    void timeline;
  }

  #check(what: Pull, planned: PlannedPull, outcome: Outcome, seen: Seen, mustWork: boolean): void {
    const { registry, timeline } = this.#world;
    const name = `${planned.who} at ${what.machine} for ${what.blob.bytes.length} bytes`;
    const violated = (text: string): void => this.#world.violated(`${name}: ${text}`);
    if (seen.wrongAt !== null) violated(`wrong byte at ${seen.wrongAt}`);
    if (seen.wrongHead !== null) violated(`wrong head: ${seen.wrongHead}`);
    if (outcome.kind === 'hung') violated('no byte and no error in time');
    const { openedMs } = seen;
    if (openedMs !== null && !this.#mayRead(what, openedMs)) violated('read without a right');
    if (outcome.kind === 'refused') {
      const isTold =
        what.blob.bytes.length > 999 &&
        !registry.opens(what.repository, what.credential, 0, timeline.nowMs) &&
        outcome.body.includes(String(what.blob.bytes.length));
      if (isTold) violated('an error told the size of the blob');
      if (!/"errors"/.test(outcome.body)) violated(`an unclear error: ${outcome.body}`);
    }
    const hasRight =
      planned.who === 'right' &&
      registry.opens(what.repository, what.credential, timeline.nowMs, timeline.nowMs);
    const isCalm = this.#plan.faults.length === 0;
    if (hasRight && (mustWork || isCalm) && outcome.kind !== 'done' && outcome.kind !== 'aborted')
      violated(`failed without a reason: ${JSON.stringify(outcome)}`);
    const neverHad = !registry.opens(what.repository, what.credential, 0, Infinity);
    if (
      isCalm &&
      neverHad &&
      !(outcome.kind === 'refused' && [401, 403, 404].includes(outcome.status))
    )
      violated(`answered otherwise than the registry: ${JSON.stringify(outcome)}`);
  }

  #mayRead({ repository, credential }: Pull, openedMs: number): boolean {
    const isAfterOutage = openedMs - this.#lastOutageMs < OUTAGE_MEMORY_MS;
    const rememberedMs = (isAfterOutage ? STALE_TTL_S : ACCESS_TTL_S) * 1000 + CHECK_MS;
    return this.#world.registry.opens(repository, credential, openedMs - rememberedMs, openedMs);
  }

  #checkRest({ name, process, disk }: Machine): void {
    if (process === null) return;
    const { storage, shards, parts } = process;
    const { arena, residency } = storage;
    const violated = (text: string): void => this.#world.violated(`${name} at rest: ${text}`);
    if (parts.streams.open.streams !== 0) violated(`${parts.streams.open.streams} open streams`);
    if (residency.waiting > 0) violated(`${residency.waiting} waiters for memory`);
    if (shards.swarm.core.isFetching) violated('a fetch is under way');
    for (const resident of shards.loader.residents())
      if (resident.phase !== 'complete') violated(`shard ${resident.shard} is ${resident.phase}`);
    let free = 0;
    for (let slot = 0; slot < arena.slotCount; slot++) {
      const state = arena.state(slot);
      if (state === SlotState.filling) violated(`slot ${slot} is being filled`);
      if (state === SlotState.complete && !arena.tryLock(slot)) violated(`slot ${slot} is pinned`);
      if (state === SlotState.free) free += 1;
    }
    if (free !== arena.slotCount - residency.usedSlots) violated(`${free} free slots`);
    const { usedBytes } = storage.store.stats();
    if (usedBytes > disk.slotCount * SHARD_BYTES) violated(`${usedBytes} bytes on disk`);
  }

  /** What the registry may have sent: once to each node, and a bounded number of times more. */
  #checkOrigin(): void {
    const { registry, machines } = this.#world;
    const isCalm = this.#plan.faults.length === 0;
    const times = isCalm ? 1.5 : 4 * machines.length;
    for (const { blob } of this.#plan.blobs) {
      const sentBytes = registry.sentBytes.get(blob.digest) ?? 0;
      const allowedBytes = times * Math.max(blob.bytes.length, SHARD_BYTES) + SHARD_BYTES;
      if (sentBytes > allowedBytes)
        this.#world.violated(`the registry sent ${sentBytes} of ${blob.bytes.length} bytes`);
    }
    const shards = this.#plan.blobs.reduce(
      (sum, { blob }) => sum + Math.ceil(blob.bytes.length / SHARD_BYTES),
      0,
    );
    const most = (isCalm ? 4 : 30) * (this.#plan.pulls.length + machines.length * (shards + 4));
    if (registry.requests > most)
      this.#world.violated(`the registry got ${registry.requests} requests`);
  }
}
