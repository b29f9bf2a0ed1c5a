import { FrontDesk } from '../../lib/control/control.ts';
import { Journal } from '../../lib/control/watch/journal.ts';
import type { Observation } from '../../lib/control/watch/observation.ts';
import { Residency } from '../../lib/control/shards/residency.ts';
import { FrontReads } from '../../lib/control/threads/front-reads.ts';
import { Scrubber } from '../../lib/control/shards/scrubber.ts';
import type { ControlParts } from '../../lib/control/control.ts';
import type { Config } from '../../lib/config/schema.ts';
import { parseConfig } from '../../lib/config/load.ts';
import type { MembershipView } from '../../lib/cluster/membership.ts';
import { ControlLink } from '../../lib/front/control-link.ts';
import { FirstReads } from '../../lib/front/first-reads.ts';
import { servePeers } from '../../lib/front/peer-answer.ts';
import { serveProxy } from '../../lib/front/proxy.ts';
import { SlotFollowers } from '../../lib/front/slot-follower.ts';
import { Turn } from '../../lib/front/turn.ts';
import { Uploads } from '../../lib/front/uploads.ts';
import { WarmMemory } from '../../lib/front/warm.ts';
import { Arena } from '../../lib/io/arena.ts';
import { OriginClient } from '../../lib/origin/client.ts';
import { Doorbells } from '../../lib/io/doorbell.ts';
import { DRAIN_DEADLINE_MS, SHARD_BYTES } from '../../lib/limits.ts';
import { buildDesk } from '../../lib/node/desk.ts';
import { runtimeStoreOver } from '../../lib/node/runtime-store.ts';
import { buildShards, type Shards } from '../../lib/node/shards.ts';
import { openStore, type Storage } from '../../lib/node/storage.ts';
import { Vouching } from '../../lib/registry/vouching.ts';
import { Meter } from '../../lib/telemetry/counters.ts';
import { createLogger } from '../../lib/telemetry/logger.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import { Telemetry } from '../../lib/telemetry/telemetry.ts';
import { Channel } from '../../lib/workers/channel.ts';
import type { ControlMessage, FrontMessage } from '../../lib/workers/messages.ts';
import { Envelope } from '../../lib/wire/envelope.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import type { Random } from '../../native-bench/sim/random.ts';
import type { ContentShelf } from './content-shelf.ts';
import type { Disk } from './disk.ts';
import { SimApp, type Tamper } from './http.ts';
import type { Network } from './network.ts';
import { simPools } from './pools.ts';
import { OriginTransport } from './origin-transport.ts';
import { STORE, STRANGER, UPSTREAM, type Registry } from './registry.ts';
import { ProcessClock } from './timeline.ts';

export const P2P_PORT = 65002;
export const PROXY_PORT = 65001;
const SECRET = new ClusterSecret(Buffer.alloc(32, 7));
/** A ring of a doorbell is heard this much later. */
const RING_MS = 0.05;

/** How a variant of a node differs from the real one: it changes parts before they are used. */
export interface Variant {
  storage?(storage: Storage): void;
  shards?(shards: Shards): void;
  parts?(parts: ControlParts, shards: Shards): void;
  envelope?(envelope: Envelope): void;
  vouching?(vouching: Vouching): void;
  process?(process: Process): void;
  /** Control's end of the front, with every message of the front. */
  desk?(desk: FrontDesk): void;
  /** Up to where clients may be sent a slot, where it is not the arena that says so. */
  watermark?(arena: Arena, slot: number): number;
}

export interface MachineParts {
  name: string;
  mode: 'agent' | 'root';
  slots: number;
  checkReads: 'first' | 'always';
  network: Network;
  registry: Registry;
  disk: Disk;
  /** What its container runtime keeps; null: nodes here do not use it. */
  shelf: ContentShelf | null;
  random: Random;
  view(): MembershipView;
  skewMs(): number;
  tamper: Tamper | null;
  variant: Variant;
  /** Something happened that a node must never do. */
  fault(message: string): void;
}

/** One process on a machine: a whole node, its parts those of lib/node. */
export interface Process {
  isDraining: boolean;
  /** Answers that are under way. */
  inFlight(): number;
  clock: ProcessClock;
  storage: Storage;
  shards: Shards;
  parts: ControlParts;
  /** Tells the node a new member list. */
  tell(view: MembershipView): void;
  end(): void;
  /** Finishes what is under way and takes nothing more. */
  drain(): Promise<void>;
}

export const ACCESS_TTL_S = 5;
export const STALE_TTL_S = 40;

const configs = new Map<string, Config>();

