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

/** A field line (RFC 9112 5): a token, a colon without blanks before it, visible characters. */
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;
const BAD_VALUE = /[\0\r\n]/;

/**
 * Parses a response head (RFC 9112 4-6) that starts `bytes`: 'more' while its end has not come,
 * 'bad' when it cannot become valid. Strict, so that no two programs read one head differently:
 * lines
 * end with CRLF, names are tokens, Content-Length occurs once. A body without Content-Length is
 * refused: a truncated shard must not look like a whole one.
 */
export function parseHead(bytes: Buffer): ResponseHead | 'more' | 'bad' {
  const end = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  if (end < 0) return 'more';
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})(?: [^\0\r\n]*)?$/.exec(lines[0] ?? '')?.[1];
  if (status === undefined) return 'bad';
  const headers: Record<string, string> = {};
  for (const line of lines.slice(1)) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined || BAD_VALUE.test(line)) return 'bad';
    const key = name.toLowerCase();
    if (key === 'content-length' && headers[key] !== undefined) return 'bad';
    headers[key] = value;
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
