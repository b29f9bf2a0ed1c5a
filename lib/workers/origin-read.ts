import { ShoalError, type WireError } from '../errors.ts';
import { SHARD_BYTES, SLICE_FIRST_BYTES_MIN } from '../limits.ts';
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
  /** Where in the shard somebody waits for bytes: what is from there on comes first, the rest after it. */
  sliceBytes: number;
  totalBytes: number | null;
  /** The blob's digest (`sha256:...`): a blob of one shard is checked against it before any client sees a byte. */
  digest: string | null;
  url: string;
  upstreamHost: string;
  authorization: string | null;
  /** Sent along where the object is a manifest. */
  accept?: string;
}

export type OriginReadResult =
  | { kind: 'data'; totalBytes: number; lengthBytes: number; checksum: string }
  | { kind: 'failed'; error: WireError; receivedBytes: number };

/** Carries out a job; resolves always, and only when nothing will write to the slot any more. */
export async function readFromOrigin(job: OriginReadJob, origin: OriginClient, tools: TransferTools): Promise<OriginReadResult> {
  const { arena, doorbells } = tools;
  const { slot } = job;
  const shardStartBytes = job.shard * SHARD_BYTES;
  const sliceBytes = sliceFirst(job);
  let receivedBytes = job.fromBytes;
  let totalBytes = job.totalBytes ?? -1;
  let lengthBytes = -1;

  /** Reads [startBytes, endBytes) of the shard; `advance` hears up to where it is there. */
  const readPart = async (startBytes: number, endBytes: number, advance: (bytes: number) => void): Promise<void> => {
    let atBytes = startBytes;
    const came = (bytes: number): void => {
      atBytes += bytes;
      advance(atBytes);
      doorbells.ringAll();
    };
    await origin.readRange(
      {
        url: job.url,
        upstreamHost: job.upstreamHost,
        ...(job.authorization === null ? {} : { authorization: job.authorization }),
        ...(job.accept === undefined ? {} : { accept: job.accept }),
      },
      { offsetBytes: shardStartBytes + startBytes, lengthBytes: endBytes - startBytes, totalBytes: job.totalBytes },
      {
        head(head) {
          if (job.totalBytes !== null && head.totalBytes !== job.totalBytes) throw new ShoalError('ORIGIN_BROKEN', `the blob's size changed from ${job.totalBytes} to ${head.totalBytes} bytes`);
          totalBytes = head.totalBytes;
          lengthBytes = Math.min(SHARD_BYTES, totalBytes - shardStartBytes);
          arena.setLength(slot, lengthBytes, totalBytes);
          doorbells.ringAll();
        },
        data(chunk) {
          if (atBytes + chunk.length > Math.min(lengthBytes, endBytes)) throw new ShoalError('ORIGIN_BROKEN', 'the origin sent more than was asked for');
          arena.bytes(slot, atBytes, atBytes + chunk.length).set(chunk);
          came(chunk.length);
        },
        // Never more than what is left of the range asked for, which is within the shard.
        room: (bytesMax) => arena.bytes(slot, atBytes, Math.min(atBytes + bytesMax, lengthBytes, endBytes)),
        placed: (bytes) => came(bytes),
        stopped: () => arena.cancelled(slot, job.attempt),
      },
    );
    if (atBytes !== Math.min(lengthBytes, endBytes)) throw new ShoalError('ORIGIN_BROKEN', `the origin ended after ${atBytes} of ${lengthBytes} bytes of a shard`);
  };
  const receive = (bytes: number): void => {
    receivedBytes = bytes;
    arena.setReceived(slot, bytes);
    if (!isWholeBlob(job, totalBytes)) arena.setReleased(slot, bytes);
  };

  try {
    if (sliceBytes > 0) {
      await readPart(sliceBytes, SHARD_BYTES, (bytes) => arena.setAhead(slot, sliceBytes, bytes));
      await readPart(job.fromBytes, sliceBytes, receive);
      receive(lengthBytes);
    } else await readPart(job.fromBytes, SHARD_BYTES, receive);
    return { kind: 'data', totalBytes, lengthBytes, checksum: checksumSlot(job, lengthBytes, totalBytes, arena) };
  } catch (thrown) {
    return { kind: 'failed', error: ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire(), receivedBytes };
  }
}

/**
 * From where on the shard is read first; 0: in order. In order, too, what begins near the slice anyway, a blob that is
 * released only as a whole, and one of unknown size: beyond its end there is nothing to ask for.
 */
function sliceFirst({ fromBytes, sliceBytes, totalBytes, shard, digest }: OriginReadJob): number {
  if (totalBytes === null || isWholeBlob({ digest }, totalBytes)) return 0;
  const lengthBytes = Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
  return sliceBytes < lengthBytes && sliceBytes - fromBytes >= SLICE_FIRST_BYTES_MIN ? sliceBytes : 0;
}
