import type { Member, MembershipView } from '../../lib/cluster/membership.ts';
import { membershipView } from '../../lib/cluster/membership.ts';
import { Random } from '../../native-bench/sim/random.ts';
import { ContentShelf } from './content-shelf.ts';
import { Disk } from './disk.ts';
import { DRAIN_DEADLINE_MS } from '../../lib/limits.ts';
import type { Tamper } from './http.ts';
import {
  giveArena,
  P2P_PORT,
  startProcess,
  type MachineParts,
  type Process,
  type Variant,
} from './machine.ts';
import { Network, type Path } from './network.ts';
import type { Plan } from './plan.ts';
import { HOST, Registry } from './registry.ts';
import { Timeline } from './timeline.ts';

export interface Machine {
  name: string;
  mode: 'agent' | 'root';
  disk: Disk;
  /** null: the node does not use what the container runtime keeps. */
  shelf: ContentShelf | null;
  /** null: its process has ended. */
  process: Process | null;
  skewMs: number;
  /** The members that it knows, where they differ from those of the others. */
  view: MembershipView | null;
  isLiar: boolean;
}

/** What a node has to do once its clients have their answers. */
const DRAIN_REST_MS = 5_000;

/** All machines, the network between them, and the registry. */
export class World {
  readonly timeline = new Timeline();
  readonly random: Random;
  readonly network: Network;
  readonly registry: Registry;
  readonly machines: Machine[] = [];
  /** What must never happen, and did. */
  readonly violations: string[] = [];
  /** What the node that lies does. */
  lie = '';
  readonly plan: Plan;
  readonly #variant: Variant;
  readonly #used: Process[] = [];
  #tamper: Tamper | null = null;

  constructor(plan: Plan, variant: Variant) {
    this.plan = plan;
    this.#variant = variant;
    this.random = new Random(plan.seed ^ 0x5eed);
    const pathRandom = new Random(plan.seed ^ 0xba5e);
    this.network = new Network(this.timeline, this.random, plan.pieceBytes, () =>
      pathOf(pathRandom),
    );
    this.registry = new Registry(() => this.timeline.nowMs);
    for (let index = 0; index < plan.agents + plan.roots; index++)
      this.machines.push({
        name: `10.0.0.${index + 1}`,
        mode: index < plan.agents ? 'agent' : 'root',
        disk: new Disk(plan.diskSlots, this.random),
        shelf: plan.withRuntime[index] === true ? new ContentShelf() : null,
        ...{ process: null, skewMs: 0, view: null, isLiar: false },
      });
  }

  /** From its next start on, this machine sends what `tamper` makes of it. */
  corrupt(machine: Machine, tamper: Tamper & { name: string }): void {
    this.lie = `${tamper.name} at ${machine.name}`;
    machine.isLiar = true;
    this.#tamper = tamper;
  }

  violated(what: string): void {
    this.violations.push(`${Math.round(this.timeline.nowMs)} ms: ${what}`);
  }

  get view(): MembershipView {
    const of = (mode: Machine['mode']): Member[] =>
      this.machines
        .filter((machine) => machine.mode === mode)
        .map(({ name }) => ({ node: `${name}:${P2P_PORT}`, zone: null }));
    return membershipView(of('agent'), of('root'));
  }

  async start(machine: Machine): Promise<void> {
    const parts: MachineParts = {
      ...{ name: machine.name, mode: machine.mode, slots: this.plan.slots },
      // Rot after the first check is found by `always` only (CacheConfig.checkReads).
      checkReads: this.plan.faults.includes('disk') ? 'always' : 'first',
      ...{ network: this.network, registry: this.registry, disk: machine.disk },
      shelf: machine.shelf,
      random: this.random,
      view: () => machine.view ?? this.view,
      skewMs: () => machine.skewMs,
      tamper: machine.isLiar ? this.#tamper : null,
      variant: this.#variant,
      fault: (message) => this.violated(`${machine.name}: ${message.trim()}`),
    };
    machine.process = await startProcess(parts);
    this.#used.push(machine.process);
  }

  /** The process ends at once, in the middle of whatever it does. */
  crash(machine: Machine): void {
    machine.process?.end();
    machine.process = null;
    this.network.crashed(machine.name);
  }

  /** The process ends in order: what is under way is finished. It starts again at `againMs`. */
  drain(machine: Machine, againMs: number): void {
    const { process } = machine;
    if (process === null || process.isDraining) return;
    process.isDraining = true;
    const late = this.timeline.after(DRAIN_DEADLINE_MS + DRAIN_REST_MS, () => {
      if (machine.process === process) this.violated(`the drain of ${machine.name} did not end`);
    });
    void process.drain().then(() => {
      late.cancel();
      if (machine.process !== process) return;
      this.crash(machine);
      this.timeline.after(againMs - this.timeline.nowMs, () => {
        if (machine.process === null) void this.start(machine);
      });
    });
  }

  /** Everybody learns of the members again, or of what the machine alone believes. */
  tellMembers(): void {
    for (const machine of this.machines) machine.process?.tell(machine.view ?? this.view);
  }

  end(): void {
    for (const { disk } of this.machines) disk.close();
    for (const { end, storage } of this.#used) {
      end();
      giveArena(storage.arena);
    }
  }
}

/** A path of a data centre, or a slower one; the client of a machine is beside it. */
function pathOf(random: Random): Path {
  return {
    isCut: false,
    latencyMs: 0.1 + random.next() * random.next() * 20,
    bytesPerMs: 20_000 + random.next() * random.next() * 1_000_000,
    ...{ resetChance: 0, lateChance: 0, lateMs: 0 },
  };
}

export { HOST };
