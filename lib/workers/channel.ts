import { type MessagePort, receiveMessageOnPort, type Transferable } from 'node:worker_threads';

/** A message and the buffer that is transferred with it, not copied. */
interface Outgoing<T> {
  message: T;
  transfer?: ArrayBuffer;
}

/**
 * Typed messages over a port, in batches: all messages of one turn of the event loop travel as one
 * array, so that a busy thread is woken once per turn and not once per message.
 */
export class Channel<Out, In> {
  readonly #port: MessagePort;
  readonly #receive: (message: In) => void;
  #queue: Outgoing<Out>[] = [];

  constructor(port: MessagePort, receive: (message: In) => void) {
    this.#port = port;
    this.#receive = receive;
    port.on('message', (batch: In[]) => this.#receiveAll(batch));
  }

  /** Receives what the other side has sent. Call it once that side has ended, before `close`. */
  drain(): void {
    for (;;) {
      const got = receiveMessageOnPort(this.#port) as { message: In[] } | undefined;
      if (got === undefined) return;
      this.#receiveAll(got.message);
    }
  }

  /** Sends `message` at the end of this turn; `transfer` is transferred, not copied. */
  send(message: Out, transfer?: ArrayBuffer): void {
    if (this.#queue.length === 0) setImmediate(() => this.#flush());
    this.#queue.push(transfer === undefined ? { message } : { message, transfer });
  }

  /** Sends `message` now, after those that wait. The end of a busy turn may take milliseconds. */
  sendNow(message: Out): void {
    this.send(message);
    this.#flush();
  }

  close(): void {
    this.#flush();
    this.#port.close();
  }

  #receiveAll(batch: readonly In[]): void {
    for (const message of batch) this.#receive(message);
  }

  #flush(): void {
    const queue = this.#queue;
    if (queue.length === 0) return;
    this.#queue = [];
    const transfers: Transferable[] = [];
    for (const item of queue) if (item.transfer !== undefined) transfers.push(item.transfer);
    this.#port.postMessage(
      queue.map((item) => item.message),
      transfers,
    );
  }
}
