import { isSilentDns, ShoalError, type ErrorCode } from '../errors.ts';
import { tlsProblem } from '../tls/problem.ts';

const TIMEOUTS = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);
/** What this node lacks; it says nothing about the host. */
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);
const NO_HTTP = 'what it answers is not HTTP; if this is a TLS port, write https://';
/** Causes in words. */
const REASONS: Readonly<Record<string, string>> = {
  HTTPParserError: NO_HTTP,
  HPE_INVALID_CONSTANT: NO_HTTP,
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  UND_ERR_SOCKET: 'the connection was closed',
  ENOTFOUND: 'its name does not resolve',
  EAI_AGAIN: 'no DNS server answers',
  ETIMEOUT: 'no DNS server answers',
  EHOSTUNREACH: 'no route to it',
  ENETUNREACH: 'no route to it',
};
/** What answers, but not in HTTP as it should be. */
const BROKEN = new Set([
  'HTTPParserError',
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);

/**
 * What went wrong with a connection to `host`, in words that hold no path, query or header: the
 * messages of undici and node name only addresses and system calls, and of those only the code is
 * kept.
 */
export function originError(thrown: unknown, host: string, headSeen: boolean): ShoalError {
  if (thrown instanceof ShoalError) return thrown;
  const listed = innerShoalError(thrown);
  if (listed !== null) return listed;
  const reason = codeOf(thrown);
  // It was never sent. That a client's header is none says nothing of the registry, least of all
  // that it is down.
  if (reason === 'UND_ERR_INVALID_ARG')
    return new ShoalError('BAD_REQUEST', 'a header of the request is not one that can be sent on', {
      cause: thrown,
    });
  if (EXHAUSTED.has(reason))
    return new ShoalError(
      'OVERLOADED',
      `${host} cannot be asked now: this node has no descriptor or buffer left (${reason})`,
      { cause: thrown },
    );
  const broken = headSeen || isNotHttp(thrown);
  const code: ErrorCode = TIMEOUTS.has(reason)
    ? 'ORIGIN_TIMEOUT'
    : broken
      ? 'ORIGIN_BROKEN'
      : 'ORIGIN_UNREACHABLE';
  const what =
    code === 'ORIGIN_TIMEOUT'
      ? 'timed out'
      : code === 'ORIGIN_BROKEN'
        ? 'broke off its answer'
        : 'could not be reached';
  const tls = tlsProblem(reason);
  const proxyStatus = /^Proxy response \((\d+)\)/.exec((thrown as Error).message)?.[1];
  if (proxyStatus !== undefined)
    return new ShoalError(
      'ORIGIN_UNREACHABLE',
      `${host} ${what}: the proxy answers ${proxyStatus}`,
      {
        cause: thrown,
      },
    );
  const words = tls === null ? REASONS[reason] : `${tls.cause}; ${tls.fix}`;
  const why = words === undefined ? '' : `: ${words}`;
  return new ShoalError(code, `${host} ${what}${why} (${reason})`, {
    cause: thrown,
    ...(isSilentDns({ system: reason }) ? { system: reason } : {}),
  });
}

/** Whether a parser refused an answer. */
export function isNotHttp(thrown: unknown): boolean {
  const reason = codeOf(thrown);
  return BROKEN.has(reason) || reason.startsWith('HPE_');
}

/** Whether a connection that stood has ended. */
export function isLostConnection(thrown: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(thrown));
}

/** What the checked lookup threw, within the AggregateError of several attempts. */
function innerShoalError(thrown: unknown): ShoalError | null {
  const errors =
    thrown instanceof AggregateError
      ? thrown.errors
      : [(thrown as { cause?: unknown } | null)?.cause];
  return errors.find((error) => error instanceof ShoalError) ?? null;
}

function codeOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null)?.code;
  if (typeof code === 'string') return code;
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return codeOf(thrown.errors[0]);
  return thrown instanceof Error ? thrown.name : 'unknown';
}
