import { SHARD_BYTES } from '../../lib/limits.ts';
import { SlotState } from '../../lib/io/arena.ts';
import { pull, type Outcome, type Pull, type Seen } from './client.ts';
import { scheduleFaults } from './faults.ts';
import { intrude } from './intruder.ts';
import { ACCESS_TTL_S, STALE_TTL_S, type Variant } from './machine.ts';
import {
  HEALED_MS,
  MOVED_MS,
  REVOKED_MS,
  planOf,
  type FaultKind,
  type Plan,
  type PlannedPull,
  type Way,
  type Who,
} from './plan.ts';
import { manifestOf, type Blob } from './library.ts';
import { STORE, STRANGE_BYTES, STRANGER } from './registry.ts';
import { World, type Machine } from './world.ts';

/** After the last fault, until everything must work again. */
const RECOVERY_MS = 70_000;
/** After the last client, until nothing may be under way. */
const REST_MS = 90_000;
/** A check and its answer may be on their way for so long. */
const CHECK_MS = 3_000;
/** A URL that a client brings is signed for so long. */
const SIGNED_FOR_MS = 120_000;
/** How long a right from before an outage may count after the outage was last seen. */
const OUTAGE_MEMORY_MS = 90_000;

const REPOSITORIES = ['one', 'two'];

/** As long as tokens are: the name of what may be a password is slow to compute, in real time. */
const token = (name: string): string => `Bearer ${name.padEnd(40, '.')}`;

