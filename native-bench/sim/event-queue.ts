/** What happens at one moment; the argument is what it was scheduled with. */
export type Happening<T> = (subject: T) => void;

const ARITY = 4;

/** Simulated time and what is due in it: a 4-ary heap over typed arrays, equal times in the order of their making. */
export class EventQueue {
  nowMs = 0;
  /** Events that have happened. */
  count = 0;
  #size = 0;
  #timesMs = new Float64Array(1024);
  #orders = new Float64Array(1024);
  #slots = new Int32Array(1024);
  #order = 0;
  readonly #happenings: (Happening<never> | null)[] = [];
  readonly #subjects: unknown[] = [];
  readonly #free: number[] = [];

  /** Calls `happening(subject)` at `atMs`, not before now. */
  at<T>(atMs: number, happening: Happening<T>, subject: T): void {
    const slot = this.#free.pop() ?? this.#happenings.length;
    this.#happenings[slot] = happening as Happening<never>;
    this.#subjects[slot] = subject;
    if (this.#size === this.#timesMs.length) this.#grow();
    this.#rise(this.#size++, Math.max(atMs, this.nowMs), this.#order++, slot);
  }

  /** Lets time pass until nothing is due, or `over` says so, or `untilMs`. */
  run(over: () => boolean, untilMs = Infinity): void {
    while (this.#size > 0 && !over()) {
      const slot = this.#slots[0]!;
      if (this.#timesMs[0]! > untilMs) return;
      this.nowMs = this.#timesMs[0]!;
      this.count++;
      this.#dropFirst();
      const happening = this.#happenings[slot] as Happening<unknown>;
      const subject = this.#subjects[slot];
      this.#happenings[slot] = null;
      this.#subjects[slot] = undefined;
      this.#free.push(slot);
      happening(subject);
    }
  }

  #rise(at: number, timeMs: number, order: number, slot: number): void {
    while (at > 0) {
      const above = (at - 1) >> 2;
      if (!this.#isBefore(timeMs, order, above)) break;
      this.#move(above, at);
      at = above;
    }
    this.#put(at, timeMs, order, slot);
  }

  #dropFirst(): void {
    const last = --this.#size;
    const timeMs = this.#timesMs[last]!;
    const order = this.#orders[last]!;
    const slot = this.#slots[last]!;
    let at = 0;
    for (;;) {
      const first = at * ARITY + 1;
      if (first >= last) break;
      let least = first;
      const end = Math.min(first + ARITY, last);
      for (let below = first + 1; below < end; below++) if (this.#isBefore(this.#timesMs[below]!, this.#orders[below]!, least)) least = below;
      if (this.#isBefore(timeMs, order, least)) break;
      this.#move(least, at);
      at = least;
    }
    this.#put(at, timeMs, order, slot);
  }

  #isBefore(timeMs: number, order: number, other: number): boolean {
    const otherMs = this.#timesMs[other]!;
    return timeMs < otherMs || (timeMs === otherMs && order < this.#orders[other]!);
  }

  #move(from: number, to: number): void {
    this.#timesMs[to] = this.#timesMs[from]!;
    this.#orders[to] = this.#orders[from]!;
    this.#slots[to] = this.#slots[from]!;
  }

  #put(at: number, timeMs: number, order: number, slot: number): void {
    this.#timesMs[at] = timeMs;
    this.#orders[at] = order;
    this.#slots[at] = slot;
  }

  #grow(): void {
    const double = <A extends Float64Array | Int32Array>(old: A, wide: A): A => {
      wide.set(old);
      return wide;
    };
    this.#timesMs = double(this.#timesMs, new Float64Array(this.#timesMs.length * 2));
    this.#orders = double(this.#orders, new Float64Array(this.#orders.length * 2));
    this.#slots = double(this.#slots, new Int32Array(this.#slots.length * 2));
  }
}
