import type { HttpResponse } from 'uWebSockets.js';
import type { Span } from '../registry/range.ts';
import { statusLine } from './responses.ts';

/**
 * The headers that every answer to one request for a blob has, as they stand on the wire. `digest`
 * is a checked `<algorithm>:<hex>` and `namespace` comes from namespaceOf, so neither holds a line
 * break. OCI-Namespace: distribution-spec, "Registry Proxying".
 */
export function blobHeadOf(digest: string | undefined, namespace: string | null): string {
  const named =
    digest === undefined ? '' : `\r\nDocker-Content-Digest: ${digest}\r\nETag: "${digest}"`;
  const from = namespace === null ? '' : `\r\nOCI-Namespace: ${namespace}`;
  return `\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes${named}${from}`;
}

/**
 * Writes status and headers in one call: uWebSockets.js puts the status on the wire as it is, and
 * each call into it costs as much as a look-up of the whole request. The length is added by
 * whatever writes the body.
 */
export function writeBlobHead(res: HttpResponse, head: string, span: Span): void {
  res.writeStatus(
    span.contentRange === undefined
      ? statusLine(span.status) + head
      : `${statusLine(span.status)}${head}\r\nContent-Range: ${span.contentRange}`,
  );
}
