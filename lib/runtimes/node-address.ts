import { request, Agent } from 'undici';
import { errorTable } from '../errors.ts';
import { PROBE_TIMEOUT_MS } from './limits.ts';
import { PROXY_PORT } from './places.ts';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Whether an address is that of a Shoal on this machine as it runs by default: loopback, the proxy
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
 * `http(s)://host[:port]/path` without credentials, query, fragment, or a slash at its end; null
 * when it is something else.
 */
export function parseP2pAddress(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\/[^\s?#@"\\]+$/.test(text)) return null;
  return url.pathname === '/' ? null : text.replace(/\/+$/, '');
}

/** Who answers at an address: a Shoal node, something else, or nobody. */
export type Answerer = 'shoal' | 'other' | 'nobody';

/**
 * Asks who answers at `http(s)://host[:port]/...`. A Shoal gives itself away by its own code in the
 * OCI error it answers an unknown path with. Nothing secret is sent, so no certificate is checked.
 * Never throws.
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
