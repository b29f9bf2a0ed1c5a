import type { MessagePort } from 'node:worker_threads';
import { Channel } from '../workers/channel.ts';
import type {
  ShardRequest,
  BlobName,
  ControlMessage,
  FrontMessage,
  PageRequest,
  PreheatRequest,
  ReadSummary,
  RelayRequest,
  RpcRequest,
} from '../workers/messages.ts';

type Routes = Extract<ControlMessage, { kind: 'routes' }>;
type Reply = Exclude<ControlMessage, { kind: 'drain' | 'certificate' | 'routes' | 'connections' }>;
type Receiver = (message: Reply) => void;

/** A request without the id, which the link adds. */
type Unnumbered<T> = Omit<T, 'id' | 'kind'>;

/** The messages from a front to control, and the receivers of the replies. */
export class ControlLink {
  readonly #channel: Channel<FrontMessage, ControlMessage>;
  readonly #receivers = new Map<number, Receiver>();
  #lastId = 0;

  constructor(
    port: MessagePort,
    on: {
      drain(deadlineMs: number): void;
      certificate(): void;
      routes(routes: Routes): void;
      connections(max: number): void;
    },
  ) {
    this.#channel = new Channel(port, (message) => {
      if (message.kind === 'drain') on.drain(message.deadlineMs);
      else if (message.kind === 'certificate') on.certificate();
      else if (message.kind === 'routes') on.routes(message);
      else if (message.kind === 'connections') on.connections(message.max);
      else this.#receivers.get(message.id)?.(message);
    });
  }

  /**
   * Opens a stream that reads a blob. `receive` gets `opened`, `granted`, `sized` and `refused`
   * until `close`.
   */
  open(
    blob: BlobName,
    request: {
      authorization: string | null;
      shard: number;
      sliceBytes: number;
      untilShard: number | null;
      sequential: boolean;
      small: boolean;
      requestId: string;
    },
    receive: Receiver,
  ): number {
    const id = this.#number(receive);
    this.#channel.send({ kind: 'open', id, blob, ...request });
    return id;
  }

  /** The stream reached `shard`. `placed`: this front knows its place. */
  want(id: number, shard: number, placed: boolean): void {
    this.#channel.send({ kind: 'want', id, shard, placed });
  }

  /** What is here of the stream's blob has another size than it was opened with. */
  askSize(id: number): void {
    this.#channel.send({ kind: 'size', id });
  }

  /** The stream or ask ended. `whole`: everything was sent. */
  close(id: number, whole: boolean, sentBytes: number, read?: ReadSummary): void {
    if (!this.#receivers.delete(id)) return;
    const message = { kind: 'close' as const, id, whole, sentBytes };
    this.#channel.send(read === undefined ? message : { ...message, read });
  }

  relay(request: Unnumbered<RelayRequest>, receive: Receiver): void {
    const id = this.#number((message) => this.#once(message, receive));
    this.#channel.send({ kind: 'relay', id, ...request });
  }

  page(request: Unnumbered<PageRequest>, receive: Receiver): void {
    const id = this.#number((message) => this.#once(message, receive));
    this.#channel.send({ kind: 'page', id, ...request });
  }

  rpc(request: Unnumbered<RpcRequest>, receive: Receiver): void {
    const id = this.#number((message) => this.#once(message, receive));
    this.#channel.send({ kind: 'rpc', id, ...request });
  }

  preheat(request: Unnumbered<PreheatRequest>, receive: Receiver): void {
    const id = this.#number((message) => this.#once(message, receive));
    this.#channel.send({ kind: 'preheat', id, ...request });
  }

  nodes(receive: Receiver): void {
    this.#channel.send({
      kind: 'nodes',
      id: this.#number((message) => this.#once(message, receive)),
    });
  }

  trace(seconds: number, receive: Receiver): void {
    this.#channel.send({
      kind: 'trace',
      id: this.#number((message) => this.#once(message, receive)),
      seconds,
    });
  }

  /** Passes another node's request to control. Call `close` when it ends. */
  ask(request: Unnumbered<ShardRequest>, receive: Receiver): number {
    const id = this.#number(receive);
    this.#channel.send({ kind: 'ask', id, ...request });
    return id;
  }

  /** Passes audit lines to control, together with their memory. */
  audit(batch: Uint8Array<ArrayBuffer>, lines: number): void {
    this.#channel.send({ kind: 'audit', batch, lines }, batch.buffer);
  }

  tell(
    message: Extract<
      FrontMessage,
      { kind: 'listening' | 'failed' | 'drained' | 'notice' | 'reads' }
    >,
  ): void {
    this.#channel.send(message);
  }

  shut(): void {
    this.#channel.close();
  }

  #number(receive: Receiver): number {
    const id = ++this.#lastId;
    this.#receivers.set(id, receive);
    return id;
  }

  #once(message: Reply, receive: Receiver): void {
    this.#receivers.delete(message.id);
    receive(message);
  }
}
