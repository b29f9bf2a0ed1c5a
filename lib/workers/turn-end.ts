/**
 * Does at the end of this turn of the event loop what must not be done within a read of a socket.
 *
 * A thread may be ended in the middle of any JavaScript. When that is the callback of a socket, the
 * socket has not been given its next buffer, and may still read into the last one before the thread
 * is gone: bytes that were published within the callback would change after readers saw them. Once
 * the callback has returned, its bytes stay as they are.
 */
export class TurnEnd {
  #waiting: (() => void)[] = [];

  /** Calls `action` at the end of this turn, after those that were added before. */
  add(action: () => void): void {
    if (this.#waiting.length === 0) setImmediate(() => this.now());
    this.#waiting.push(action);
  }

  /** Calls what waits at once: the socket has no more bytes for this reader. */
  now(): void {
    for (const action of this.#waiting.splice(0)) action();
  }
}
