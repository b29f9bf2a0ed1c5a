import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedSpan {
  /** `service.instance.id` of the sender. */
  node: string;
  name: string;
  traceId: string;
  spanId: string;
  /** '' for the first span of a trace. */
  parentId: string;
  /** Numbers of the protocol: 1 internal, 2 server, 3 client. */
  kind: number;
  ms: number;
  attributes: Record<string, string | number | boolean>;
  error: string | null;
}

/** A collector: takes OTLP over HTTP in protobuf, and keeps the spans. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<OtlpReceiver> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const isTraces =
          request.url === '/v1/traces' &&
          request.headers['content-type'] === 'application/x-protobuf';
        if (isTraces) receiver.spans.push(...spansOf(Buffer.concat(chunks)));
        response.writeHead(isTraces ? 200 : 400).end();
      });
    });
    const receiver = new OtlpReceiver(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get env(): Record<string, string> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_BSP_SCHEDULE_DELAY: '100',
    };
  }

  named(name: string): ReceivedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

type Field = bigint | Buffer;

/** The fields of a protobuf message by their number. */
function fieldsOf(message: Buffer): Map<number, Field[]> {
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const bytes = (length: number): Buffer => message.subarray(at, (at += length));
  while (at < message.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    const value =
      wire === 0
        ? varint()
        : wire === 2
          ? bytes(Number(varint()))
          : wire === 1
            ? bytes(8)
            : bytes(4);
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value]);
  }
  return fields;
}

const messages = (of: Map<number, Field[]>, field: number): Map<number, Field[]>[] =>
  (of.get(field) ?? []).map((value) => fieldsOf(value as Buffer));
const text = (of: Map<number, Field[]>, field: number): string =>
  ((of.get(field)?.[0] as Buffer | undefined) ?? Buffer.alloc(0)).toString();
const hex = (of: Map<number, Field[]>, field: number): string =>
  ((of.get(field)?.[0] as Buffer | undefined) ?? Buffer.alloc(0)).toString('hex');
const nanos = (of: Map<number, Field[]>, field: number): bigint =>
  (of.get(field)![0] as Buffer).readBigUInt64LE();

function attributesOf(of: Map<number, Field[]>, field: number): ReceivedSpan['attributes'] {
  return Object.fromEntries(
    messages(of, field).map((pair) => {
      const [value] = messages(pair, 2);
      const [string, bool, int, double] = [1, 2, 3, 4].map((at) => value!.get(at)?.[0]);
      if (string !== undefined) return [text(pair, 1), (string as Buffer).toString()];
      if (bool !== undefined) return [text(pair, 1), bool === 1n];
      if (double !== undefined) return [text(pair, 1), (double as Buffer).readDoubleLE()];
      return [text(pair, 1), Number((int as bigint | undefined) ?? 0n)];
    }),
  );
}

/** ExportTraceServiceRequest of opentelemetry-proto, version 1. */
function spansOf(body: Buffer): ReceivedSpan[] {
  return messages(fieldsOf(body), 1).flatMap((ofResource) => {
    const resource = attributesOf(messages(ofResource, 1)[0]!, 1);
    return messages(ofResource, 2)
      .flatMap((ofScope) => messages(ofScope, 2))
      .map((span) => {
        const status = messages(span, 15)[0];
        return {
          node: String(resource['service.instance.id']),
          name: text(span, 5),
          traceId: hex(span, 1),
          spanId: hex(span, 2),
          parentId: hex(span, 4),
          kind: Number(span.get(6)?.[0] ?? 0n),
          ms: Number(nanos(span, 8) - nanos(span, 7)) / 1e6,
          attributes: attributesOf(span, 9),
          error: status?.get(3)?.[0] === 2n ? text(status, 2) : null,
        };
      });
  });
}
