import { ShoalError, type ErrorCode } from '../errors.ts';
import type { Answer } from '../telemetry/health.ts';
import type {
  BlobName,
  ControlMessage,
  FrontMessage,
  PageRequest,
  RelayRequest,
  RpcRequest,
} from '../workers/messages.ts';
import { FrontJournal, type Journal } from './watch/journal.ts';
import { PeerDesk, type PeerDeskParts } from './peers/desk.ts';
import type { Preheats } from './serve/preheats.ts';
import type { PeerQuestions } from './peers/questions.ts';
import type { RelayedAnswer, TracedRelay } from './upstream/relays.ts';
import type { StreamParts } from './serve/stream-parts.ts';
import { Streams } from './serve/streams.ts';

export interface ControlParts {
  streams: StreamParts;
  peers: PeerDeskParts;
  questions: Pick<PeerQuestions, 'answer'>;
  preheats: Pick<Preheats, 'nodes' | 'preheat'>;
  /** See Vouching.keyOf: a front does not know which buckets have been learnt. */
  keyOf(blob: BlobName): string;
  /** See Relays.answer. */
  relay(request: TracedRelay): Promise<RelayedAnswer>;
  page(request: Omit<PageRequest, 'kind' | 'id'>): Promise<Answer>;
  audit(batch: Uint8Array, lines: number): void;
  notice(code: ErrorCode, message: string, requestId: string): void;
  journal: Journal;
  /** A random text. */
  salt(): string;
}

/** Control's end of one front: every message of that front comes in here. */
export class FrontDesk {
  readonly #parts: ControlParts;
  readonly #send: (message: ControlMessage, transfer?: ArrayBuffer) => void;
  readonly #streams: Streams;
  readonly #peers: PeerDesk;
  readonly #journal: FrontJournal;

  constructor(
    parts: ControlParts,
    send: (message: ControlMessage, transfer?: ArrayBuffer) => void,
  ) {
    this.#parts = parts;
    this.#journal = new FrontJournal(parts.journal);
    this.#send = (message, transfer) => {
      this.#journal.said(message);
      send(message, transfer);
    };
    this.#streams = new Streams(parts.streams, this.#send);
    this.#peers = new PeerDesk(parts.peers, this.#send);
  }

  /** Takes one message; `listening`, `failed` and `drained` are the node's own business. */
  receive(message: Exclude<FrontMessage, { kind: 'listening' | 'failed' | 'drained' }>): void {
    this.#journal.heard(message);
    switch (message.kind) {
      case 'open':
        this.#streams.open(
          { ...message, blob: this.#keyed(message.blob) },
          this.#journal.spanOf(message.id),
        );
        return;
      case 'want':
        this.#streams.want(message.id, message.shard, message.placed);
        return;
      case 'size':
        this.#streams.size(message.id);
        return;
      case 'close':
        if (!this.#streams.close(message.id, message.whole))
          this.#peers.close(message.id, message.whole, message.sentBytes);
        return;
      case 'relay':
        void this.#relay(message);
        return;
      case 'ask':
        this.#peers.ask(message, this.#journal.spanOf(message.id));
        return;
      case 'rpc':
        void this.#rpc(message);
        return;
      case 'preheat':
        void this.#say(message.id, () =>
          this.#parts.preheats.preheat({
            ...message,
            blob: this.#keyed(message.blob),
            span: this.#journal.spanOf(message.id),
          }),
        );
        return;
      case 'nodes':
        this.#json(message.id, this.#parts.preheats.nodes());
        return;
      case 'trace':
        this.#json(message.id, this.#parts.streams.trace.last(message.seconds, this.#parts.salt()));
        return;
      case 'page':
        void this.#page(message);
        return;
      case 'audit':
        this.#parts.audit(message.batch, message.lines);
        return;
      case 'notice':
        this.#parts.notice(message.code, message.message, message.requestId);
    }
  }

  /** The front is gone: nothing is read for its clients and peers any more. */
  close(): void {
    this.#streams.closeAll();
    this.#peers.closeAll();
    this.#journal.close();
  }

  #keyed(blob: BlobName): BlobName {
    const key = this.#parts.keyOf(blob);
    return key === blob.key ? blob : { ...blob, key };
  }

  /** The request with the span of this node as the parent of what the registry does. */
  #traced(request: RelayRequest): TracedRelay {
    const span = this.#journal.spanOf(request.id);
    if (span === undefined) return request;
    return { ...request, span, headers: { ...request.headers, traceparent: span.traceparent } };
  }

  async #relay(request: RelayRequest): Promise<void> {
    try {
      const { status, headers, body } = await this.#parts.relay(this.#traced(request));
      this.#answer(request.id, status, headers, body);
    } catch (thrown) {
      this.#send({ kind: 'refused', id: request.id, error: ShoalError.from(thrown).toWire() });
    }
  }

  async #rpc(request: RpcRequest): Promise<void> {
    const { status, body } = await this.#parts.questions.answer(
      request,
      this.#journal.spanOf(request.id),
    );
    this.#json(request.id, body, status);
  }

  #json(id: number, value: object, status = 200): void {
    this.#answer(
      id,
      status,
      { 'Content-Type': 'application/json' },
      new TextEncoder().encode(JSON.stringify(value)),
    );
  }

  async #say(id: number, make: () => Promise<object>): Promise<void> {
    try {
      this.#json(id, await make());
    } catch (thrown) {
      this.#send({ kind: 'refused', id, error: ShoalError.from(thrown).toWire() });
    }
  }

  async #page({ id, ...request }: PageRequest): Promise<void> {
    try {
      const { status, headers, body } = await this.#parts.page(request);
      this.#answer(id, status, headers, new TextEncoder().encode(body));
    } catch (thrown) {
      this.#send({ kind: 'refused', id, error: ShoalError.from(thrown).toWire() });
    }
  }

  #answer(id: number, status: number, headers: Record<string, string>, body: Uint8Array): void {
    const whole = body.byteLength === body.buffer.byteLength && body.buffer instanceof ArrayBuffer;
    this.#send(
      { kind: 'answer', id, status, headers, body },
      whole ? (body.buffer as ArrayBuffer) : undefined,
    );
  }
}
