/** Values of a span's attributes; undefined ones are left out. */
export type SpanAttributes = Record<string, string | number | boolean | undefined>;

/** `server`: a request that came in; `client`: a request to another node or the origin. */
export type SpanKind = 'server' | 'client' | 'internal';

/** One timed step of a request. */
export interface Span {
  /** Header `traceparent` (W3C Trace Context) of requests that belong to this step. */
  readonly traceparent: string;
  child(name: string, kind?: SpanKind, attributes?: SpanAttributes): Span;
  rename(name: string): void;
  /** `error`: why the step failed. Only the first call counts. */
  end(attributes?: SpanAttributes, error?: string): void;
}
