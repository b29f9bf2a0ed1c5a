import {
  isSpanContextValid,
  ROOT_CONTEXT,
  SpanKind as Kind,
  SpanStatusCode,
  trace,
  type Context,
  type Span as OtelSpan,
  type SpanContext,
  type Tracer as OtelTracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from '@opentelemetry/sdk-trace';
import { settleWithin } from './line-output.ts';
import { systemClock } from '../clock.ts';
import { TRACE_CLOSE_TIMEOUT_MS } from './limits.ts';
import type { Span, SpanAttributes, SpanKind } from '../span.ts';
import type { TracedNode, Tracer } from './tracing.ts';

type Environment = Record<string, string | undefined>;

const KINDS: Record<SpanKind, Kind> = {
  server: Kind.SERVER,
  client: Kind.CLIENT,
  internal: Kind.INTERNAL,
};

/**
 * Spans go to the collector named by the OTEL_* variables, by OTLP over HTTP, in batches. When the
 * collector does not answer, spans are dropped; requests do not wait for it.
 */
export function openTelemetry(env: Environment, { node, version, mode }: TracedNode): Tracer {
  const ofNode = resourceFromAttributes({
    'service.name': 'shoal',
    'service.version': version,
    'service.instance.id': node,
    'shoal.mode': mode,
  });
  const resource = defaultResource()
    .merge(ofNode)
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new TracerProvider({
    resource,
    sampler: samplerOf(env),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter(),
        ...numbers(env, {
          scheduledDelayMillis: 'OTEL_BSP_SCHEDULE_DELAY',
          exportTimeoutMillis: 'OTEL_BSP_EXPORT_TIMEOUT',
          maxQueueSize: 'OTEL_BSP_MAX_QUEUE_SIZE',
          maxExportBatchSize: 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
        }),
      }),
    ],
  });
  const tracer = provider.getTracer('shoal', version) as OtelTracer;
  return {
    begin: (name, kind, traceparent, attributes) =>
      new TracedStep(tracer, contextOf(traceparent), name, kind, attributes),
    close: () =>
      settleWithin(
        systemClock,
        TRACE_CLOSE_TIMEOUT_MS,
        provider.shutdown().catch(() => undefined),
      ),
  };
}

class TracedStep implements Span {
  readonly #tracer: OtelTracer;
  readonly #span: OtelSpan;
  readonly #within: Context;

  constructor(
    tracer: OtelTracer,
    parent: Context,
    name: string,
    kind: SpanKind,
    attributes: SpanAttributes,
  ) {
    this.#tracer = tracer;
    this.#span = tracer.startSpan(name, { kind: KINDS[kind], attributes }, parent);
    this.#within = trace.setSpan(parent, this.#span);
  }

  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }

  child(name: string, kind: SpanKind = 'internal', attributes: SpanAttributes = {}): Span {
    return new TracedStep(this.#tracer, this.#within, name, kind, attributes);
  }

  rename(name: string): void {
    this.#span.updateName(name);
  }

  end(attributes: SpanAttributes = {}, error?: string): void {
    if (!this.#span.isRecording()) return;
    this.#span.setAttributes(attributes);
    if (error !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    this.#span.end();
  }
}

/** Of version 00 only the form that W3C Trace Context defines; of later ones the same fields. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

function contextOf(traceparent = ''): Context {
  const [, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(traceparent) ?? [];
  const caller: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
  };
  return isSpanContextValid(caller) ? trace.setSpanContext(ROOT_CONTEXT, caller) : ROOT_CONTEXT;
}

function numbers<Option extends string>(
  env: Environment,
  names: Record<Option, string>,
): Partial<Record<Option, number>> {
  const given: Partial<Record<Option, number>> = {};
  for (const option of Object.keys(names) as Option[]) {
    const value = Number(env[names[option]]);
    if (value > 0) given[option] = value;
  }
  return given;
}

/** OTEL_TRACES_SAMPLER; by default the caller decides, and traces that begin here are sampled. */
function samplerOf(env: Environment): Sampler {
  const ratio = Number(env['OTEL_TRACES_SAMPLER_ARG'] ?? 1);
  const root = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(ratio),
  };
  const name = env['OTEL_TRACES_SAMPLER'] ?? 'parentbased_always_on';
  const isParentBased = name.startsWith('parentbased_');
  const make = root[name.replace('parentbased_', '') as keyof typeof root] ?? root.always_on;
  return isParentBased ? new ParentBasedSampler({ root: make() }) : make();
}
