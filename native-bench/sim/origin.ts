import type { WireError } from '../../lib/errors.ts';
import { OriginQueue, type OriginWant } from '../../lib/swarm/origin-queue.ts';
import type { ShardId } from '../../lib/swarm/types.ts';
import type { EventQueue } from './event-queue.ts';
import { Flow, type Network, Station, type Supply } from './network.ts';

export interface OriginEvents {
  /** Whether anybody still waits for it, when its turn comes. */
  wanted(): boolean;
  begun(flow: Flow): void;
  ended(): void;
  failed(error: WireError): void;
}

/** A shard that a station wants, and who hears of it. */
interface Read extends OriginWant {
  sink: Supply;
  events: OriginEvents;
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
  /** What each station waits for: it decides for itself how much it asks for at once. */
  readonly #queues = new Map<Station, OriginQueue<Read>>();

  constructor(
    queue: EventQueue,
    network: Network,
    parts: {
      bytesPerMs: number;
      firstByteMs: number;
      shards: number;
      supply: (index: number) => Supply;
      random: () => number;
      faults: OriginFaults;
    },
  ) {
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

  /** Reads a shard, with others in one request where they may (lib/swarm/origin-queue.ts). */
  read(shard: ShardId, alone: boolean, to: Station, sink: Supply, events: OriginEvents): void {
    let queue = this.#queues.get(to);
    if (queue === undefined) {
      const own: OriginQueue<Read> = new OriginQueue<Read>(
        (together) => this.#request(own, to, together),
        (look, ms) => this.#queue.at(this.#queue.nowMs + ms, look, undefined),
        () => this.#queue.nowMs,
      );
      this.#queues.set(to, (queue = own));
    }
    queue.add({
      upstream: 'origin',
      isVouched: true,
      series: shard.key,
      index: shard.index,
      shares: sink.received === 0,
      sizeShards: 1,
      alone,
      isOnBehalf: !alone,
      isWaitedFor: false,
      sink,
      events,
    });
  }

  #request(queue: OriginQueue<Read>, to: Station, together: readonly Read[]): void {
    const wanted = together.filter(({ events }) => events.wanted());
    if (wanted.length === 0) {
      queue.over(together);
      return;
    }
    this.requests++;
    for (const { index } of wanted) this.perShard[index]!++;
    const { unavailable, retryAfterSeconds, breaksOff } = this.#faults;
    const lot = this.#random();
    const fail = (from: number, error: WireError): void => {
      for (const { events } of wanted.slice(from)) events.failed(error);
      queue.over(together);
    };
    this.#queue.at(
      this.#queue.nowMs + this.#firstByteMs,
      () => {
        if (lot < unavailable)
          fail(0, {
            code: 'ORIGIN_BUSY',
            message: 'busy',
            status: 503,
            ...(retryAfterSeconds === null
              ? {}
              : { headers: { 'retry-after': String(retryAfterSeconds) } }),
          });
        else {
          queue.head(together[0]!);
          this.#send(
            to,
            wanted,
            0,
            () => queue.over(together),
            (bytes) => queue.arrived(together[0]!, bytes),
            lot > 1 - breaksOff
              ? (at) => fail(at, { code: 'ORIGIN_BROKEN', message: 'broke off', status: 502 })
              : null,
          );
        }
      },
      undefined,
    );
  }

  /**
   * Sends the shards from `at` on, one after the other; `breakOff`: it will not come to the end of
   * this one.
   */
  #send(
    to: Station,
    reads: readonly Read[],
    at: number,
    over: () => void,
    arrived: (bytes: number) => void,
    breakOff: ((at: number) => void) | null,
  ): void {
    const read = reads[at];
    if (read === undefined) {
      over();
      return;
    }
    const next = (): void => this.#send(to, reads, at + 1, over, arrived, null);
    const flow = new Flow({
      from: this.station,
      to,
      supply: this.#supply(read.index),
      sink: read.sink,
      unchecked: true,
      trusted: true,
      nowMs: this.#queue.nowMs,
      ended: () => {
        this.#count();
        arrived(read.sink.lengthBytes);
        read.events.ended();
        next();
      },
    });
    let isBroken = false;
    // Nobody wants the rest of it: what follows is asked for.
    flow.stopped = () => {
      if (!isBroken) next();
    };
    read.events.begun(flow);
    if (flow.over) return;
    this.#network.begin(flow);
    if (breakOff === null) return;
    this.#queue.at(
      this.#queue.nowMs + this.#firstByteMs / 4,
      () => {
        if (flow.over) return;
        isBroken = true;
        this.#network.end(flow);
        breakOff(at);
      },
      undefined,
    );
  }

  /** Highest rate over `windowMs`, in bytes per ms. */
  peakBytesPerMs(windowMs: number): number {
    this.#count();
    const width = Math.max(1, Math.round(windowMs / BUCKET_MS));
    let peak = 0;
    for (const first of this.#buckets.keys()) {
      let sum = 0;
      for (let bucket = first; bucket < first + width; bucket++)
        sum += this.#buckets.get(bucket) ?? 0;
      peak = Math.max(peak, sum / (width * BUCKET_MS));
    }
    return peak;
  }

  #count(): void {
    const bucket = Math.floor(this.#queue.nowMs / BUCKET_MS);
    this.#buckets.set(
      bucket,
      (this.#buckets.get(bucket) ?? 0) + this.station.sentBytes - this.#seenBytes,
    );
    this.#seenBytes = this.station.sentBytes;
  }
}
