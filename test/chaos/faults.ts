import { SOUND } from './disk.ts';
import { liesOf } from './lies.ts';
import { membershipView } from '../../lib/cluster/membership.ts';
import { Random } from '../../native-bench/sim/random.ts';
import { FAULTS_FROM_MS, HEALED_MS, type FaultKind, type Plan } from './plan.ts';
import { HOST, type Machine, type World } from './world.ts';

/** Puts the faults of a plan, and their end, into a world's time. */
export function scheduleFaults(plan: Plan, world: World): void {
  const random = new Random(plan.seed ^ 0xfa17);
  for (const kind of plan.faults)
    for (let times = 1 + random.below(3); times > 0; times--) {
      const fromMs = FAULTS_FROM_MS * random.next() + random.below(HEALED_MS - 10_000);
      const untilMs = Math.min(HEALED_MS - 1, fromMs + 200 + random.below(20_000));
      const end = FAULTS[kind](
        world,
        random,
        (begin) => world.timeline.after(fromMs, begin),
        untilMs,
      );
      world.timeline.after(untilMs, end);
    }
  world.timeline.after(HEALED_MS, () => {
    for (const machine of world.machines) if (machine.process === null) void world.start(machine);
  });
}

/** Prepares a fault: `at` gets what begins it; returns what ends it. */
type Fault = (
  world: World,
  random: Random,
  at: (begin: () => void) => void,
  untilMs: number,
) => () => void;

const nothing = (): void => undefined;

const FAULTS: Record<FaultKind, Fault> = {
  partition(world, random, at) {
    const ends = twoEnds(world, random);
    at(() => cut(world, ends, true));
    return () => cut(world, ends, false);
  },
  oneWay(world, random, at) {
    const [[from, to]] = twoEnds(world, random) as [[string, string]];
    at(() => cut(world, [[from, to]], true));
    return () => cut(world, [[from, to]], false);
  },
  delay(world, random, at) {
    const [chance, lateMs] = [random.next() * 0.5, random.below(4_000)];
    return onPaths(world, at, { lateChance: chance, lateMs });
  },
  reset(world, random, at) {
    return onPaths(world, at, { resetChance: random.next() * 0.2 });
  },
  members(world, random, at) {
    const odd = random.shuffled(world.machines).slice(0, 1 + random.below(2));
    const hidden = world.machines[random.below(world.machines.length)]!;
    at(() => {
      for (const machine of odd) machine.view = without(world, hidden.name);
      world.tellMembers();
    });
    return () => {
      for (const machine of odd) machine.view = null;
      world.tellMembers();
    };
  },
  registry(world, random, at) {
    const { registry } = world;
    const how = random.below(3);
    at(() => {
      if (how === 0) registry.state = 'failing';
      else if (how === 1) registry.state = 'silent';
      else registry.cutChance = 0.3;
    });
    return () => {
      registry.state = 'up';
      registry.cutChance = 0;
    };
  },
  disk(world, random, at) {
    const { disk } = world.machines[random.below(world.machines.length)]!;
    const how = random.below(6);
    at(() => {
      if (how === 3) disk.rot();
      disk.faults = {
        ...SOUND,
        ...[
          { readError: 0.5 },
          { writeError: 0.5 },
          { isFull: true },
          { bitRot: 0.5 },
          { slowMs: 3_000 },
          { tornWrite: true, slowMs: 40 },
        ][how],
      };
    });
    return () => (disk.faults = SOUND);
  },
  crash(world, random, at) {
    const machine = world.machines[random.below(world.machines.length)]!;
    at(() => world.crash(machine));
    return () => {
      if (machine.process === null) void world.start(machine);
    };
  },
  drain(world, random, _at, untilMs) {
    // In the middle of an answer.
    const { atMs, machine } = world.plan.pulls[random.below(world.plan.pulls.length)]!;
    const fromMs = Math.min(HEALED_MS - 1, atMs + 1 + random.next() * random.next() * 300);
    world.timeline.after(fromMs, () =>
      world.drain(world.machines[machine]!, Math.max(untilMs, fromMs + 1_000)),
    );
    return nothing;
  },
  runtime(world, random, at) {
    const shelves = world.machines.flatMap(({ shelf }) => (shelf === null ? [] : [shelf]));
    const how = random.below(3);
    at(() => {
      for (const shelf of shelves)
        if (how === 0) shelf.clear();
        else if (how === 1) shelf.rot(random);
        else shelf.isUnreadable = true;
    });
    return () => {
      for (const shelf of shelves) shelf.isUnreadable = false;
    };
  },
  clock(world, random, at) {
    const machine = world.machines[random.below(world.machines.length)]!;
    const jumpMs = (random.below(2) === 0 ? 1 : -1) * [500, 50_000, 300_000, 1e9][random.below(4)]!;
    at(() => (machine.skewMs = jumpMs));
    return () => (machine.skewMs = 0);
  },
  liar(world, random) {
    // One node lies, from the start and for good: the others must do as if it were not there.
    if (world.machines.some(({ isLiar }) => isLiar)) return nothing;
    const machine = world.machines[random.below(world.machines.length)]!;
    if (world.machines.length > 1) world.corrupt(machine, liesOf(random));
    return nothing;
  },
};

function twoEnds(world: World, random: Random): [string, string][] {
  const names = [...world.machines.map(({ name }) => name), HOST];
  const [one, other] = random.shuffled(names) as [string, string];
  return [
    [one, other],
    [other, one],
  ];
}

function cut(world: World, ways: [string, string][], isCut: boolean): void {
  for (const [from, to] of ways) world.network.path(from, to).isCut = isCut;
}

function onPaths(
  world: World,
  at: (begin: () => void) => void,
  change: { resetChance?: number; lateChance?: number; lateMs?: number },
): () => void {
  const names = world.machines.map(({ name }) => name);
  const all = names.flatMap((from) => names.map((to) => world.network.path(from, to)));
  at(() => {
    for (const path of all) Object.assign(path, change);
  });
  return () => {
    for (const path of all) Object.assign(path, { resetChance: 0, lateChance: 0, lateMs: 0 });
  };
}

function without(world: World, name: string) {
  const { agents, roots } = world.view;
  const others = <T extends { node: string }>(members: readonly T[]): T[] =>
    members.filter(({ node }) => !node.startsWith(`${name}:`));
  return membershipView(others(agents), others(roots));
}

export type { Machine };
