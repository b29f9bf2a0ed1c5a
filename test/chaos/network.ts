import type { OnReadOpts } from 'node:net';
import type { Random } from '../../native-bench/sim/random.ts';
import { PEER_CONNECT_MS } from '../../lib/workers/limits.ts';
import { NoConnection } from '../../lib/workers/peer/connection.ts';
import { buffers } from './buffers.ts';
import type { Timeline } from './timeline.ts';

/** How often what waits for a cut path looks again, as a TCP stack retransmits. */
const RETRANSMIT_MS = 120;
const SEEN_MAX = 20;
const SEND_BUFFER_BYTES = 64 * 1024;

/** One direction between two machines. */
export interface Path {
  isCut: boolean;
  latencyMs: number;
  bytesPerMs: number;
  /** The chance that a piece of data breaks its connection. */
  resetChance: number;
  /** The chance that a piece of data is late, by up to `lateMs`. */
  lateChance: number;
  lateMs: number;
}

/** The listening end of a connection. */
export interface Served {
  /** A whole request head has come. */
  request(head: string): void;
  /** The other end is gone. */
  aborted(): void;
  /** All that was written has been sent. */
  drained(): void;
}

export type Accept = (connection: Connection) => Served;

/** The connections between all machines. A machine is known by the name before the colon. */
export class Network {
  readonly timeline: Timeline;
  readonly random: Random;
  /** The largest piece of data that arrives at once. */
  readonly pieceBytes: number;
  /** The requests that a listener in the network has seen last, and whom they were for. */
  readonly seen: { from: string; address: string; head: string }[] = [];
  readonly #listeners = new Map<string, Accept>();
  readonly #paths = new Map<string, Path>();
  readonly #open = new Set<Connection>();
  readonly #defaults: () => Path;

  constructor(timeline: Timeline, random: Random, pieceBytes: number, defaults: () => Path) {
    this.timeline = timeline;
    this.random = random;
    this.pieceBytes = pieceBytes;
    this.#defaults = defaults;
  }

  path(from: string, to: string): Path {
    const name = `${from}>${to}`;
    let path = this.#paths.get(name);
    if (path === undefined) this.#paths.set(name, (path = this.#defaults()));
    return path;
  }

  paths(): Iterable<Path> {
    return this.#paths.values();
  }

  listen(address: string, accept: Accept): void {
    this.#listeners.set(address, accept);
  }

  listener(address: string): Accept | undefined {
    return this.#listeners.get(address);
  }

  connect(
    from: string,
    address: string,
    onread: OnReadOpts,
    connectMs = PEER_CONNECT_MS,
  ): Connection {
    const connection = new Connection(this, { from, address, onread, connectMs });
    this.#open.add(connection);
    return connection;
  }

  saw(from: string, address: string, head: string): void {
    this.seen.push({ from, address, head });
    if (this.seen.length > SEEN_MAX) this.seen.shift();
  }

  over(connection: Connection): void {
    this.#open.delete(connection);
  }

  get openConnections(): number {
    return this.#open.size;
  }