const CREDENTIALS: Record<Who, string | null> = {
  right: token('right'),
  other: token('other'),
  wrong: token('wrong'),
  nobody: null,
  revoked: token('revoked'),
  late: token('late'),
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
    // A check of what is on disk takes a slot for a moment.
    for (const { process } of machines) process?.storage.settle();
    await timeline.run(() => false, timeline.nowMs + REST_MS);
    for (const machine of machines) this.#checkRest(machine);
    this.#checkOrigin();
  }

  #fillRegistry(): void {
    const { registry, timeline } = this.#world;
    const always = { fromMs: 0, untilMs: Infinity };
    for (const { repository, blob, serving } of this.#plan.blobs)
      registry.put(repository, blob, serving);
    for (const repository of REPOSITORIES) {
      const [before, after] = manifestsOf(this.#plan, repository);
      registry.tag(repository, 'latest', before);
      timeline.after(MOVED_MS, () => registry.tag(repository, 'latest', after));
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
      if (timeline.nowMs < HEALED_MS) timeline.after(500, look);
    };
    look();
  }

  /** Everything is well again: every node must serve every blob to who may read it. */
  #pullAll(): void {
    for (const [machine, { mode }] of this.#world.machines.entries())
      if (mode === 'agent')
        for (const blob of this.#plan.blobs.keys())
          for (const way of ['blob', 'tag'] as const)
            void this.#pull(
              { atMs: 0, machine, blob, way, who: 'right', range: null, abortBytes: null },
              true,
            );
  }

  async #pull(planned: PlannedPull, mustWork: boolean): Promise<void> {
    const { network } = this.#world;
    const machine = this.#world.machines[planned.machine]!.name;
    const client = `client-of-${machine}`;
    for (const [from, to] of [
      [client, machine],
      [machine, client],
    ] as const)
      Object.assign(network.path(from, to), { latencyMs: 0.05, bytesPerMs: 1_000_000 });
    const { target, contents, credential, opens } = requestOf(this.#plan, planned, this.#world);
    const what: Pull = {
      ...{ client, machine, target, contents, credential },
      ...{ range: planned.range, abortBytes: planned.abortBytes },
    };
    const { shelf } = this.#world.machines[planned.machine]!;
    const { blob } = this.#plan.blobs[planned.blob]!;
    // Whoever pulls a whole blob is the container runtime, and keeps it.
    const isKept = planned.way === 'blob' && planned.range === null && opens(0, Infinity);
    if (isKept) {
      shelf?.begin(blob);
      what.placed = (bytes) => shelf?.grew(blob.digest, bytes);
    }
    this.#running += 1;
    try {
      const { outcome, seen } = await pull(network, what);
      if (isKept) shelf?.ended(blob.digest, outcome.kind === 'done');
      this.#result.pulls.push({ pull: planned, outcome, seen });
      this.#check(what, planned, opens, outcome, seen, mustWork);
    } catch (thrown) {
      this.#world.violated(`a client failed: ${(thrown as Error).stack}`);
    } finally {
      this.#running -= 1;
    }
  }

  #check(
    what: Pull,
    planned: PlannedPull,
    opens: Opens,
    outcome: Outcome,
    seen: Seen,
    mustWork: boolean,
  ): void {
    const { nowMs } = this.#world.timeline;
    const sizeBytes = what.contents[0]!.length;
    const name = `${planned.who} at ${what.machine} for ${planned.way} of ${sizeBytes} bytes`;
    const violated = (text: string): void => this.#world.violated(`${name}: ${text}`);
    if (seen.wrongAt !== null) violated(`wrong byte at ${seen.wrongAt}`);
    if (seen.wrongHead !== null) violated(`wrong size: ${seen.wrongHead}`);
    if (outcome.kind === 'hung') violated('no byte and no error in time');
    const { openedMs } = seen;
    if (openedMs !== null && !opens(openedMs - this.#rememberedMs(openedMs), openedMs))
      violated('read without a right');
    if (outcome.kind === 'refused') {
      const isTold =
        sizeBytes > 999 && !opens(0, nowMs) && outcome.body.includes(String(sizeBytes));
      if (isTold) violated('an error told the size of the blob');
      if (!/"errors"/.test(outcome.body)) violated(`an unclear error: ${outcome.body}`);
    }
    // Nobody vouches for what a stranger serves: it may end with an error.
    if (planned.way === 'strange') return;
    const isCalm = this.#plan.faults.length === 0;
    const hasRight = planned.who === 'right' && opens(nowMs, nowMs);
    if (hasRight && (mustWork || isCalm) && outcome.kind !== 'done' && outcome.kind !== 'aborted')
      violated(`failed without a reason: ${JSON.stringify(outcome)}`);
    if (
      isCalm &&
      !opens(0, Infinity) &&
      !(outcome.kind === 'refused' && [401, 403, 404].includes(outcome.status))
    )
      violated(`answered otherwise than the registry: ${JSON.stringify(outcome)}`);
    const isDrainOnly = this.#plan.faults.every((kind) => kind === 'drain');
    // A credential may end in the middle: then the registry refuses the rest of what it serves in
    // parts. When a signed URL ends is known before.
    const isRevoked = planned.way !== 'signed' && !opens(nowMs, nowMs);
    if (isDrainOnly && outcome.kind === 'broken' && openedMs !== null && !isRevoked)
      violated(`an answer was broken off: ${outcome.message}`);
    const isMoved =
      openedMs !== null && openedMs > MOVED_MS + CHECK_MS && !this.#isAfterOutage(openedMs);
    if (planned.way === 'tag' && outcome.kind === 'done' && isMoved && !seen.fits.includes(1))
      violated('a tag that was moved before');
  }

  #isAfterOutage(atMs: number): boolean {
    return atMs - this.#lastOutageMs < OUTAGE_MEMORY_MS;
  }

  /** How long ago a right may have ended for what is opened at `atMs`. */
  #rememberedMs(atMs: number): number {
    return (this.#isAfterOutage(atMs) ? STALE_TTL_S : ACCESS_TTL_S) * 1000 + CHECK_MS;
  }

  #checkRest({ name, process, disk }: Machine): void {
    if (process === null) return;
    const { storage, shards, parts } = process;
    const { arena, residency } = storage;
    const violated = (text: string): void => this.#world.violated(`${name} at rest: ${text}`);
    if (parts.streams.open.streams !== 0) violated(`${parts.streams.open.streams} open streams`);
    if (process.inFlight() !== 0) violated(`${process.inFlight()} answers under way`);
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
    const { blobs, pulls, diskSlots } = this.#plan;
    const fits = storedSlots(this.#plan) <= diskSlots;
    for (const { blob } of blobs) {
      // One digest may stand in several repositories.
      const ofBlob = pulls.filter((pull) => blobs[pull.blob]!.blob.digest === blob.digest);
      // What is signed is read for its URL alone, until the registry has led to that place itself;
      // of what comes as a whole only, a part costs the whole; what no disk holds is read again.
      const alone = ofBlob.filter(
        ({ way, blob: index }) => !fits || way === 'signed' || blobs[index]!.serving === 'whole',
      ).length;
      const atTheEnd = fits ? 0 : 2 * machines.length;
      // A node that has lost the blob's one owner for a moment, as when that was short of memory,
      // reads the rest itself.
      const times = (isCalm ? 2 : 4 * machines.length) + alone + atTheEnd;
      const sentBytes = registry.sentBytes.get(blob.digest) ?? 0;
      const allowedBytes = times * Math.max(blob.bytes.length, SHARD_BYTES) + SHARD_BYTES;
      if (sentBytes > allowedBytes)
        this.#world.violated(`the registry sent ${sentBytes} of ${blob.bytes.length} bytes`);
    }
    const shards = blobs.reduce((sum, { blob }) => sum + slotsOf(blob), 0);
    const most = (isCalm ? 8 : 60) * (pulls.length + machines.length * (shards + 4));
    if (registry.requests > most)
      this.#world.violated(`the registry got ${registry.requests} requests`);
  }
}

