import { nextUpload } from '../../lib/swarm/upload-turns.ts';
import type { EventQueue } from './event-queue.ts';

/** Quanta of one flow that may be on their way at once: one arrives while the next is sent. */
const UNDER_WAY_MAX = 2;

/** Machines in one place: others are further away, and may be reached over one line only. */
export interface Site {
  /** One way to or from another site, beside the delay between neighbours. */
  readonly delayMs: number;
  /** The line that all of the site share to receive from others. */
  readonly downBytesPerMs: number;
  downFreeMs: number;
  receivedBytes: number;
}

/** A machine's share in the network: its links, and the CPU time that bytes and messages cost. */
export class Station {
  readonly name: string;
  upBytesPerMs: number;
  downBytesPerMs: number;
  /** Until when the downlink, the CPU for bytes each way and for messages are taken. */
  downFreeMs = 0;
  receiveFreeMs = 0;
  sendFreeMs = 0;
  controlFreeMs = 0;
  sentBytes = 0;
  receivedBytes = 0;
  /** What is received is wrong from now on, or what is sent. */
  lies = false;
  /** Where it stands; null: with all others that have none. */
  site: Site | null = null;
  /** Neither sends nor receives any more. */
  stopped = false;
  sending = false;
  /** Flows with a quantum to send, in turn. */
  readonly turn: Flow[] = [];
  turnHead = 0;
  readonly outgoing = new Set<Flow>();
  /** Shards that may share the uplink (lib/swarm/upload-turns.ts); Infinity: all, in turn. */
  uploadsAtOnce: () => number = () => Infinity;

  constructor(name: string, upBytesPerMs: number, downBytesPerMs: number) {
    this.name = name;
    this.upBytesPerMs = upBytesPerMs;
    this.downBytesPerMs = downBytesPerMs;
  }
}

/** A shard's bytes at one station, in quanta, whole or growing. */
export class Supply {
  readonly lengthBytes: number;
  readonly quanta: number;
  /** Quanta here, from the first; and those a client may see. */
  received: number;
  released: number;
  /** Told of every quantum that has come. */
  came: () => void = () => undefined;
  /** A bit for every wrong quantum. */
  tainted = 0;
  /** Flows that have sent all there is so far. */
  waiting: Flow[] = [];
  /** Bytes of every quantum but the last, which has the rest. */
  readonly #quantumBytes: number;

  constructor(lengthBytes: number, quanta: number, whole: boolean) {
    this.lengthBytes = lengthBytes;
    this.quanta = quanta;
    this.#quantumBytes = Math.floor(lengthBytes / quanta);
    this.received = this.released = whole ? quanta : 0;
  }

  bytesOf(quantum: number): number {
    return quantum === this.quanta - 1
      ? this.lengthBytes - this.#quantumBytes * quantum
      : this.#quantumBytes;
  }

  /** Bytes of the first `quanta` quanta. */
  prefixBytes(quanta: number): number {
    return quanta === this.quanta ? this.lengthBytes : this.#quantumBytes * quanta;
  }

  /** The quanta that `bytes`, a sum of whole ones, are. */
  quantaOf(bytes: number): number {
    if (bytes === this.lengthBytes) return this.quanta;
    return this.#quantumBytes === 0 ? 0 : Math.floor(bytes / this.#quantumBytes);
  }
}

/** One shard on its way from one station to another. */
export class Flow {
  readonly from: Station;
  readonly to: Station;
  readonly supply: Supply;
  readonly sink: Supply;
  /** Whether it sends what has come in, or only what has been released. */
  readonly unchecked: boolean;
  /** Whether what it brings may be released at once. */
  readonly trusted: boolean;
  readonly ended: (flow: Flow) => void;
  /** Told of every quantum that has come. */
  came: () => void = () => undefined;
  /** Told when it is ended before its last byte. */
  stopped: () => void = () => undefined;
  /** First quantum it brings, and the next to be sent. */
  readonly first: number;
  next: number;
  underWay = 0;
  queued = false;
  /** Place in the order of need: lower goes first. */
  order = 0;
  over = false;
  arrived: number;
  /** When its last quantum came, or it began. */
  lastMs: number;

