import { ShoalError, type WireError } from '../../errors.ts';
import { threadLooks } from '../../io/looks.ts';
import type { HttpConnection } from '../../io/http-connection.ts';
import { PEER_SILENCE_MS } from '../../limits.ts';
import { peerError } from './connection.ts';
import { checksumWord, refusalOf, requestHead, type TransferTools } from './read.ts';
import { Silence } from '../silence.ts';

/** Asks the shard's owner for its checksum and size, and reports how the transfer went. */
export interface StatJob {
  kind: 'stat';
  host: string;
  port: number;
  path: string;
  headers: Record<string, string>;
}

export type StatResult =
  | { kind: 'stat'; totalBytes: number; lengthBytes: number; word: string }
  | { kind: 'busy'; retryMs: number }
  | { kind: 'miss' }
  | { kind: 'refused'; error: WireError }
  | { kind: 'failed'; error: WireError };

/** Carries out a job; resolves always. */
export async function askStat(job: StatJob, tools: TransferTools): Promise<StatResult> {
  const first = tools.peers.take(job.host, job.port);
  const result = await attempt(job, tools, first.connection);
  const stale = first.reused && result.kind === 'failed' && result.error.code === 'PEER_BROKEN';
  return stale ? attempt(job, tools, tools.peers.take(job.host, job.port).connection) : result;
}

async function attempt(
  job: StatJob,
  tools: TransferTools,
  connection: HttpConnection,
): Promise<StatResult> {
  const silence = new Silence(tools.nowMs);
  const stopLooking = threadLooks.add(() => {
    if (silence.isTooLong)
      connection.destroy(
        new ShoalError(
          'PEER_TIMEOUT',
          `${job.host}:${job.port} did not answer within ${PEER_SILENCE_MS} ms`,
        ),
      );
  });
  try {
    const { head, body } = await connection.exchange(requestHead(job), {
      head: () => 'collect',
      room: () => new Uint8Array(0),
      placed: () => undefined,
    });
    tools.peers.give(job.host, job.port, connection);
    const said = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    if (head.status === 404) return { kind: 'miss' };
    if (head.status === 503)
      return {
        kind: 'busy',
        retryMs: Math.min(5_000, Math.max(1, Number(said['retryMs']) || 100)),
      };
    if (head.status === 424) return { kind: 'refused', error: refusalOf(said) };
    const word = checksumWord(said['checksum']);
    const { totalBytes, lengthBytes } = said;
    if (
      head.status !== 200 ||
      word === null ||
      !Number.isSafeInteger(totalBytes) ||
      !Number.isSafeInteger(lengthBytes)
    )
      throw new ShoalError('PEER_BROKEN', `status ${head.status}, or no checksum`);
    return {
      kind: 'stat',
      totalBytes: totalBytes as number,
      lengthBytes: lengthBytes as number,
      word,
    };
  } catch (thrown) {
    return { kind: 'failed', error: peerError(thrown, job).toWire() };
  } finally {
    stopLooking();
  }
}
