import { request } from 'undici';
import { STATUS_TIMEOUT_MS } from '../limits.ts';

const ORIGIN_READS =
  /^shoal_operation_duration_seconds_count\{(?=[^}]*\boperation="download")[^}]*\} (\d+)/m;

export interface SourceBytes {
  origin: number;
  peer: number;
  cache: number;
}

/**
 * Payload bytes of a node since its start, from its `/status`: `had` from each source, also for
 * other nodes, and `sent` to its clients by the source where it first got them. Throws when it does
 * not tell.
 */
export async function readNodeBytes(
  exporterUrl: string,
): Promise<{ had: SourceBytes; sent: SourceBytes }> {
  const status = JSON.parse(await read(exporterUrl, '/status')) as Record<string, object>;
  const bytesOf = (table: string, source: string): number => {
    const bytes = (status[table] as Record<string, unknown> | undefined)?.[source];
    if (typeof bytes !== 'number')
      throw new Error(`${exporterUrl}/status has no ${table}.${source}`);
    return bytes;
  };
  const had = (source: string): number => bytesOf('bytes', source);
  const sent = (source: string): number => bytesOf('clientBytes', source);
  return {
    had: { origin: had('origin'), peer: had('peer'), cache: had('cache') },
    sent: {
      origin: sent('origin'),
      peer: sent('peer'),
      cache: sent('arena') + sent('runtime') + sent('disk'),
    },
  };
}

/**
 * Requests a node has sent to the origin for content, from its `/metrics`. Throws when it does not
 * tell.
 */
export async function readOriginRequests(exporterUrl: string): Promise<number> {
  const count = ORIGIN_READS.exec(await read(exporterUrl, '/metrics'))?.[1];
  if (count === undefined) throw new Error(`${exporterUrl}/metrics does not count downloads`);
  return Number(count);
}

export interface PeerWork {
  uploadBytes: number;
  messages: number;
  depthMax: number;
}

/** What a node has sent to and asked of other nodes. Throws when the exporter does not answer. */
export async function readPeerWork(exporterUrl: string): Promise<PeerWork> {
  return parsePeerWork(await read(exporterUrl, '/metrics'));
}

/** The same from the text of `/metrics`. Throws when a metric is missing. */
export function parsePeerWork(text: string): PeerWork {
  const sum = (name: string, label: string): number =>
    [...text.matchAll(new RegExp(`^${name}\\{[^}]*${label}[^}]*\\} (\\S+)`, 'gm'))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    );
  const depth = /^shoal_tree_depth_max(?:\{[^}]*\})? (\S+)/m.exec(text)?.[1];
  if (depth === undefined) throw new Error('/metrics has no shoal_tree_depth_max');
  return {
    uploadBytes: sum('shoal_served_bytes_total', 'to="peer"'),
    messages: sum('shoal_peer_messages_total', 'answer='),
    depthMax: Number(depth),
  };
}

async function read(exporterUrl: string, path: string): Promise<string> {
  const { statusCode, body } = await request(new URL(path, exporterUrl), {
    signal: AbortSignal.timeout(STATUS_TIMEOUT_MS),
    reset: true,
  });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`${exporterUrl}${path} answered ${statusCode}`);
  return text;
}
