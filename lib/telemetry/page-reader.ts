import { timingSafeEqual } from 'node:crypto';

/** Who asks for a page. */
interface PageReader {
  /** On this machine. */
  isLocal: boolean;
  /** The `Authorization` header; '' without one. */
  authorization: string;
}

/**
 * Whether a reader may hear what is pulled: digests, names of images, error texts. True on this
 * machine, and for whoever holds the read-only token: as a bearer token, or as the password of any
 * user, which browsers ask for. `token` null: there is none.
 */
export function mayReadAll({ isLocal, authorization }: PageReader, token: string | null): boolean {
  return isLocal || (token !== null && isSame(tokenOf(authorization), token));
}

function tokenOf(authorization: string): string {
  const [, scheme = '', value = ''] = /^(\w+) +(\S+)$/.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return '';
  const [, password = ''] = /^[^:]*:(.*)$/.exec(Buffer.from(value, 'base64').toString()) ?? [];
  return password;
}

function isSame(given: string, token: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}
