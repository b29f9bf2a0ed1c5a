import { hash } from 'node:crypto';
import { ShoalError, type WireError } from '../../errors.ts';
import { checksumOf } from '../../io/checksum.ts';
import { exchange, type ExchangeTools, type PeerRequest } from './exchange.ts';

/** A request to another node whose whole answer is a small body in memory. */
export interface PeerCallJob extends PeerRequest {
  kind: 'call';
  answerBytesMax: number;
  /** null: as long as the node makes progress. */
  deadlineMs: number | null;
  /** The digest (`sha256:...`) that the body of a 200 must have; null: any. */
  digest: string | null;
}

/** `checksum`: of a body that has the digest asked for, hex. */
export type PeerCallResult =
  | { kind: 'answer'; status: number; body: Uint8Array; checksum: string | null }
  | { kind: 'failed'; error: WireError };

/** Carries out a job; resolves always, within its deadline. */
export async function callPeer(job: PeerCallJob, tools: ExchangeTools): Promise<PeerCallResult> {
  let placed = new Uint8Array(0);
  try {
    const { head, body } = await exchange(
      job,
      {
        deadlineMs: job.deadlineMs,
        body: {
          head({ contentLength }) {
            if (contentLength > job.answerBytesMax)
              throw new ShoalError(
                'PEER_BROKEN',
                `${job.node} sent ${contentLength} bytes; at most ${job.answerBytesMax} ` +
                  'are allowed',
              );
            placed = new Uint8Array(contentLength);
          },
          room: (fromBytes, lengthBytes) => placed.subarray(fromBytes, lengthBytes),
          placed: () => undefined,
        },
      },
      tools,
    );
    if (head.status !== 200)
      return { kind: 'answer', status: head.status, body: new Uint8Array(body), checksum: null };
    const checksum = job.digest === null ? null : checksumOfBody(placed, job.digest);
    return { kind: 'answer', status: 200, body: placed, checksum };
  } catch (thrown) {
    return { kind: 'failed', error: ShoalError.from(thrown, 'PEER_BROKEN').toWire() };
  }
}

/** The checksum of bytes that have `digest`. Throws DIGEST_MISMATCH when they have another. */
function checksumOfBody(body: Uint8Array, digest: string): string {
  if (`sha256:${hash('sha256', body, 'hex')}` !== digest)
    throw new ShoalError('DIGEST_MISMATCH', `the body received for ${digest} has another digest`);
  return checksumOf(body).toString('hex');
}
