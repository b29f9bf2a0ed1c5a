import { Agent, request } from 'undici';
import { systemClock } from '../clock.ts';
import { parseUpstream } from '../config/address.ts';
import { NODE_START_POLL_MS, PROBE_TIMEOUT_MS } from './limits.ts';

/**
 * How a node's proxy port behaves: it answers, it refuses connections (a pull goes on with the next
 * host at once), or it is silent (a pull would hang).
 */
export type Liveness = 'answers' | 'refuses' | 'silent';

/** Asks the node at `mirror` (`http(s)://host[:port]`) for a sign of life. Never throws. */
export async function livenessOf(
  mirror: string,
  timeoutMs: number = PROBE_TIMEOUT_MS,
): Promise<Liveness> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await ask(`${mirror}/shoal/upstream?ns=docker.io`, signal);
    return 'answers';
  } catch {
    return signal.aborted ? 'silent' : 'refuses';
  }
}

/**
 * The registry behind `host` by the config of the node at `mirror`; null when the node does not
 * answer or does not know. A node that refuses connections is asked again for `waitMs`. Never
 * throws.
 */
export async function upstreamByNode(
  mirror: string,
  host: string,
  waitMs = 0,
): Promise<string | null> {
  const untilMs = systemClock.nowMs() + waitMs;
  while (systemClock.nowMs() < untilMs && (await livenessOf(mirror)) === 'refuses')
    await new Promise<void>((wake) => systemClock.after(NODE_START_POLL_MS, wake));
  try {
    const url = `${mirror}/shoal/upstream?ns=${encodeURIComponent(host)}`;
    const body = await ask(url, AbortSignal.timeout(PROBE_TIMEOUT_MS));
    const { upstream } = JSON.parse(body) as { upstream?: unknown };
    return typeof upstream === 'string' ? parseUpstream(upstream) : null;
  } catch {
    return null;
  }
}

/** Nothing secret is sent, so the certificate is not checked. */
async function ask(url: string, signal: AbortSignal): Promise<string> {
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  try {
    const { body } = await request(url, { dispatcher, signal });
    return await body.text();
  } finally {
    await dispatcher.destroy();
  }
}
