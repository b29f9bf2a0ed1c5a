const resolved = Promise.resolve();

/**
 * Does after the read of a socket, once Node.js is done with it, what must not be done within.
 *
 * A thread may be ended in the middle of any JavaScript. When that is the callback of a socket, the
 * socket has not been given its next buffer, and may still read into the last one before the thread
 * is gone: bytes that were published within the callback would change after readers saw them. Once
 * the callback has returned, its bytes stay as they are, and microtasks run only then.
 */
export class AfterRead {
  #waiting: (() => void)[] = [];
  readonly #run = (): void => this.now();

  /** Calls `action` after this read, and after those that were added before. */
  add(action: () => void): void {
    // Not queueMicrotask(), which makes an asynchronous resource for each call, nor setImmediate(),
    // which costs a turn of the event loop.
    if (this.#waiting.length === 0) void resolved.then(this.#run);
    this.#waiting.push(action);
  }

  /** Calls what waits at once: the socket has no more bytes for this reader. */
  now(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const action of waiting) action();
  }
}
