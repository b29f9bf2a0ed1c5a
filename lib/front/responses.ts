import type { HttpResponse } from 'uWebSockets.js';
import { ociErrorBody, ShoalError } from '../errors.ts';
import { REQUEST_ID_HEADER } from '../telemetry/request-id.ts';
import type { ControlMessage } from '../workers/messages.ts';

/** Reason phrases of the statuses used here (RFC 9110 15). Others are sent as a number alone. */
const REASONS: Record<number, string> = {
  200: 'OK',
  204: 'No Content',
  206: 'Partial Content',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  416: 'Range Not Satisfiable',
  424: 'Failed Dependency',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

const JSON_TYPE = 'application/json';

export function statusLine(status: number): string {
  return `${status} ${REASONS[status] ?? 'Status'}`;
}

/** A value with several lines becomes one header per line: an upstream's challenges. */
export function writeHeaders(res: HttpResponse, headers: Record<string, string>): void {
  for (const [name, value] of Object.entries(headers))
    for (const line of value.split('\n')) res.writeHeader(name, line);
}

/**
 * Sends a whole response in one write. `bodyless` (HEAD) reports the length without a body. Must
 * run corked.
 */
export function answer(
  res: HttpResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Uint8Array,
  bodyless = false,
): void {
  res.writeStatus(statusLine(status));
  writeHeaders(res, headers);
  if (bodyless) endBodyless(res, typeof body === 'string' ? Buffer.byteLength(body) : body.length);
  else res.end(body);
}

/** Sends control's reply to a question of a front. Must run corked. */
export function passOn(
  res: HttpResponse,
  message: ControlMessage,
  { bodyless = false, requestId = '' },
): void {
  if (message.kind === 'answer')
    answer(res, message.status, message.headers, message.body, bodyless);
  else {
    const error =
      message.kind === 'refused'
        ? message.error
        : ({ code: 'INTERNAL', message: message.kind } as const);
    refuse(res, ShoalError.fromWire(error), bodyless, requestId);
  }
}

/** Ends a response to HEAD, with the length of the body if it is known. Must run corked. */
export function endBodyless(res: HttpResponse, lengthBytes: number | null): void {
  // endWithoutBody(length) would wait for a body that never comes, and close the connection with
  // its next request.
  if (lengthBytes !== null) res.writeHeader('Content-Length', String(lengthBytes));
  res.endWithoutBody();
}

/** Sends an error in the OCI format with its headers. `requestId` identifies it in the log. */
export function refuse(
  res: HttpResponse,
  error: ShoalError,
  bodyless = false,
  requestId = '',
): void {
  // The upstream's content type belongs to its own body. Without one the body is this node's.
  const { 'content-type': upstreamType = JSON_TYPE, ...passedOn } = error.headers;
  const headers: Record<string, string> = {
    'Content-Type': error.body === undefined ? JSON_TYPE : upstreamType,
    ...passedOn,
  };
  if (requestId !== '') headers[REQUEST_ID_HEADER] = requestId;
  if (error.code === 'METHOD_UNSUPPORTED') headers['Allow'] = 'GET, HEAD';
  if (
    (error.status === 503 || error.status === 429) &&
    headers['Retry-After'] === undefined &&
    headers['retry-after'] === undefined
  )
    headers['Retry-After'] = '1';
  answer(res, error.status, headers, ociErrorBody(error), bodyless);
}
