import type { HttpResponse } from 'uWebSockets.js';
import type { Span } from '../registry/range.ts';
import { statusLine } from './responses.ts';

/**
 * The headers of every response for a blob, as written on the wire. `digest` is a checked
 * `<algorithm>:<hex>` and `namespace` comes from namespaceOf, so neither contains a line break.
 * OCI-Namespace: distribution-spec, "Registry Proxying".
 */
export function blobHeadOf(digest: string | undefined, namespace: string | null): string {
  const named =
    digest === undefined ? '' : `\r\nDocker-Content-Digest: ${digest}\r\nETag: "${digest}"`;
  const from = namespace === null ? '' : `\r\nOCI-Namespace: ${namespace}`;
  return `\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes${named}${from}`;
}

/**
 * Writes status and headers in one call. uWebSockets.js writes the status verbatim, and each call
 * into it costs as much as the lookup of a whole request. Whatever writes the body adds the length.
 */
export function writeBlobHead(res: HttpResponse, head: string, span: Span): void {
  res.writeStatus(
    span.contentRange === undefined
      ? statusLine(span.status) + head
      : `${statusLine(span.status)}${head}\r\nContent-Range: ${span.contentRange}`,
  );
}
