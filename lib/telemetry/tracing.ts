import type { Span, SpanAttributes, SpanKind } from '../span.ts';

/** Makes spans and exports them. Nodes have one only where tracing is switched on. */
export interface Tracer {
  /** `traceparent` of the caller; without one that is valid a new trace begins. */
  begin(
    name: string,
    kind: SpanKind,
    traceparent: string | undefined,
    attributes: SpanAttributes,
  ): Span;
  /** Exports what is left, within a bounded time. */
  close(): Promise<void>;
}

/** What an exporter is told of the node. */
export interface TracedNode {
  node: string;
  version: string;
  mode: string;
}

type Environment = Record<string, string | undefined>;

/**
 * Whether the standard environment variables switch tracing on: an OTLP endpoint is named, or the
 * exporter `otlp`.
 */
export function isTracingOn(env: Environment): boolean {
  const exporter = env['OTEL_TRACES_EXPORTER'] ?? '';
  const endpoint =
    env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? env['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? '';
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true' || exporter === 'none') return false;
  return exporter === 'otlp' || (exporter === '' && endpoint !== '');
}

/** The tracer of a node; null if tracing is off. OpenTelemetry is loaded only if it is on. */
export async function openTracer(env: Environment, node: TracedNode): Promise<Tracer | null> {
  if (!isTracingOn(env)) return null;
  const { openTelemetry } = await import('./open-telemetry.ts');
  return openTelemetry(env, node);
}
