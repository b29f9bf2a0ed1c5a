import type { WireError } from '../../lib/errors.ts';
import { ORIGIN_SHARDS_MAX } from '../../lib/limits.ts';
import type { EventQueue } from './event-queue.ts';
import { Flow, type Network, Station, type Supply } from './network.ts';

export interface OriginEvents {
  /** Whether anybody still waits for it, when its turn comes. */
  wanted(): boolean;
  begun(flow: Flow): void;
  ended(): void;
  failed(error: WireError): void;
}

/** How an origin misbehaves: the part of its answers that is an error, or breaks off. */
export interface OriginFaults {
  unavailable: number;
  retryAfterSeconds: number | null;
  breaksOff: number;
}

/** Width of the buckets the origin's rate is measured in. */
const BUCKET_MS = 100;

/** The registry: one link that all who read from it share, and a time to the first byte. */
export class Origin {
  readonly station: Station;
  requests = 0;
  /** Requests per shard. */
  readonly perShard: Uint16Array;
  readonly #queue: EventQueue;
  readonly #network: Network;
  readonly #firstByteMs: number;
  readonly #supply: (index: number) => Supply;
  readonly #random: () => number;
  readonly #faults: OriginFaults;
  readonly #buckets = new Map<number, number>();
  #seenBytes = 0;
  readonly #turns = new Map<Station, { free: number; waiting: (() => void)[] }>();

  constructor(queue: EventQueue, network: Network, parts: { bytesPerMs: number; firstByteMs: number; shards: number; supply: (index: number) => Supply; random: () => number; faults: OriginFaults }) {
    this.#queue = queue;
    this.#network = network;
    this.#firstByteMs = parts.firstByteMs;
    this.#supply = parts.supply;
    this.#random = parts.random;
    this.#faults = parts.faults;
    this.station = new Station('origin', parts.bytesPerMs, Infinity);
    this.perShard = new Uint16Array(parts.shards);
  }

  /** Bytes it has sent. */
  get bytes(): number {
    return this.station.sentBytes;
  }

  /** A node reads so many shards at once as ORIGIN_SHARDS_MAX says; the rest wait their turn there. */
  read(index: number, to: Station, sink: Supply, events: OriginEvents): void {
    let turns = this.#turns.get(to);
    if (turns === undefined) this.#turns.set(to, (turns = { free: ORIGIN_SHARDS_MAX, waiting: [] }));
    const held = turns;
    let given = false;
    const give = (): void => {
      if (given) return;
      given = true;
      const next = held.waiting.shift();
      if (next === undefined) held.free++;
      else next();
    };
    const begin = (): void => {
      if (events.wanted()) this.#request(index, to, sink, events, give);
      else give();
    };
    if (held.free > 0) {
      held.free--;
      begin();
    } else held.waiting.push(begin);
  }

  #request(index: number, to: Station, sink: Supply, events: OriginEvents, leave: () => void): void {
    this.requests++;
    this.perShard[index]!++;
    const { unavailable, retryAfterSeconds, breaksOff } = this.#faults;
    const lot = this.#random();
    this.#queue.at(this.#queue.nowMs + this.#firstByteMs, () => {
      if (lot < unavailable) {
        leave();
        events.failed({ code: 'ORIGIN_BUSY', message: 'busy', status: 503, ...(retryAfterSeconds === null ? {} : { headers: { 'retry-after': String(retryAfterSeconds) } }) });
        return;
      }
      const flow = new Flow({
        from: this.station, to, supply: this.#supply(index), sink, unchecked: true, trusted: true, nowMs: this.#queue.nowMs,
        ended: () => {
          this.#count();
          leave();
          events.ended();
        },
      });
      flow.stopped = leave;
      events.begun(flow);
      if (flow.over) return;
      this.#network.begin(flow);
      if (lot > 1 - breaksOff) {
        this.#queue.at(this.#queue.nowMs + this.#firstByteMs / 4, () => {
          if (flow.over) return;
          this.#network.end(flow);
          events.failed({ code: 'ORIGIN_BROKEN', message: 'broke off', status: 502 });
        }, undefined);
      }
    }, undefined);
  }

  /** Highest rate over `windowMs`, in bytes per ms. */
  peakBytesPerMs(windowMs: number): number {
    this.#count();
    const width = Math.max(1, Math.round(windowMs / BUCKET_MS));
    let peak = 0;
    for (const first of this.#buckets.keys()) {
      let sum = 0;
      for (let bucket = first; bucket < first + width; bucket++) sum += this.#buckets.get(bucket) ?? 0;
      peak = Math.max(peak, sum / (width * BUCKET_MS));
    }
    return peak;
  }

  #count(): void {
    const bucket = Math.floor(this.#queue.nowMs / BUCKET_MS);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + this.station.sentBytes - this.#seenBytes);
    this.#seenBytes = this.station.sentBytes;
  }
}
