import { parseWireError, ShoalError, type WireError } from '../../errors.ts';
import type { Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import { threadLooks } from '../../io/looks.ts';
import type { HttpConnection, HttpResponse } from '../../io/http-connection.ts';
import type { ResponseHead } from '../../io/response-head.ts';
import { PEER_SILENCE_MS, SHARD_BYTES } from '../../limits.ts';
import { peerError, type PeerConnections } from './connection.ts';
import { Silence } from '../silence.ts';
import { checksumSlot } from '../slot-check.ts';

/**
 * Reads the rest of a shard, from byte `fromBytes` on, from another node into a slot. Nothing of it
 * is released: clients see it once the whole shard has been held against the owner's word.
 */
export interface PeerReadJob {
  kind: 'peer';
  slot: number;
  attempt: number;
  shard: number;
  fromBytes: number;
  /** The blob's size when it is known: a sender that says otherwise is not believed. */
  totalBytes: number | null;
  /**
   * The blob's digest (`sha256:...`): a blob of one shard is checked against it before any client
   * sees a byte.
   */
  digest: string | null;
  host: string;
  port: number;
  /** Path and query, and headers, signed by control. */
  path: string;
  headers: Record<string, string>;
}

export type PeerReadResult =
  /**
   * Every byte is in the slot. `word` is the sender's checksum, `checksum` that of what is in the
   * slot; both hex.
   */
  | { kind: 'data'; totalBytes: number; lengthBytes: number; word: string | null; checksum: string }
  | { kind: 'redirect'; parents: string[]; word: string | null; totalBytes: number | null }
  | { kind: 'busy'; retryMs: number }
  | { kind: 'miss' }
  /** The origin refused, by the word of the node asked. */
  | { kind: 'refused'; error: WireError }
  /** No answer, a broken or a silent one; `receivedBytes` of the shard are in the slot. */
  | { kind: 'failed'; error: WireError; receivedBytes: number };

/** What a transfer thread reads with. */
export interface TransferTools {
  arena: Arena;
  doorbells: Doorbells;
  peers: PeerConnections;
  nowMs: () => number;
}

/** Carries out a job; resolves always, and only when nothing will write to the slot any more. */
export async function readFromPeer(
  job: PeerReadJob,
  tools: TransferTools,
): Promise<PeerReadResult> {
  const first = tools.peers.take(job.host, job.port);
  const result = await attempt(job, tools, first.connection);
  // A kept connection may have been closed by the other side unnoticed: that says nothing about the
  // node.
  const stale =
    first.reused &&
    result.kind === 'failed' &&
    result.error.code === 'PEER_BROKEN' &&
    result.receivedBytes === job.fromBytes;
  return stale ? attempt(job, tools, tools.peers.take(job.host, job.port).connection) : result;
}

async function attempt(
  job: PeerReadJob,
  tools: TransferTools,
  connection: HttpConnection,
): Promise<PeerReadResult> {
  const { arena, doorbells } = tools;
  let receivedBytes = job.fromBytes;
  let lengthBytes = 0;
  let totalBytes = 0;
  const silence = new Silence(tools.nowMs);
  const stopLooking = threadLooks.add(() => {
    if (arena.cancelled(job.slot, job.attempt))
      connection.destroy(new ShoalError('CANCELLED', 'not wanted any more'));
    else if (silence.isTooLong)
      connection.destroy(
        new ShoalError(
          'PEER_TIMEOUT',
          `${job.host}:${job.port} sent nothing for ${PEER_SILENCE_MS} ms`,
        ),
      );
  });
  try {
    const response = await connection.exchange(requestHead(job), {
      head(head) {
        silence.heard();
        if (head.status !== 200) return 'collect';
        const span = shardSpan(head, job);
        if (span === null) {
          connection.destroy(
            new ShoalError('PEER_BROKEN', `${job.host}:${job.port} announced a wrong length`),
          );
          return 'collect';
        }
        ({ lengthBytes, totalBytes } = span);
        arena.setLength(job.slot, lengthBytes, totalBytes);
        return 'place';
      },
      room: (fromBytes, bodyBytes) =>
        arena.bytes(job.slot, job.fromBytes + fromBytes, job.fromBytes + bodyBytes),
      placed(bytes) {
        silence.heard();
        if (arena.cancelled(job.slot, job.attempt))
          throw new ShoalError('CANCELLED', 'not wanted any more');
        receivedBytes = job.fromBytes + bytes;
        arena.setReceived(job.slot, receivedBytes);
        doorbells.ringAll();
      },
    });
    tools.peers.give(job.host, job.port, connection);
    if (response.head.status !== 200) return verdictOf(response);
    const checksum = checksumSlot(job, lengthBytes, totalBytes, arena);
    return {
      kind: 'data',
      totalBytes,
      lengthBytes,
      word: checksumWord(response.head.headers['shoal-checksum']),
      checksum,
    };
  } catch (thrown) {
    return { kind: 'failed', error: peerError(thrown, job).toWire(), receivedBytes };
  } finally {
    stopLooking();
  }
}

/** The bytes of a job's request. */
export function requestHead(job: {
  host: string;
  port: number;
  path: string;
  headers: Record<string, string>;
}): string {
  let head = `GET ${job.path} HTTP/1.1\r\nHost: ${job.host}:${job.port}\r\n`;
  for (const [name, value] of Object.entries(job.headers)) head += `${name}: ${value}\r\n`;
  return `${head}\r\n`;
}

/** Shard length and blob size a head announces, or null when they cannot be. */
function shardSpan(
  head: ResponseHead,
  job: PeerReadJob,
): { lengthBytes: number; totalBytes: number } | null {
  const totalBytes = Number(head.headers['shoal-total'] ?? 'x');
  if (
    !Number.isSafeInteger(totalBytes) ||
    (job.totalBytes !== null && totalBytes !== job.totalBytes)
  )
    return null;
  const lengthBytes = Math.min(SHARD_BYTES, totalBytes - job.shard * SHARD_BYTES);
  return lengthBytes >= 0 && job.fromBytes + head.contentLength === lengthBytes
    ? { lengthBytes, totalBytes }
    : null;
}

/** A checksum as the wire carries it (64 hex digits), or null. */
export function checksumWord(header: unknown): string | null {
  return typeof header === 'string' && /^[0-9a-f]{64}$/.test(header) ? header : null;
}

/** The origin's refusal as another node tells it. Throws PEER_BROKEN when it is none. */
export function refusalOf(body: unknown): WireError {
  const error = parseWireError(body);
  if (error === null) throw new ShoalError('PEER_BROKEN', 'a refusal that is none');
  return error;
}

/**
 * What a node says that does not send the shard; a body that makes no sense counts as a failure.
 */
function verdictOf(response: HttpResponse): PeerReadResult {
  const body = JSON.parse(response.body.toString('utf8')) as Record<string, unknown>;
  switch (response.head.status) {
    case 307: {
      const parents = body['parents'];
      if (!Array.isArray(parents) || !parents.every((parent) => typeof parent === 'string'))
        throw new ShoalError('PEER_BROKEN', 'a redirect to nowhere');
      const { totalBytes: told } = body;
      const totalBytes =
        Number.isSafeInteger(told) && (told as number) >= 0 ? (told as number) : null;
      return { kind: 'redirect', parents, word: checksumWord(body['checksum']), totalBytes };
    }
    case 404:
      return { kind: 'miss' };
    case 503:
      return {
        kind: 'busy',
        retryMs: Math.min(5_000, Math.max(1, Number(body['retryMs']) || 100)),
      };
    case 424:
      return { kind: 'refused', error: refusalOf(body) };
    default:
      throw new ShoalError('PEER_BROKEN', `status ${response.head.status}`);
  }
}
