import type { Status } from '../telemetry/status.ts';
import { placeOf, readExporter, type NodeChoice } from './exporter-client.ts';
import type { Output } from './process-output.ts';
import { renderStatus } from './status-table.ts';

interface StatusOptions extends NodeChoice {
  json: boolean;
}

/**
 * `shoal status`: one node at a glance, as a table or as the JSON of GET /status. Returns the exit
 * code: 0, or 1 when the node is not ready. Throws USAGE for a bad URL, PEER_UNREACHABLE when
 * nobody answers there.
 */
export async function runStatus(options: StatusOptions, output: Output): Promise<number> {
  const status = await readExporter(await placeOf(options), '/status', looksLikeStatus);
  output.out(options.json ? `${JSON.stringify(status)}\n` : renderStatus(status));
  return status.ready ? 0 : 1;
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
