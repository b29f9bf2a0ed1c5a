import type { WireError } from '../../lib/errors.ts';
import type { EventQueue } from './event-queue.ts';
import { Flow, type Network, Station, type Supply } from './network.ts';

export interface OriginEvents {
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

  read(index: number, to: Station, sink: Supply, events: OriginEvents): void {
    this.requests++;
    this.perShard[index]!++;
    const { unavailable, retryAfterSeconds, breaksOff } = this.#faults;
    const lot = this.#random();
    this.#queue.at(this.#queue.nowMs + this.#firstByteMs, () => {
      if (lot < unavailable) {
        events.failed({ code: 'ORIGIN_BUSY', message: 'busy', status: 503, ...(retryAfterSeconds === null ? {} : { headers: { 'retry-after': String(retryAfterSeconds) } }) });
        return;
      }
      const flow = new Flow({
        from: this.station, to, supply: this.#supply(index), sink, unchecked: true, trusted: true, nowMs: this.#queue.nowMs,
        ended: () => {
          this.#count();
          events.ended();
        },
      });
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