const slotsOf = ({ bytes }: { bytes: Uint8Array }): number => Math.ceil(bytes.length / SHARD_BYTES);

/**
 * The slots that a disk needs for all that its node may get. What is read by a signed or strange
 * URL is stored under that URL, and a manifest needs a slot before and after it is moved.
 */
function storedSlots({ blobs, pulls }: Plan): number {
  const own = (way: Way): Blob[] =>
    [...new Set(pulls.filter((pull) => pull.way === way).map(({ blob }) => blob))].map(
      (blob) => blobs[blob]!.blob,
    );
  const strange = own('strange').length * slotsOf({ bytes: STRANGE_BYTES });
  const stored = [...blobs.map(({ blob }) => blob), ...own('signed')];
  return stored.reduce((sum, blob) => sum + slotsOf(blob), strange + 2 * REPOSITORIES.length);
}

/** Whether the right of a request holds at some time in [fromMs, untilMs]. */
type Opens = (fromMs: number, untilMs: number) => boolean;

interface Request {
  target: string;
  contents: readonly Uint8Array[];
  credential: string | null;
  opens: Opens;
}

function manifestsOf(plan: Plan, repository: string): [before: Blob, after: Blob] {
  const blobs = plan.blobs.filter((entry) => entry.repository === repository);
  const of = (version: number): Blob =>
    manifestOf(
      blobs.map(({ blob }) => blob),
      version,
    );
  return [of(1), of(2)];
}

function requestOf(plan: Plan, { way, who, blob: index }: PlannedPull, world: World): Request {
  const { registry, timeline } = world;
  const { repository, blob } = plan.blobs[index]!;
  const credential = CREDENTIALS[who];
  const opens: Opens = (from, until) => registry.opens(repository, credential, from, until);
  const [before, after] = manifestsOf(plan, repository);
  switch (way) {
    case 'blob':
      return {
        target: `/v2/${repository}/blobs/${blob.digest}`,
        ...{ contents: [blob.bytes], credential, opens },
      };
    case 'manifest':
      return {
        target: `/v2/${repository}/manifests/${before.digest}`,
        ...{ contents: [before.bytes], credential, opens },
      };
    case 'tag':
      return {
        target: `/v2/${repository}/manifests/latest`,
        ...{ contents: [before.bytes, after.bytes], credential, opens },
      };
    case 'signed': {
      const isGood = who === 'right' || who === 'late' || who === 'revoked';
      const untilMs = who === 'revoked' ? REVOKED_MS : timeline.nowMs + SIGNED_FOR_MS;
      const url = registry.signed(blob, untilMs);
      return {
        target: `/accelerator/${isGood ? url : url.replace('=good', '=bad')}`,
        ...{ contents: [blob.bytes], credential: null },
        opens: (fromMs) => isGood && fromMs < untilMs,
      };
    }
    case 'strange':
      return {
        target: `/accelerator/${registry.signed(blob, 0).replace(STORE, STRANGER)}`,
        ...{ contents: [STRANGE_BYTES], credential: null, opens: () => true },
      };
  }
}
