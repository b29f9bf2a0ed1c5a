import { ShoalError } from '../../lib/errors.ts';
import { LOOK_MS, ORIGIN_CONNECT_TIMEOUT_MS } from '../../lib/limits.ts';
import type { AnswerEvents, ExchangeRequest, Transport } from '../../lib/origin/exchange.ts';
import type { Network, Path } from './network.ts';
import { STRANGER, type Answer, type Registry } from './registry.ts';
import type { ProcessClock } from './timeline.ts';

const PIECE_BYTES = 32 * 1024;

/** Requests of one machine to registries and object storage: the place of lib/origin's sockets. */
export class OriginTransport implements Transport {
  readonly #registry: Registry;
  readonly #network: Network;
  readonly #machine: string;
  readonly #clock: ProcessClock;

  constructor(registry: Registry, network: Network, machine: string, clock: ProcessClock) {
    this.#registry = registry;
    this.#network = network;
    this.#machine = machine;
    this.#clock = clock;
  }

  send(request: ExchangeRequest, events: AnswerEvents): () => void {
    const { hostname } = request.url;
    const sending = new Sending(request, events, {
      there: this.#network.path(this.#machine, hostname),
      back: this.#network.path(hostname, this.#machine),
      ...{ registry: this.#registry, network: this.#network, clock: this.#clock },
    });
    return () => sending.abort();
  }
}

interface SendingParts {
  there: Path;
  back: Path;
  registry: Registry;
  network: Network;
  clock: ProcessClock;
}

/** One request and its answer. */
class Sending {
  readonly #request: ExchangeRequest;
  readonly #events: AnswerEvents;
  readonly #parts: SendingParts;
  #isAborted = false;
  #isPaused = false;
  #answer: Answer | null = null;
  #sentBytes = 0;
  #goOn: (() => void) | null = null;

  constructor(request: ExchangeRequest, events: AnswerEvents, parts: SendingParts) {
    this.#request = request;
    this.#events = events;
    this.#parts = parts;
    this.#connect(parts.clock.nowMs() + ORIGIN_CONNECT_TIMEOUT_MS);
  }

  abort(): void {
    this.#isAborted = true;
  }

  #connect(dueMs: number): void {
    const { there, back, clock } = this.#parts;
    if (!there.isCut && !back.isCut) this.#after(2 * there.latencyMs, () => this.#reach());
    else if (clock.nowMs() >= dueMs) this.#fail('ORIGIN_UNREACHABLE', 'no connection in time');
    else this.#after(LOOK_MS, () => this.#connect(dueMs));
  }

  /** Whoever asked decides how long it waits. */
  #reach(): void {
    const { there, back, registry } = this.#parts;
    const { url, method, headers } = this.#request;
    if (there.isCut || back.isCut || registry.state === 'silent') {
      this.#after(4 * LOOK_MS, () => this.#reach());
      return;
    }
    const answer = registry.answer(url.hostname, url.path, url.query, headers);
    this.#answer = answer;
    this.#after(back.latencyMs, () => {
      this.#events.head(answer.status, answer.headers, {
        pause: () => void (this.#isPaused = true),
        resume: () => this.#resume(),
      });
      if (method === 'HEAD') this.#events.ended();
      else this.#next();
    });
  }

  #resume(): void {
    this.#isPaused = false;
    const goOn = this.#goOn;
    this.#goOn = null;
    goOn?.();
  }

  #next(): void {
    const { back, registry, network } = this.#parts;
    const { body, status } = this.#answer!;
    if (this.#isAborted) return;
    if (this.#sentBytes === body.length) return this.#events.ended();
    if (this.#isPaused) return void (this.#goOn = () => this.#next());
    if (back.isCut) return this.#after(4 * LOOK_MS, () => this.#next());
    const piece = body.subarray(this.#sentBytes, this.#sentBytes + PIECE_BYTES);
    this.#after(piece.length / back.bytesPerMs, () => {
      if (network.random.next() < registry.cutChance)
        return this.#fail('ORIGIN_BROKEN', 'the connection was closed');
      this.#sentBytes += piece.length;
      const { hostname, path } = this.#request.url;
      if (status < 300 && hostname !== STRANGER) registry.sent(path, piece.length);
      this.#events.data(piece);
      this.#next();
    });
  }

  #fail(code: 'ORIGIN_BROKEN' | 'ORIGIN_UNREACHABLE', why: string): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#events.failed(new ShoalError(code, `${this.#request.url.host}: ${why}`), false);
  }

  #after(ms: number, then: () => void): void {
    this.#parts.clock.after(ms, () => {
      if (!this.#isAborted) then();
    });
  }
}
