import { request, Agent } from 'undici';
import { errorTable } from '../errors.ts';
import { PROBE_TIMEOUT_MS } from './limits.ts';
import { PROXY_PORT } from './places.ts';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Whether an address is the default one of a Shoal node on this machine: loopback and the proxy
 * port.
 */
export function isOwnProxy(address: string): boolean {
  const url = URL.parse(address);
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.port === String(PROXY_PORT) &&
    LOOPBACK.test(url.hostname)
  );
}

/**
 * `http(s)://host[:port]/path` without credentials, query, fragment or trailing slash; null
 * otherwise.
 */
export function parseP2pAddress(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\/[^\s?#@"\\]+$/.test(text)) return null;
  return url.pathname === '/' ? null : text.replace(/\/+$/, '');
}

/** What answers at an address: a Shoal node, another server, or nothing. */
export type Answerer = 'shoal' | 'other' | 'nobody';

/**
 * Asks what answers at `http(s)://host[:port]/...`. A Shoal node is recognised by its own code in
 * the OCI error for an unknown path. The request contains nothing secret, so the certificate is not
 * checked. Never throws.
 */
export async function probe(address: string, timeoutMs = PROBE_TIMEOUT_MS): Promise<Answerer> {
  const origin = URL.parse(address)?.origin ?? '';
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  try {
    const answer = await request(`${origin}/.shoal/who`, {
      dispatcher: agent,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body: unknown = await answer.body.json().catch(() => null);
    const [error] = (body as { errors?: { detail?: { code?: string } }[] } | null)?.errors ?? [];
    return Object.hasOwn(errorTable, error?.detail?.code ?? '') ? 'shoal' : 'other';
  } catch {
    return 'nobody';
  } finally {
    await agent.destroy();
  }
}
