import type { Span, SpanAttributes } from '../../span.ts';
import type { Tracer } from '../../telemetry/tracing.ts';
import type { ControlMessage, FrontMessage } from '../../workers/messages.ts';

/** The spans of one front's running requests, from the messages between it and control. */
export class RequestSpans {
  readonly #tracer: Tracer;
  readonly #running = new Map<number, Span>();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  of(id: number): Span | undefined {
    return this.#running.get(id);
  }

  heard(message: FrontMessage): void {
    switch (message.kind) {
      case 'open': {
        const { blob, shard, requestId } = message;
        this.#begin(message, 'blob', {
          'server.address': blob.upstreamHost,
          'shoal.blob': blob.key,
          'shoal.shard': shard,
          'shoal.request_id': requestId,
        });
        return;
      }
      case 'relay':
        this.#begin(message, message.what, {
          'server.address': message.upstreamHost,
          'http.request.method': message.method,
          'shoal.repository': message.repository ?? undefined,
          'shoal.reference': message.reference ?? undefined,
          'shoal.request_id': message.requestId,
        });
        return;
      case 'ask': {
        const { key, shard, node, role } = message.query;
        this.#begin(message, 'shard for a node', {
          'client.address': node,
          'shoal.role': role,
          'shoal.blob': key,
          'shoal.shard': shard,
          'shoal.request_id': message.requestId,
        });
        return;
      }
      case 'rpc': {
        // Questions between nodes that belong to no traced request have no span.
        if (message.traceparent === undefined) return;
        const [, name = ''] = /^\/rpc\/([a-z]+)/.exec(message.path) ?? [];
        this.#begin(message, `${name} for a node`, { 'shoal.request_id': message.requestId });
        return;
      }
      case 'preheat':
        this.#begin(message, 'preheat', {
          'server.address': message.blob.upstreamHost,
          'shoal.blob': message.blob.key,
          'shoal.node': message.node,
          'shoal.request_id': message.requestId,
        });
        return;
      case 'close': {
        const { sentBytes, whole, read } = message;
        const waits = Object.entries(read?.waitedMs ?? {}).map(([cause, ms]) => [
          `shoal.waited_ms.${cause}`,
          Math.round(ms),
        ]);
        this.#end(message.id, {
          'shoal.bytes': sentBytes,
          'shoal.whole': whole,
          ...(Object.fromEntries(waits) as SpanAttributes),
        });
      }
    }
  }

  said(message: ControlMessage): void {
    if (message.kind === 'answer')
      this.#end(message.id, { 'http.response.status_code': message.status });
    if (message.kind === 'peer') this.#end(message.id, { 'shoal.outcome': message.answer.kind });
    // A front closes a read that was refused, too.
    if (message.kind === 'refused') {
      const { code, message: reason } = message.error;
      this.#end(message.id, { 'error.type': code }, reason);
    }
  }

  close(): void {
    for (const id of [...this.#running.keys()]) this.#end(id, {}, 'the front thread ended');
  }

  #begin(
    { id, traceparent }: { id: number; traceparent?: string },
    name: string,
    attributes: SpanAttributes,
  ): void {
    const span = this.#tracer.begin(name, 'server', traceparent, attributes);
    this.#running.set(id, span);
  }

  #end(id: number, attributes: SpanAttributes, error?: string): void {
    this.#running.get(id)?.end(attributes, error);
    this.#running.delete(id);
  }
}
