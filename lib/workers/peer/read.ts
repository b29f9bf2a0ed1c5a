import { ShoalError } from '../../errors.ts';
import type { Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import type { ResponseHead } from '../../io/response-head.ts';
import { shardLength } from '../../shard.ts';
import type { Meter } from '../../telemetry/counters.ts';
import { parsePreadAnswer, parsePreadHeaders, type PreadResult } from '../../wire/pread.ts';
import { checksumSlot } from '../slot-check.ts';
import { AfterRead } from '../after-read.ts';
import type { Patience } from './progress.ts';
import { exchange, paced, type ExchangeTools, type PeerRequest } from './exchange.ts';

/**
 * Reads the rest of a shard, from byte `fromBytes` on, from another node into a slot. Nothing of it
 * is released to clients: control does that once the whole shard has the owner's checksum.
 */
export interface PeerReadJob extends PeerRequest {
  kind: 'peer';
  slot: number;
  attempt: number;
  shard: number;
  fromBytes: number;
  patience: Patience;
  /** The blob's size if it is known: a sender that names another is not believed. */
  totalBytes: number | null;
  /** Only bytes that the sender says it has checked are taken. */
  checked?: true;
  /** The blob's digest (`sha256:...`): a blob of one shard is checked against it. */
  digest: string | null;
}

/** What a transfer thread reads with. */
export interface TransferTools extends ExchangeTools {
  arena: Arena;
  doorbells: Pick<Doorbells, 'ringAll'>;
}

/** Carries out a job; resolves always, and only when nothing will write to the slot any more. */
export async function readFromPeer(job: PeerReadJob, tools: TransferTools): Promise<PreadResult> {
  const { arena, doorbells } = tools;
  const sinceMs = tools.nowMs();
  let receivedBytes = job.fromBytes;
  let lengthBytes = 0;
  let totalBytes = 0;
  let isUnchecked = false;
  const afterRead = new AfterRead();
  const publish = (): void => {
    arena.setReceived(job.slot, receivedBytes);
    doorbells.ringAll();
  };
  try {
    const { head, body } = await exchange(
      job,
      {
        deadlineMs: null,
        patience: job.patience,
        isCancelled: () => arena.cancelled(job.slot, job.attempt),
        body: {
          head(response) {
            ({ lengthBytes, totalBytes } = shardSpan(response, job));
            isUnchecked = job.checked === true && !parsePreadHeaders(response.headers).isChecked;
            if (isUnchecked) throw new ShoalError('PEER_BROKEN', 'the bytes are not checked');
            // That a blob is empty is reported only after its digest has been compared.
            if (lengthBytes > 0) arena.setLength(job.slot, lengthBytes, totalBytes);
          },
          room: (fromBytes, bodyBytes) =>
            arena.bytes(job.slot, job.fromBytes + fromBytes, job.fromBytes + bodyBytes),
          placed(bytes) {
            receivedBytes = job.fromBytes + bytes;
            afterRead.add(publish);
          },
        },
      },
      tools,
    );
    afterRead.now();
    if (head.status !== 200)
      return paced(parsePreadAnswer(head.status, body.toString('utf8')), sinceMs, tools.nowMs());
    const checksum = checksumSlot(job, lengthBytes, totalBytes, arena);
    if (lengthBytes === 0) arena.setLength(job.slot, 0, totalBytes);
    return {
      kind: 'data',
      totalBytes,
      lengthBytes,
      claimedChecksum: parsePreadHeaders(head.headers).checksum,
      checksum,
    };
  } catch (thrown) {
    afterRead.now();
    // A node of an older version, which may be as honest as any.
    if (isUnchecked) return { kind: 'miss' };
    const error = ShoalError.from(thrown, 'PEER_BROKEN').toWire();
    return { kind: 'failed', error, receivedBytes };
  }
}

/** As readFromPeer, counted by `meter`. */
export async function readAndCount(
  job: PeerReadJob,
  tools: TransferTools,
  meter: Pick<Meter, 'record' | 'observe'>,
): Promise<PreadResult> {
  const startMs = tools.nowMs();
  const result = await readFromPeer(job, tools);
  const tookUs = (tools.nowMs() - startMs) * 1000;
  const bytes =
    result.kind === 'data'
      ? result.lengthBytes - job.fromBytes
      : result.kind === 'failed'
        ? result.receivedBytes - job.fromBytes
        : 0;
  if (result.kind === 'data' || bytes > 0)
    meter.record('peer', bytes, tookUs, result.kind === 'failed');
  if (result.kind === 'data') meter.observe('peerRead', tookUs);
  return result;
}

/** Shard length and blob size that a head announces. Throws PEER_BROKEN when they cannot be. */
function shardSpan(
  head: ResponseHead,
  job: PeerReadJob,
): { lengthBytes: number; totalBytes: number } {
  const { totalBytes } = parsePreadHeaders(head.headers);
  const lengthBytes =
    totalBytes === null || (job.totalBytes !== null && totalBytes !== job.totalBytes)
      ? -1
      : shardLength(totalBytes, job.shard);
  if (lengthBytes < 0 || job.fromBytes + head.contentLength !== lengthBytes)
    throw new ShoalError('PEER_BROKEN', `${job.node} announced a wrong length`);
  return { lengthBytes, totalBytes: totalBytes! };
}
