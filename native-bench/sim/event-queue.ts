/** What happens at one moment; the argument is what it was scheduled with. */
export type Happening<T> = (subject: T) => void;

const ARITY = 4;

/**
 * Near time in buckets of this width: so many that nearly all events fall into one, so narrow that
 * few share one.
 */
const BUCKET_MS = 1 / 64;
const BUCKETS = 4096;
const NONE = -1;

/**
 * Simulated time and what is due in it, equal times in the order of their making. A calendar queue
 * (Brown 1988): events of the next moments lie unsorted in buckets, those of the bucket being
 * emptied in a small heap, and those too far off in a heap of their own. One heap for all would
 * miss the processor's caches at every step.
 */
export class EventQueue {
  nowMs = 0;
  /** Events that have happened. */
  count = 0;
  readonly #now: Heap;
  readonly #far: Heap;
  /** First event of each bucket, and of each event the next in its bucket. */
  readonly #buckets = new Int32Array(BUCKETS).fill(NONE);
  readonly #events = new Events();
  /** The bucket being emptied, counted from time 0, and events in those after it. */
  #bucket = 0;
  #inBuckets = 0;

  constructor() {
    this.#now = new Heap(this.#events);
    this.#far = new Heap(this.#events);
  }

  /** Calls `happening(subject)` at `atMs`, not before now. */
  at<T>(atMs: number, happening: Happening<T>, subject: T): void {
    const timeMs = Math.max(atMs, this.nowMs);
    const event = this.#events.add(timeMs, happening as Happening<never>, subject);
    const bucket = Math.floor(timeMs / BUCKET_MS);
    if (bucket <= this.#bucket) this.#now.push(event);
    else if (bucket < this.#bucket + BUCKETS) this.#lay(bucket, event);
    else this.#far.push(event);
  }

  /** Lets time pass until nothing is due, or `over` says so, or `untilMs`. */
  run(over: () => boolean, untilMs = Infinity): void {
    while (this.#fill() && !over()) {
      const dueMs = this.#events.timesMs[this.#now.first]!;
      if (dueMs > untilMs) return;
      this.nowMs = dueMs;
      this.count++;
      this.#events.happen(this.#now.pop());
    }
  }

  #lay(bucket: number, event: number): void {
    const place = bucket % BUCKETS;
    this.#events.next[event] = this.#buckets[place]!;
    this.#buckets[place] = event;
    this.#inBuckets++;
  }

  /**
   * Moves on to the next bucket with events, when the present one is empty. False: nothing is due
   * any more.
   */
  #fill(): boolean {
    while (this.#now.size === 0) {
      if (this.#inBuckets === 0) {
        if (this.#far.size === 0) return false;
        this.#bucket = Math.floor(this.#events.timesMs[this.#far.first]! / BUCKET_MS);
      } else this.#bucket++;
      const place = this.#bucket % BUCKETS;
      for (let event = this.#buckets[place]!; event !== NONE; event = this.#events.next[event]!) {
        this.#now.push(event);
        this.#inBuckets--;
      }
      this.#buckets[place] = NONE;
      this.#takeFar();
    }
    return true;
  }

  /** What was too far off, and is no longer. */
  #takeFar(): void {
    while (this.#far.size > 0) {
      const bucket = Math.floor(this.#events.timesMs[this.#far.first]! / BUCKET_MS);
      if (bucket >= this.#bucket + BUCKETS) return;
      const event = this.#far.pop();
      if (bucket <= this.#bucket) this.#now.push(event);
      else this.#lay(bucket, event);
    }
  }
}

/** Events by number, in columns; numbers are used again. */
class Events {
  timesMs = new Float64Array(1024);
  orders = new Float64Array(1024);
  next = new Int32Array(1024);
  readonly #happenings: (Happening<never> | null)[] = [];
  readonly #subjects: unknown[] = [];
  readonly #free: number[] = [];
  #order = 0;

  add(timeMs: number, happening: Happening<never>, subject: unknown): number {
    const event = this.#free.pop() ?? this.#happenings.length;
    if (event === this.timesMs.length) this.#grow();
    this.timesMs[event] = timeMs;
    this.orders[event] = this.#order++;
    this.#happenings[event] = happening;
    this.#subjects[event] = subject;
    return event;
  }

  happen(event: number): void {
    const happening = this.#happenings[event] as Happening<unknown>;
    const subject = this.#subjects[event];
    this.#happenings[event] = null;
    this.#subjects[event] = undefined;
    this.#free.push(event);
    happening(subject);
  }

  isBefore(one: number, other: number): boolean {
    const oneMs = this.timesMs[one]!;
    const otherMs = this.timesMs[other]!;
    return oneMs < otherMs || (oneMs === otherMs && this.orders[one]! < this.orders[other]!);
  }

  #grow(): void {
    const double = <A extends Float64Array | Int32Array>(old: A, wide: A): A => {
      wide.set(old);
      return wide;
    };
    this.timesMs = double(this.timesMs, new Float64Array(this.timesMs.length * 2));
    this.orders = double(this.orders, new Float64Array(this.orders.length * 2));
    this.next = double(this.next, new Int32Array(this.next.length * 2));
  }
}

/** A 4-ary heap of events. */
class Heap {
  readonly #events: Events;
  readonly #heap: number[] = [];

  constructor(events: Events) {
    this.#events = events;
  }

  get size(): number {
    return this.#heap.length;
  }

  get first(): number {
    return this.#heap[0]!;
  }

  push(event: number): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 2;
      if (!this.#events.isBefore(event, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  pop(): number {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return first;
    let at = 0;
    for (;;) {
      const child = at * ARITY + 1;
      if (child >= size) break;
      let least = child;
      const end = Math.min(child + ARITY, size);
      for (let below = child + 1; below < end; below++)
        if (this.#events.isBefore(heap[below]!, heap[least]!)) least = below;
      if (this.#events.isBefore(last, heap[least]!)) break;
      heap[at] = heap[least]!;
      at = least;
    }
    heap[at] = last;
    return first;
  }
}
