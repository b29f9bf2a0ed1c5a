/** The head of an HTTP/1.1 response, as far as nodes need it of each other. */
export interface ResponseHead {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  contentLength: number;
  /** Whether the sender closes the connection after the body. */
  close: boolean;
  /** Length of the head itself, its empty line included. */
  headBytes: number;
}

/**
 * Parses a response head (RFC 9112 4-6) that starts `bytes`: 'more' while its end has not come,
 * 'bad' when it cannot become one. A body without Content-Length is refused: a truncated shard
 * must not look like a whole one.
 */
export function parseHead(bytes: Buffer): ResponseHead | 'more' | 'bad' {
  const end = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  if (end < 0) return 'more';
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(lines[0] ?? '')?.[1];
  if (status === undefined) return 'bad';
  const headers: Record<string, string> = {};
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    if (colon < 1) return 'bad';
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const length = headers['content-length'] ?? (status === '204' ? '0' : '');
  if (!/^\d{1,15}$/.test(length) || headers['transfer-encoding'] !== undefined) return 'bad';
  return {
    status: Number(status),
    headers,
    contentLength: Number(length),
    close: headers['connection']?.toLowerCase() === 'close',
    headBytes: end + 4,
  };
}
