import type { Clock } from '../../clock.ts';
import { ShoalError, type WireError } from '../../errors.ts';
import { PULL_LINES_PER_SECOND_MAX, TROUBLE_LINES_PER_SECOND_MAX } from '../limits.ts';
import { Allowance } from '../../telemetry/allowance.ts';
import type { createLogger } from '../../telemetry/logger.ts';
import type { ControlMessage, FrontMessage } from '../../workers/messages.ts';
import { PullLog } from './pull-log.ts';
import { RequestSpans } from './request-spans.ts';
import type { Span } from '../../span.ts';
import type { Tracer } from '../../telemetry/tracing.ts';

/** A running request of one front, with the fields of its log lines. */
interface Trace {
  who: 'client' | 'node';
  startMs: number;
  fields: Record<string, unknown>;
}

/**
 * Outcomes that do not concern this node's health: answers of an upstream to a client, and what a
 * client causes itself.
 */
function isOrdinary(error: ShoalError): boolean {
  // A registry redirects to a host that this node may not dial; only its operator can change that
  // (docs/SPEC.md 2.6).
  if (error.code === 'HOST_NOT_ALLOWED') return false;
  // A client that still waits has not cancelled.
  return (
    error.code === 'DRAINING' ||
    (error.code !== 'CANCELLED' && error.status >= 400 && error.status < 500)
  );
}

/**
 * Log lines about pulls, by request id: each step at debug, errors at warn, which also enter the
 * list of recent errors. Lines at warn are limited per second; the next line counts those left out.
 */
export class Journal {
  readonly #log: ReturnType<typeof createLogger>;
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  readonly pulls: PullLog;
  /** null: tracing is off. */
  readonly tracer: Tracer | null;
  #leftOut = 0;

  constructor(log: ReturnType<typeof createLogger>, clock: Clock, tracer: Tracer | null = null) {
    this.tracer = tracer;
    this.#log = log;
    this.#clock = clock;
    this.#allowance = new Allowance(TROUBLE_LINES_PER_SECOND_MAX, clock);
    const pullLines = new Allowance(PULL_LINES_PER_SECOND_MAX, clock);
    this.pulls = new PullLog(clock, (fields, message) => {
      if (pullLines.take()) this.#log.info(fields, message);
    });
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  step(fields: () => Record<string, unknown>, message: string): void {
    if (this.#log.isLevelEnabled('debug')) this.#log.debug(fields(), message);
  }

  /** A warning to the operator that is not a failed request. Limited per second. */
  noted(fields: Record<string, unknown>, message: string): void {
    if (this.#allowance.take()) this.#log.warn(fields, message);
    else this.#leftOut += 1;
  }

  /** A request or a transfer that failed. */
  failed(fields: Record<string, unknown>, wire: WireError, message: string): void {
    const err = ShoalError.fromWire(wire);
    if (isOrdinary(err)) {
      this.step(() => ({ ...fields, err }), message);
    } else if (this.#allowance.take()) {
      const leftOut = this.#leftOut === 0 ? {} : { leftOut: this.#leftOut };
      this.#leftOut = 0;
      this.#log.warn({ ...fields, ...leftOut, err }, message);
    } else this.#leftOut += 1;
  }

  /** A shard's transfer into this node has ended; `from` is a node, or null for the origin. */
  transferred(
    options: { requestId: string },
    shard: { key: string; index: number },
    from: string | null,
    startMs: number,
    result: { kind: string; lengthBytes?: number; error?: WireError },
  ): void {
    this.pulls.transferred(options.requestId, from, this.nowMs() - startMs, result);
    const fields = (): Record<string, unknown> => ({
      requestId: options.requestId,
      peer: from ?? undefined,
      blob: shard.key,
      shard: shard.index,
      ms: Math.round(this.nowMs() - startMs),
    });
    if (result.error !== undefined && result.error.code !== 'CANCELLED')
      this.failed(fields(), result.error, `a shard did not come from ${from ?? 'the origin'}`);
    else
      this.step(
        () => ({ ...fields(), outcome: result.kind, bytes: result.lengthBytes }),
        `asked ${from === null ? 'the origin' : 'a node'} for a shard`,
      );
  }
}

/** Gives each front a number. */
let fronts = 0;

/** The requests of one front, from the messages that pass between it and control. */
export class FrontJournal {
  readonly #journal: Journal;
  readonly #traces = new Map<number, Trace>();
  readonly #front = ++fronts;
  readonly #spans: RequestSpans | null;

  constructor(journal: Journal) {
    this.#journal = journal;
    this.#spans = journal.tracer === null ? null : new RequestSpans(journal.tracer);
  }

  /** The span of a running request, if it is traced. */
  spanOf(id: number): Span | undefined {
    return this.#spans?.of(id);
  }

  heard(message: FrontMessage): void {
    this.#spans?.heard(message);
    this.#journal.pulls.heard(this.#front, message);
    switch (message.kind) {
      case 'open':
        this.#begin(
          message.id,
          'client',
          {
            requestId: message.requestId,
            blob: message.blob.key,
            url: message.blob.url,
            shard: message.shard,
          },
          'a client reads a blob',
        );
        return;
      case 'relay':
        this.#begin(
          message.id,
          'client',
          { requestId: message.requestId, url: message.url },
          'a client asks the registry',
        );
        return;
      case 'ask':
        this.#begin(
          message.id,
          'node',
          {
            requestId: message.requestId,
            peer: message.query.node,
            blob: message.query.key,
            shard: message.query.shard,
            role: message.query.role,
          },
          'a node reads a shard',
        );
        return;
      case 'close':
        this.#end(message.id, { bytes: message.sentBytes, whole: message.whole });
    }
  }

  said(message: ControlMessage): void {
    this.#spans?.said(message);
    this.#journal.pulls.said(this.#front, message);
    if (message.kind === 'answer') this.#end(message.id, { status: message.status });
    if (message.kind !== 'refused') return;
    const trace = this.#traces.get(message.id);
    if (trace === undefined) return;
    this.#journal.failed(
      { ...trace.fields, ms: this.#ms(trace) },
      message.error,
      `a ${trace.who} was refused`,
    );
    // The front closes a refused read; a relay ends with its answer.
    if (trace.fields['blob'] === undefined) this.#traces.delete(message.id);
  }

  /** The front is gone. */
  close(): void {
    this.#spans?.close();
  }

  #begin(id: number, who: Trace['who'], fields: Trace['fields'], message: string): void {
    this.#traces.set(id, { who, startMs: this.#journal.nowMs(), fields });
    this.#journal.step(() => fields, message);
  }

  #end(id: number, outcome: Record<string, unknown>): void {
    const trace = this.#traces.get(id);
    if (trace === undefined) return;
    this.#traces.delete(id);
    this.#journal.step(
      () => ({ ...trace.fields, ...outcome, ms: this.#ms(trace) }),
      `a ${trace.who}'s request is over`,
    );
  }

  #ms(trace: Trace): number {
    return Math.round(this.#journal.nowMs() - trace.startMs);
  }
}
