import { ShoalError } from '../errors.ts';
import { STATUS_TIMEOUT_MS } from '../limits.ts';
import type { Status } from '../telemetry/status.ts';
import type { Output } from './program.ts';
import { renderStatus } from './status-table.ts';

export interface StatusOptions {
  /**
   * Address of the node's exporter, with or without `http://` (its proxy port when it has no
   * exporter port of its own).
   */
  url: string;
  json: boolean;
}

export const STATUS_URL_DEFAULT = 'http://127.0.0.1:65003';

/**
 * `shoal status`: one node at a glance, as a table or as the JSON of GET /status. Returns the exit
 * code: 0, or 1 when the node is not ready. Throws USAGE for a bad URL, PEER_UNREACHABLE when
 * nobody answers there.
 */
export async function runStatus(options: StatusOptions, output: Output): Promise<number> {
  const status = await fetchStatus(options.url);
  output.out(options.json ? `${JSON.stringify(status)}\n` : renderStatus(status));
  return status.ready ? 0 : 1;
}

async function fetchStatus(address: string): Promise<Status> {
  const at = /^[a-z]+:\/\//i.test(address) ? address : `http://${address}`;
  const url = URL.canParse('/status', at) ? new URL('/status', at) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '') {
    throw new ShoalError('USAGE', `--url: not an address like ${STATUS_URL_DEFAULT}`);
  }
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, {
      signal: AbortSignal.timeout(STATUS_TIMEOUT_MS),
      redirect: 'error',
    });
    body = await response.json();
  } catch (error) {
    const cause =
      (error as { cause?: { code?: string } }).cause?.code ??
      (error instanceof Error ? error.name : String(error));
    throw new ShoalError(
      'PEER_UNREACHABLE',
      `no node answers at ${url.origin}/status (${cause}); is ExporterConfig.enable set there?`,
    );
  }
  if (response.status !== 200 || !looksLikeStatus(body))
    throw new ShoalError(
      'PEER_BROKEN',
      `what answers at ${url.origin} is no Shoal node (status ${response.status})`,
    );
  return body;
}

function looksLikeStatus(body: unknown): body is Status {
  const { node, bytes, peers, ready } = (body ?? {}) as Partial<Status>;
  return (
    typeof node === 'string' &&
    typeof bytes?.origin === 'number' &&
    Array.isArray(peers) &&
    typeof ready === 'boolean'
  );
}
