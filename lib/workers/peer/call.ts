import { hash } from 'node:crypto';
import { ShoalError, type WireError } from '../../errors.ts';
import { checksumOf } from '../../io/checksum.ts';
import type { HttpConnection } from '../../io/http-connection.ts';
import { peerError } from './connection.ts';
import { requestHead, type TransferTools } from './read.ts';

/** A question to another node whose whole answer is a small body in memory. */
export interface PeerCallJob {
  kind: 'call';
  host: string;
  port: number;
  /** Path and query, and headers, signed by control. */
  path: string;
  headers: Record<string, string>;
  answerBytesMax: number;
  deadlineMs: number;
  /** The digest (`sha256:...`) that the body of a 200 must have; null: any will do. */
  digest: string | null;
}

/** `checksum`: of a body that had the digest asked for, hex. */
export type PeerCallResult =
  | { kind: 'answer'; status: number; body: Uint8Array; checksum: string | null }
  | { kind: 'failed'; error: WireError };

/** Carries out a job; resolves always, within its deadline. */
export async function callPeer(job: PeerCallJob, tools: TransferTools): Promise<PeerCallResult> {
  const dueMs = tools.nowMs() + job.deadlineMs;
  const first = tools.peers.take(job.host, job.port);
  const result = await attempt(job, tools, first.connection, dueMs);
  // A kept connection may have been closed by the other side unnoticed: that says nothing about the
  // node.
  const stale = first.reused && result.kind === 'failed' && result.error.code === 'PEER_BROKEN';
  return stale
    ? attempt(job, tools, tools.peers.take(job.host, job.port).connection, dueMs)
    : result;
}

async function attempt(
  job: PeerCallJob,
  tools: TransferTools,
  connection: HttpConnection,
  dueMs: number,
): Promise<PeerCallResult> {
  const timer = setTimeout(
    () =>
      connection.destroy(
        new ShoalError(
          'PEER_TIMEOUT',
          `${job.host}:${job.port} did not answer within ${job.deadlineMs} ms`,
        ),
      ),
    Math.max(0, dueMs - tools.nowMs()),
  );
  let body = new Uint8Array(0);
  try {
    const { head } = await connection.exchange(requestHead(job), {
      head({ contentLength }) {
        if (contentLength > job.answerBytesMax)
          throw new ShoalError(
            'PEER_BROKEN',
            `${job.host}:${job.port} sent ${contentLength} bytes; at most ${job.answerBytesMax} are allowed`,
          );
        body = new Uint8Array(contentLength);
        return 'place';
      },
      room: (fromBytes, lengthBytes) => body.subarray(fromBytes, lengthBytes),
      placed: () => undefined,
    });
    tools.peers.give(job.host, job.port, connection);
    return {
      kind: 'answer',
      status: head.status,
      body,
      checksum:
        head.status === 200 && job.digest !== null ? checksumOfBody(body, job.digest) : null,
    };
  } catch (thrown) {
    return { kind: 'failed', error: peerError(thrown, job).toWire() };
  } finally {
    clearTimeout(timer);
  }
}

/** The checksum of bytes that have `digest`. Throws DIGEST_MISMATCH when they have another. */
function checksumOfBody(body: Uint8Array, digest: string): string {
  if (`sha256:${hash('sha256', body, 'hex')}` !== digest)
    throw new ShoalError('DIGEST_MISMATCH', `what was received for ${digest} has another digest`);
  return checksumOf(body).toString('hex');
}