function configOf(mode: 'agent' | 'root'): Config {
  let config = configs.get(mode);
  if (config === undefined) {
    config = parseConfig(
      {
        DeployConfig: { mode },
        ProxyConfig: {
          registries: [{ upstream: UPSTREAM }],
          allow: [STORE, STRANGER],
          accessTtl: ACCESS_TTL_S,
          accessStaleTtl: STALE_TTL_S,
          throttleLimitMB: 0,
        },
      },
      { env: {} },
    );
    configs.set(mode, config);
  }
  return config;
}

export async function startProcess(machine: MachineParts): Promise<Process> {
  const { name, mode, network, disk, shelf, random, variant } = machine;
  const node = `${name}:${P2P_PORT}`;
  const config = configOf(mode);
  const clock = new ProcessClock(network.timeline, machine.skewMs);
  const observation = quietObservation(mode, node, clock, machine.fault);
  const arena = takeArena(machine.slots);
  const doorbells = new SimBells(clock);
  const residency = new Residency(arena, doorbells, clock);
  const vouching = new Vouching(config.ProxyConfig);
  variant.vouching?.(vouching);
  const origin = new OriginClient(config.ProxyConfig, {
    clock,
    transport: new OriginTransport(machine.registry, network, name, clock),
    redirected: (bucket) => vouching.learn(bucket),
  });
  const pools = simPools({ machine: name, arena, doorbells, clock, network, origin, disk, shelf });
  const { slotCount, entryCount, table } = disk;
  const files = {
    ...{ slotCount, entryCount, table },
    writeHeader: (job: Parameters<Disk['writeHeader']>[0]) => disk.writeHeader(job, clock),
  };
  const store = openStore(files, machine.checkReads, { arena, pools }, observation, clock);
  const storage: Storage = {
    ...{ arena, doorbells, residency, pools, store, frontReads: new FrontReads() },
    runtime:
      shelf === null
        ? null
        : runtimeStoreOver(shelf, {
            ...{ slotCount: arena.slotCount, isCrowded: () => residency.waiting > 0 },
            ...{ pools, log: observation.log, clock },
          }),
    settle: () => scrubber.close(),
    close: () => store.close(),
  };
  variant.storage?.(storage);
  storage.runtime?.start();
  const envelope = new Envelope({ secret: SECRET, self: node, wallMs: clock.wallMs });
  variant.envelope?.(envelope);
  const shared = { node, storage, vouching, envelope, observation, clock };
  const shards = buildShards({ ...shared, mode, random: random.next });
  variant.shards?.(shards);
  let tell: (view: MembershipView) => void = () => undefined;
  const membership = {
    async start(onChange: (view: MembershipView) => void): Promise<void> {
      tell = onChange;
      onChange(machine.view());
    },
    stop: () => Promise.resolve(),
  };
  const { parts } = buildDesk({
    ...{ ...shared, config, shards, secret: SECRET, membership },
    readiness: { phase: 'serving', problems: [] },
    ...{ page: null, readToken: null },
  });
  variant.parts?.(parts, shards);
  await shards.swarm.join(membership);
  const scrubber = new Scrubber({ clock, arena, residency, store, scrubbed: () => undefined });
  const front = serve(machine, clock, { arena, doorbells }, parts, envelope);
  const process: Process = {
    isDraining: false,
    inFlight: front.inFlight,
    ...{ clock, storage, shards, parts, tell: (view) => tell(view), end: () => clock.end() },
    // As lib/node.ts does it.
    async drain() {
      storage.settle();
      await front.drain();
      shards.offers.close();
      await shards.swarm.leave();
      storage.runtime?.close();
      await storage.close();
    },
  };
  variant.process?.(process);
  return process;
}