  constructor(parts: {
    from: Station;
    to: Station;
    supply: Supply;
    sink: Supply;
    unchecked: boolean;
    trusted: boolean;
    nowMs: number;
    ended: (flow: Flow) => void;
  }) {
    this.from = parts.from;
    this.to = parts.to;
    this.supply = parts.supply;
    this.sink = parts.sink;
    this.unchecked = parts.unchecked;
    this.trusted = parts.trusted;
    this.ended = parts.ended;
    this.first = this.next = this.arrived = parts.sink.received;
    this.lastMs = parts.nowMs;
  }
}

export interface NetworkCosts {
  delayMs: number;
  sendCpuMsPerByte: number;
  receiveCpuMsPerByte: number;
  messageCpuMs: number;
  /**
   * Cores of a node: with one, messages and bytes share it; with more, messages have one of their
   * own.
   */
  cores: number;
}

/**
 * Moves flows in quanta: a station's uplink serves its flows in turn, a quantum goes out at the
 * uplink's rate and is in when it has crossed and the receiver's downlink and CPU have taken it.
 * What has come in may be sent on at once.
 */
export class Network {
  /** Conservation: all that was sent has arrived, was thrown away, or is under way. */
  sentBytes = 0;
  arrivedBytes = 0;
  wastedBytes = 0;
  readonly #queue: EventQueue;
  readonly #costs: NetworkCosts;
  /**
   * CPU time of a byte each way, over the cores that bytes have. A node sends about as much as it
   * receives, so each way is taken to leave the other its part.
   */
  readonly #cpuMsPerByte: number;

  constructor(queue: EventQueue, costs: NetworkCosts) {
    this.#queue = queue;
    this.#costs = costs;
    this.#cpuMsPerByte =
      (costs.sendCpuMsPerByte + costs.receiveCpuMsPerByte) / Math.max(1, costs.cores - 1);
  }

  begin(flow: Flow): void {
    flow.from.outgoing.add(flow);
    this.#kick(flow);
  }

  /** Nothing of it is sent or taken in any more. */
  end(flow: Flow): void {
    if (flow.over) return;
    flow.over = true;
    flow.from.outgoing.delete(flow);
    if (flow.arrived < flow.supply.quanta) flow.stopped();
  }

  /**
   * A message from one station to another: `heard` runs there once it has come and the CPU is free
   * for it.
   */
  message(from: Station, to: Station, heard: () => void): void {
    const inMs = this.#queue.nowMs + this.#costs.delayMs + wayMs(from, to);
    // With a core of their own messages are heard in the order in which they were sent, so their
    // times are known at once.
    if (this.#costs.cores > 1)
      this.#queue.at(
        (to.controlFreeMs = Math.max(to.controlFreeMs, inMs) + this.#costs.messageCpuMs),
        heard,
        undefined,
      );
    else
      this.#queue.at(
        inMs,
        (station: Station) => this.#queue.at(this.#takeControl(station), heard, undefined),
        to,
      );
  }

  /** Whoever waits for more of this supply goes on. */
  wake(supply: Supply): void {
    if (supply.waiting.length === 0) return;
    const waiting = supply.waiting;
    supply.waiting = [];
    for (const flow of waiting) this.#kick(flow);
  }

  #takeControl(station: Station): number {
    const nowMs = this.#queue.nowMs;
    // On one core a message waits for no more than a quantum of bytes, but takes its time from
    // them.
    station.sendFreeMs = Math.max(station.sendFreeMs, nowMs) + this.#costs.messageCpuMs;
    station.receiveFreeMs = Math.max(station.receiveFreeMs, nowMs) + this.#costs.messageCpuMs;
    return (station.controlFreeMs =
      Math.max(station.controlFreeMs, nowMs) + this.#costs.messageCpuMs);
  }

