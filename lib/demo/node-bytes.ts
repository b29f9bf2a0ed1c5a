import { request } from 'undici';
import { STATUS_TIMEOUT_MS } from '../limits.ts';

/** Cumulative payload bytes a node had from each source, from its `/status`. Throws when it does not tell. */
export async function readNodeBytes(exporterUrl: string): Promise<{ origin: number; peer: number; cache: number }> {
  const answer = await request(new URL('/status', exporterUrl), { signal: AbortSignal.timeout(STATUS_TIMEOUT_MS), reset: true });
  const status = (await answer.body.json()) as { bytes?: Record<string, unknown> };
  const bytesFrom = (source: string): number => {
    const bytes = status.bytes?.[source];
    if (typeof bytes !== 'number') throw new Error(`${exporterUrl}/status answered ${answer.statusCode} without bytes.${source}`);
    return bytes;
  };
  return { origin: bytesFrom('origin'), peer: bytesFrom('peer'), cache: bytesFrom('cache') };
}
