import type { Span, SpanAttributes, SpanKind } from '../../lib/span.ts';

/** A span that keeps what it is told. */
export class FakeSpan implements Span {
  readonly name: string;
  readonly kind: SpanKind;
  readonly children: FakeSpan[] = [];
  attributes: SpanAttributes;
  ended: { error: string | undefined } | null = null;

  constructor(name: string, kind: SpanKind = 'internal', attributes: SpanAttributes = {}) {
    this.name = name;
    this.kind = kind;
    this.attributes = attributes;
  }

  get traceparent(): string {
    return `traceparent of ${this.name}`;
  }

  child(name: string, kind?: SpanKind, attributes?: SpanAttributes): FakeSpan {
    const child = new FakeSpan(name, kind, attributes);
    this.children.push(child);
    return child;
  }

  rename(): void {
    throw new Error('not expected');
  }

  end(attributes: SpanAttributes = {}, error?: string): void {
    Object.assign(this.attributes, attributes);
    this.ended = { error };
  }
}