  #kick(flow: Flow): void {
    if (
      flow.over ||
      flow.queued ||
      flow.underWay >= underWayMax(flow) ||
      flow.next >= flow.supply.quanta
    )
      return;
    const { supply, from } = flow;
    if (flow.next >= (flow.unchecked ? supply.received : supply.released)) {
      if (!supply.waiting.includes(flow)) supply.waiting.push(flow);
      return;
    }
    flow.queued = true;
    from.turn.push(flow);
    if (!from.sending) this.#send(from);
  }

  #send(from: Station): void {
    const nowMs = this.#queue.nowMs;
    while (from.turnHead < from.turn.length) {
      const atOnce = from.uploadsAtOnce();
      if (from.turn.length - from.turnHead > 1 && atOnce < Infinity) {
        const best = nextUpload(from.turn, from.turnHead, atOnce);
        const chosen = from.turn[best]!;
        from.turn.copyWithin(from.turnHead + 1, from.turnHead, best);
        from.turn[from.turnHead] = chosen;
      }
      const flow = from.turn[from.turnHead++]!;
      if (from.turnHead > 256 && from.turnHead * 2 > from.turn.length) {
        from.turn.splice(0, from.turnHead);
        from.turnHead = 0;
      }
      flow.queued = false;
      // The supply may have been thrown away and begun anew meanwhile.
      if (
        flow.over ||
        from.stopped ||
        flow.next >= (flow.unchecked ? flow.supply.received : flow.supply.released)
      ) {
        if (!flow.over && !from.stopped) this.#kick(flow);
        continue;
      }
      const bytes = flow.supply.bytesOf(flow.next);
      from.sendFreeMs = Math.max(from.sendFreeMs, nowMs) + bytes * this.#cpuMsPerByte;
      from.sending = true;
      this.#queue.at(
        Math.max(nowMs + bytes / from.upBytesPerMs, from.sendFreeMs),
        this.#sent,
        flow,
      );
      return;
    }
    from.turn.length = 0;
    from.turnHead = 0;
  }

  readonly #sent = (flow: Flow): void => {
    const { from, to } = flow;
    from.sending = false;
    if (!flow.over && !from.stopped) {
      const bytes = flow.supply.bytesOf(flow.next);
      if (from.lies || (flow.supply.tainted >> flow.next) & 1) flow.sink.tainted |= 1 << flow.next;
      else flow.sink.tainted &= ~(1 << flow.next);
      flow.next++;
      flow.underWay++;
      from.sentBytes += bytes;
      this.sentBytes += bytes;
      const inMs = Math.max(
        this.#queue.nowMs + this.#costs.delayMs + wayMs(from, to),
        to.downFreeMs + bytes / to.downBytesPerMs,
        throughSite(from, to, bytes, this.#queue.nowMs),
      );
      to.downFreeMs = inMs;
      to.receiveFreeMs =
        Math.max(to.receiveFreeMs, inMs - bytes / to.downBytesPerMs) + bytes * this.#cpuMsPerByte;
      this.#queue.at(Math.max(inMs, to.receiveFreeMs), this.#arrived, flow);
      this.#kick(flow);
    }
    if (!from.sending) this.#send(from);
  };

  readonly #arrived = (flow: Flow): void => {
    flow.underWay--;
    const bytes = flow.supply.bytesOf(flow.arrived);
    flow.arrived++;
    if (flow.over || flow.to.stopped) {
      this.wastedBytes += bytes;
      return;
    }
    this.arrivedBytes += bytes;
    flow.to.receivedBytes += bytes;
    flow.lastMs = this.#queue.nowMs;
    const { sink } = flow;
    sink.received = flow.arrived;
    if (flow.trusted) sink.released = flow.arrived;
    this.wake(sink);
    sink.came();
    flow.came();
    if (flow.arrived === flow.supply.quanta) {
      this.end(flow);
      flow.ended(flow);
    } else this.#kick(flow);
  };
}

/** How much further it is than to a neighbour, one way. */
function wayMs(from: Station, to: Station): number {
  return from.site === to.site ? 0 : (from.site?.delayMs ?? 0) + (to.site?.delayMs ?? 0);
}

/** When bytes are through the line that the receiver's site shares; 0 within a site. */
function throughSite(
  { site: from }: Station,
  { site }: Station,
  bytes: number,
  nowMs: number,
): number {
  if (site === null || from === site) return 0;
  site.receivedBytes += bytes;
  return (site.downFreeMs = Math.max(site.downFreeMs, nowMs) + bytes / site.downBytesPerMs);
}

/** A connection has as much on its way as the way holds. */
function underWayMax({ from, to, supply }: Flow): number {
  if (from.site === to.site) return UNDER_WAY_MAX;
  return UNDER_WAY_MAX + Math.ceil((wayMs(from, to) * from.upBytesPerMs) / supply.bytesOf(0));
}
