import { ShoalError, type WireError } from '../errors.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { OriginClient } from '../registry/origin.ts';
import type { TransferTools } from './peer-read.ts';
import { checksumSlot, isWholeBlob } from './slot-check.ts';

/** Reads the rest of a shard, from byte `fromBytes` on, from the origin into a slot. */
export interface OriginReadJob {
  kind: 'origin';
  slot: number;
  attempt: number;
  shard: number;
  fromBytes: number;
  totalBytes: number | null;
  /** The blob's digest (`sha256:...`): a blob of one shard is checked against it before any client sees a byte. */
  digest: string | null;
  url: string;
  upstreamHost: string;
  authorization: string | null;
}

export type OriginReadResult =
  | { kind: 'data'; totalBytes: number; lengthBytes: number; checksum: string }
  | { kind: 'failed'; error: WireError; receivedBytes: number };

/** Carries out a job; resolves always, and only when nothing will write to the slot any more. */
export async function readFromOrigin(job: OriginReadJob, origin: OriginClient, tools: TransferTools): Promise<OriginReadResult> {
  const { arena, doorbells } = tools;
  const shardStartBytes = job.shard * SHARD_BYTES;
  let receivedBytes = job.fromBytes;
  let totalBytes = job.totalBytes ?? -1;
  let lengthBytes = -1;
  try {
    await origin.readRange(
      { url: job.url, upstreamHost: job.upstreamHost, ...(job.authorization === null ? {} : { authorization: job.authorization }) },
      { offsetBytes: shardStartBytes + job.fromBytes, lengthBytes: SHARD_BYTES - job.fromBytes, totalBytes: job.totalBytes },
      {
        head(head) {
          if (job.totalBytes !== null && head.totalBytes !== job.totalBytes) throw new ShoalError('ORIGIN_BROKEN', `the blob's size changed from ${job.totalBytes} to ${head.totalBytes} bytes`);
          totalBytes = head.totalBytes;
          lengthBytes = Math.min(SHARD_BYTES, totalBytes - shardStartBytes);
          arena.setLength(job.slot, lengthBytes, totalBytes);
          doorbells.ringAll();
        },
        data(chunk) {
          if (receivedBytes + chunk.length > lengthBytes) throw new ShoalError('ORIGIN_BROKEN', 'the origin sent more than was asked for');
          arena.bytes(job.slot, receivedBytes, receivedBytes + chunk.length).set(chunk);
          receivedBytes += chunk.length;
          arena.setReceived(job.slot, receivedBytes);
          if (!isWholeBlob(job, totalBytes)) arena.setReleased(job.slot, receivedBytes);
          doorbells.ringAll();
        },
        stopped: () => arena.cancelled(job.slot, job.attempt),
      },
    );
    if (receivedBytes !== lengthBytes) throw new ShoalError('ORIGIN_BROKEN', `the origin ended after ${receivedBytes} of ${lengthBytes} bytes of a shard`);
    return { kind: 'data', totalBytes, lengthBytes, checksum: checksumSlot(job, lengthBytes, totalBytes, arena) };
  } catch (thrown) {
    return { kind: 'failed', error: ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire(), receivedBytes };
  }
}