  /** `machine` takes no more connections; those that it has go on. */
  close(machine: string): void {
    for (const address of [...this.#listeners.keys()])
      if (machineOf(address) === machine) this.#listeners.delete(address);
  }

  /** The process of `machine` has ended: its kernel resets its connections. */
  crashed(machine: string): void {
    this.close(machine);
    for (const connection of [...this.#open]) connection.crashed(machine);
  }
}

export function machineOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}

type Handler = (argument?: unknown) => void;

/**
 * One TCP connection. Its own methods are those of the end that connected, as lib/io knows a
 * `net.Socket`; `serve*` are those of the end that accepted it.
 */
export class Connection {
  readonly #network: Network;
  readonly #from: string;
  readonly #to: string;
  readonly #address: string;
  readonly #onread: OnReadOpts;
  readonly #handlers = new Map<string, Handler>();
  #served: Served | null = null;
  #isConnected = false;
  #isDead = false;
  /** Requests written before the connection was established. */
  #early: string[] = [];
  #queue: { buffer: Uint8Array; lengthBytes: number }[] = [];
  #queuedBytes = 0;
  #isSending = false;

  constructor(
    network: Network,
    {
      from,
      address,
      onread,
      connectMs,
    }: { from: string; address: string; onread: OnReadOpts; connectMs: number },
  ) {
    this.#network = network;
    this.#from = from;
    this.#to = machineOf(address);
    this.#address = address;
    this.#onread = onread;
    const timer = network.timeline.after(connectMs, () => {
      if (!this.#isConnected) this.#fail(new NoConnection(connectMs));
    });
    this.#pass(this.#from, this.#to, 0, () => {
      const accept = network.listener(this.#address);
      this.#pass(this.#to, this.#from, 0, () => {
        timer.cancel();
        if (accept === undefined || network.listener(this.#address) !== accept) {
          this.#fail(new Error(`connect ECONNREFUSED ${this.#address}`));
          return;
        }
        this.#isConnected = true;
        this.#served = accept(this);
        for (const head of this.#early.splice(0)) this.#send(head);
      });
    });
  }

  // --- the end that connected ---

  on(event: string, handler: Handler): this {
    this.#handlers.set(event, handler);
    return this;
  }

  write(head: string): boolean {
    if (this.#isDead) return false;
    if (this.#isConnected) this.#send(head);
    else this.#early.push(head);
    return true;
  }

  destroy(): void {
    if (this.#isDead) return;
    this.#die();
    this.#pass(this.#from, this.#to, 0, () => this.#served?.aborted(), true);
  }

  // --- the end that accepted it ---

  get roomBytes(): number {
    return this.#isDead ? 0 : SEND_BUFFER_BYTES - this.#queuedBytes;
  }

  /** Sends bytes, which are copied. */
  serveBytes(bytes: Uint8Array): void {
    if (this.#isDead) return;
    const { pieceBytes } = this.#network;
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const part = bytes.subarray(at, at + pieceBytes);
      const buffer = buffers.take(pieceBytes);
      buffer.set(part);
      this.#queue.push({ buffer, lengthBytes: part.length });
    }
    this.#queuedBytes += bytes.length;
    this.#sendNext();
  }

  serveClose(): void {
    if (this.#isDead) return;
    this.#pass(this.#to, this.#from, 0, () => this.#fail(null), true);
  }

  crashed(machine: string): void {
    if (this.#isDead) return;
    if (this.#from === machine) this.destroy();
    else if (this.#to === machine) {
      this.#served = null;
      this.serveClose();
    }
  }

  // --- inside ---

  #send(head: string): void {
    this.#network.saw(this.#from, this.#address, head);
    this.#pass(this.#from, this.#to, head.length, () => this.#served?.request(head));
  }

  /** Calls `arrived` when something gets there, once the path is not cut any more. */
  #pass(from: string, to: string, bytes: number, arrived: () => void, evenDead = false): void {
    if (this.#isDead && !evenDead) return;
    const { timeline, random } = this.#network;
    const path = this.#network.path(from, to);
    if (path.isCut) {
      timeline.after(RETRANSMIT_MS, () => this.#pass(from, to, bytes, arrived, evenDead));
      return;
    }
    if (bytes > 0 && random.next() < path.resetChance) {
      this.#fail(new Error('read ECONNRESET'));
      this.#served?.aborted();
      return;
    }
    const lateMs = random.next() < path.lateChance ? random.next() * path.lateMs : 0;
    timeline.after(path.latencyMs + bytes / path.bytesPerMs + lateMs, () => {
      if (!this.#isDead || evenDead) arrived();
    });
  }

  #sendNext(): void {
    if (this.#isSending || this.#isDead) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    const { buffer, lengthBytes } = next;
    this.#isSending = true;
    this.#pass(this.#to, this.#from, lengthBytes, () => {
      this.#isSending = false;
      this.#queuedBytes -= lengthBytes;
      this.#receive(buffer.subarray(0, lengthBytes));
      buffers.give(buffer);
      if (this.#queue.length === 0) this.#served?.drained();
      this.#sendNext();
    });
  }

  #receive(piece: Uint8Array): void {
    const { buffer, callback } = this.#onread;
    let rest = piece;
    while (rest.length > 0 && !this.#isDead) {
      const room = (buffer as () => Uint8Array)();
      const part = rest.subarray(0, room.length);
      room.set(part);
      rest = rest.subarray(part.length);
      callback(part.length, room);
    }
  }

  #fail(error: Error | null): void {
    if (this.#isDead) return;
    this.#die();
    if (error !== null) this.#handlers.get('error')?.(error);
    this.#handlers.get('close')?.();
  }

  #die(): void {
    this.#isDead = true;
    for (const { buffer } of this.#queue.splice(0)) buffers.give(buffer);
    this.#network.over(this);
  }
}
