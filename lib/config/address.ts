import { isIP, isIPv6 } from 'node:net';

/**
 * A host name or address and a port: `10.0.0.2:65002`, `node-7.example:65002` or
 * `[fd00::2]:65002`.
 */
interface HostPort {
  host: string;
  port: number;
}

/** One label of a name (RFC 1035), with the `_` that service names have. */
const DNS_LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const DNS_NAME = new RegExp(`^(?=.{1,253}$)${DNS_LABEL}(?:\\.${DNS_LABEL})*\\.?$`, 'i');
const LOOKS_LIKE_IPV4 = /^[\d.]+$/;

/** Whether `text` is a DNS name or a bare IP address (IPv6 without brackets). */
export function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  return DNS_NAME.test(text) && !LOOKS_LIKE_IPV4.test(text);
}

/** A port as decimal digits, 1..65535, without leading zeros; else null. */
export function parsePort(text: string): number | null {
  if (!/^[1-9]\d{0,4}$/.test(text)) return null;
  const port = Number(text);
  return port <= 65_535 ? port : null;
}

/** `host:port`, with the brackets an IPv6 address needs (RFC 3986, 3.2.2). */
export function formatHostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Reads `host:port` or `[v6]:port`; null when it is neither. */
export function parseHostPort(text: string): HostPort | null {
  const split = splitHostPort(text);
  return split === null || split.port === null ? null : { host: split.host, port: split.port };
}

/** Reads `host`, `host:port`, `[v6]` or `[v6]:port`; the host comes without brackets. */
export function splitHostPort(text: string): { host: string; port: number | null } | null {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(text);
  if (parts === null) return null;
  const [, v6, plain, portText] = parts;
  const port = portText === undefined ? null : parsePort(portText);
  if (portText !== undefined && port === null) return null;
  if (v6 !== undefined) return isIPv6(v6) ? { host: v6, port } : null;
  return plain !== undefined && isHost(plain) ? { host: plain, port } : null;
}

/**
 * The origin (`https://host[:port]`) of a registry's URL; null for another scheme, or with a path,
 * a query or credentials.
 */
export function parseUpstream(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const bare = url.pathname === '/' && !/[?#@]/.test(text);
  return (url.protocol === 'http:' || url.protocol === 'https:') && bare ? url.origin : null;
}

/**
 * A mirror of a registry as `https://host[:port][/v2/NAME]`, without a slash at its end; null if it
 * is none. Repositories of the registry are under NAME there, if it is given.
 */
export function parseMirror(text: string): string | null {
  const [, upstream = '', path = ''] = /^(https?:\/\/[^/]+)(\/[^?#]*)?$/i.exec(text) ?? [];
  const origin = parseUpstream(upstream);
  const bare = path.replace(/\/$/, '');
  if (origin === null || !/^(?:\/v2(?:\/[a-z0-9][a-z0-9._-]*)+)?$/.test(bare)) return null;
  return origin + bare;
}