/** The front of a process, on the ports of its machine. */
function serve(
  machine: MachineParts,
  clock: ProcessClock,
  { arena, doorbells }: { arena: Arena; doorbells: Doorbells },
  parts: ControlParts,
  envelope: Envelope,
): Pick<Process, 'drain' | 'inFlight'> {
  const { name, network } = machine;
  let inFlight = 0;
  let drainUntilMs = 0;
  const ended = (): void => void (inFlight -= 1);
  const [front, control] = portPair(clock);
  const channel = new Channel<ControlMessage, FrontMessage>(control as never, (message) =>
    desk.receive(message as never),
  );
  const desk = new FrontDesk(parts, (message) => channel.send(message));
  machine.variant.desk?.(desk);
  const nothing = (): undefined => undefined;
  const link = new ControlLink(front as never, {
    ...{ drain: nothing, certificate: nothing, routes: nothing, connections: nothing },
  });
  const common = {
    ...{ arena, link, turn: new Turn(), followers: new SlotFollowers(doorbells, 0) },
    ...{ nowMs: clock.nowMs, after: clock.after, tracing: false, throttle: null },
    started: () => void (inFlight += 1),
    draining: () => drainUntilMs > 0,
  };
  const { prefix, registries, allow } = configOf(machine.mode).ProxyConfig;
  const route = { prefix, allow, registries: registries.map(({ upstream }) => ({ upstream })) };
  const [p2p, proxy] = [new SimApp(), new SimApp()];
  servePeers(p2p.app, {
    ...common,
    ...{ uploads: new Uploads(common.turn, clock), envelope },
    ...{ over: ended, sent: nothing, answered: nothing, refused: nothing },
  });
  serveProxy(proxy.app, {
    ...common,
    ...{ warm: new WarmMemory(), firstReads: new FirstReads(arena), tally: { add: nothing } },
    watermark: (slot, fromBytes) =>
      machine.variant.watermark?.(arena, slot) ?? arena.sendableTo(slot, fromBytes),
    route: () => route,
    ...{ passed: ended, refused: nothing, over: ended, warmRead: nothing },
    ...{ sent: nothing, firstByte: nothing },
  });
  network.listen(`${name}:${P2P_PORT}`, p2p.accept(machine.tamper, clock.after));
  network.listen(`${name}:${PROXY_PORT}`, proxy.accept());
  return {
    inFlight: () => inFlight,
    drain() {
      drainUntilMs = clock.nowMs() + DRAIN_DEADLINE_MS;
      network.close(name);
      return new Promise((resolve) => {
        const look = (): void => {
          if (inFlight === 0 || clock.nowMs() >= drainUntilMs) resolve();
          else clock.after(20, look);
        };
        look();
      });
    },
  };
}

/** Doorbells of one thread, heard in simulated time. */
class SimBells extends Doorbells {
  readonly #clock: ProcessClock;
  #waiting: (() => void) | null = null;

  constructor(clock: ProcessClock) {
    super(new SharedArrayBuffer(64));
    this.#clock = clock;
  }

  override ringAll(): void {
    const hear = this.#waiting;
    this.#waiting = null;
    if (hear !== null) this.#clock.after(RING_MS, hear);
  }

  override listen(_bell: number, heard: () => boolean): () => void {
    const hear = (): void => {
      // A ring while it looks is not lost.
      this.#waiting = hear;
      if (!heard() && this.#waiting === hear) this.#waiting = null;
    };
    hear();
    return () => undefined;
  }
}

type Port = {
  on(event: string, hear: (batch: unknown) => void): void;
  postMessage(batch: unknown): void;
};

/** Two ends of a message channel whose messages take time, in order. */
function portPair(clock: ProcessClock): [Port, Port] {
  const hear: ((batch: unknown) => void)[] = [];
  const end = (own: number): Port => ({
    on: (_event, heard) => void (hear[own] = heard),
    postMessage: (batch) => void clock.after(RING_MS, () => hear[1 - own]?.(batch)),
  });
  return [end(0), end(1)];
}

/** Memory is used again by later processes: making and clearing it would take most of the time. */
const memories: { slots: number; arena: Arena }[] = [];

function takeArena(slots: number): Arena {
  const at = memories.findIndex((kept) => kept.slots === slots);
  const { arena } =
    at < 0 ? { arena: Arena.create(slots * SHARD_BYTES) } : memories.splice(at, 1)[0]!;
  const { memory, words } = arena.shared;
  return new Arena({ memory, words: new SharedArrayBuffer(words.byteLength) });
}

/** Gives the memory of a process back, after its simulation. */
export function giveArena(arena: Arena): void {
  memories.push({ slots: arena.slotCount, arena });
}

function quietObservation(
  mode: 'agent' | 'root',
  node: string,
  clock: ProcessClock,
  fault: (message: string) => void,
): Observation {
  const board = new MeterBoard();
  const meter = new Meter(board.shared, 0, 'control');
  const telemetry = new Telemetry({ mode, node, version: 'chaos' }, board, clock);
  const log = createLogger({
    ...{ level: 'error', node, thread: 'control' },
    write(line) {
      if (line.includes('"INTERNAL"')) fault(line);
    },
  });
  return {
    ...{ log, meter, telemetry, meters: board.shared, audit: null, probe: null },
    journal: new Journal(log, clock, null),
    pages: () => (() => Promise.reject(new Error('no pages are simulated'))) as never,
    close: () => Promise.resolve(),
  };
}
