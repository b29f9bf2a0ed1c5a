import { errorFixes } from './error-fixes.ts';

/**
 * Every error Shoal raises on purpose, by a stable code. `status` is the HTTP status a client gets,
 * `oci` the code in the OCI error JSON (distribution-spec 1.1, "Error Codes").
 */
export const errorTable = {
  CONFIG_INVALID: { status: 500, oci: 'UNKNOWN' },
  USAGE: { status: 500, oci: 'UNKNOWN' },
  PORT_IN_USE: { status: 500, oci: 'UNKNOWN' },
  CACHE_DIR_UNUSABLE: { status: 500, oci: 'UNKNOWN' },
  LIMIT_TOO_LOW: { status: 500, oci: 'UNKNOWN' },
  FILE_UNUSABLE: { status: 500, oci: 'UNKNOWN' },
  HEAD_TOO_LARGE: { status: 431, oci: 'UNSUPPORTED' },
  BAD_REQUEST: { status: 400, oci: 'UNSUPPORTED' },
  NAME_INVALID: { status: 400, oci: 'NAME_INVALID' },
  DIGEST_INVALID: { status: 400, oci: 'DIGEST_INVALID' },
  PATH_UNKNOWN: { status: 404, oci: 'UNSUPPORTED' },
  UPSTREAM_UNKNOWN: { status: 404, oci: 'NAME_UNKNOWN' },
  SCHEMA1_UNSUPPORTED: { status: 406, oci: 'UNSUPPORTED' },
  CREDENTIAL_WANTED: { status: 401, oci: 'UNAUTHORIZED' },
  METHOD_UNSUPPORTED: { status: 405, oci: 'UNSUPPORTED' },
  HOST_NOT_ALLOWED: { status: 403, oci: 'DENIED' },
  RANGE_NOT_SATISFIABLE: { status: 416, oci: 'SIZE_INVALID' },
  ORIGIN_REFUSED: { status: 502, oci: 'UNKNOWN' },
  ORIGIN_UNREACHABLE: { status: 502, oci: 'UNKNOWN' },
  ORIGIN_TIMEOUT: { status: 504, oci: 'UNKNOWN' },
  ORIGIN_BROKEN: { status: 502, oci: 'UNKNOWN' },
  ORIGIN_BUSY: { status: 503, oci: 'TOOMANYREQUESTS' },
  DIGEST_MISMATCH: { status: 502, oci: 'DIGEST_INVALID' },
  PEER_UNREACHABLE: { status: 502, oci: 'UNKNOWN' },
  PEER_TIMEOUT: { status: 504, oci: 'UNKNOWN' },
  PEER_BROKEN: { status: 502, oci: 'UNKNOWN' },
  PEER_UNAUTHORIZED: { status: 401, oci: 'UNAUTHORIZED' },
  PEER_VERSION: { status: 502, oci: 'UNKNOWN' },
  PEER_ADDRESS: { status: 502, oci: 'UNKNOWN' },
  CHECKSUM_MISMATCH: { status: 502, oci: 'UNKNOWN' },
  OVERLOADED: { status: 503, oci: 'TOOMANYREQUESTS' },
  DRAINING: { status: 503, oci: 'UNKNOWN' },
  CANCELLED: { status: 499, oci: 'UNKNOWN' },
  DISK_FAILED: { status: 500, oci: 'UNKNOWN' },
  THREAD_LOST: { status: 503, oci: 'TOOMANYREQUESTS' },
  INTERNAL: { status: 500, oci: 'UNKNOWN' },
} as const;

export type ErrorCode = keyof typeof errorTable;

/** What crosses a thread in place of an Error, which would lose its name and code. */
export interface WireError {
  code: ErrorCode;
  message: string;
  /** The operating system's code, when a disk (`ENOSPC`) or a look-up (`ETIMEOUT`) failed. */
  system?: string;
  /** The upstream's own status, when it is to be passed on (401, 403, 404, ...). */
  status?: number;
  /** Headers to pass on with it: `www-authenticate`, `retry-after`. */
  headers?: Record<string, string>;
  /** The upstream's own error body, when it is to be passed on. */
  body?: string;
}

/** No name server answered: the code of getaddrinfo, and that of c-ares. */
const SILENT_DNS = new Set(['EAI_AGAIN', 'ETIMEOUT']);

/** Whether an upstream could not be asked because no name server answered. */
export function isSilentDns({ system }: Pick<WireError, 'system'>): boolean {
  return system !== undefined && SILENT_DNS.has(system);
}

/** An operating error with a stable code; programmer errors stay plain `Error`s. */
export class ShoalError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
  /** See WireError. */
  readonly system: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    more: {
      status?: number;
      headers?: Record<string, string>;
      body?: string;
      system?: string;
      cause?: unknown;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'ShoalError';
    this.code = code;
    this.status = more.status ?? errorTable[code].status;
    this.headers = more.headers ?? {};
    this.body = more.body;
    this.system = more.system;
  }

  toWire(): WireError {
    const wire: WireError = { code: this.code, message: this.message, status: this.status };
    if (Object.keys(this.headers).length > 0) wire.headers = this.headers;
    if (this.body !== undefined) wire.body = this.body;
    if (this.system !== undefined) wire.system = this.system;
    return wire;
  }

  static fromWire(wire: WireError): ShoalError {
    return new ShoalError(wire.code, wire.message, wire);
  }

  /** Any thrown value as a ShoalError; what has no code of ours becomes `fallback`. */
  static from(thrown: unknown, fallback: ErrorCode = 'INTERNAL'): ShoalError {
    if (thrown instanceof ShoalError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new ShoalError(fallback, message, { cause: thrown });
  }
}

/** The body of an error answer in the OCI format (distribution-spec 1.1, "Error Codes"). */
export function ociErrorBody(error: ShoalError): string {
  return (
    error.body ??
    JSON.stringify({
      errors: [
        {
          code: errorTable[error.code].oci,
          message: error.message,
          detail: { code: error.code, fix: errorFixes[error.code].fix },
        },
      ],
    })
  );
}
