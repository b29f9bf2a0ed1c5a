import type { HttpResponse } from 'uWebSockets.js';
import { SHARD_BYTES } from '../limits.ts';
import { parseRange, resolveRange } from '../registry/range.ts';
import { BlobAnswer } from './blob-answer.ts';
import type { BlobAnswerTools, BlobRequest } from './blob-request.ts';
import { TIERS } from './read-account.ts';
import { writeBlobHead } from './blob-head.ts';
import { giveBackBudget, takeWholeBudget } from './send-budget.ts';
import type { Grant } from './warm.ts';

/**
 * Answers a granted GET whose bytes all lie in one shard in memory with one pin, one write, and no
 * object that outlives the call. Returns false, with nothing written, if it is not such a read or
 * the shard is not in memory; then use the general path. The general path also sends what the
 * socket does not take at once.
 */
export function readWarm(
  res: HttpResponse,
  grant: Grant,
  range: string,
  startMs: number,
  tools: BlobAnswerTools,
  request: () => BlobRequest,
): boolean {
  const { arena } = tools;
  const { blob } = grant;
  const span = resolveRange(parseRange(range), blob.totalBytes);
  const { startBytes } = span;
  const bodyBytes = span.endBytes - startBytes;
  const shard = Math.floor(startBytes / SHARD_BYTES);
  const fromBytes = startBytes % SHARD_BYTES;
  const place = blob.places.get(shard);
  if (bodyBytes === 0 || fromBytes + bodyBytes > SHARD_BYTES || place === undefined) return false;
  const { slot } = place;
  if (!arena.tryPin(slot, place.generation)) return false;
  if (
    tools.watermark(slot, fromBytes) < fromBytes + bodyBytes ||
    !takeWholeBudget(tools, bodyBytes)
  ) {
    arena.unpin(slot);
    return false;
  }
  writeBlobHead(res, grant.head, span);
  const [, whole] = res.tryEnd(arena.bytes(slot, fromBytes, fromBytes + bodyBytes), bodyBytes);
  const firstBytes = whole
    ? tools.firstReads.take(slot, fromBytes, fromBytes + bodyBytes, false).bytes
    : 0;
  const source = TIERS[arena.source(slot)];
  arena.unpin(slot);
  arena.markUsed(slot);
  if (whole) {
    const read = { name: grant.name, offsetBytes: startBytes, bytes: bodyBytes, startMs };
    tools.warmRead(read, firstBytes, source);
    const { name, authorization } = grant;
    tools.tally.add(name, authorization, source, firstBytes);
    tools.tally.add(name, authorization, 'arena', bodyBytes - firstBytes);
    return true;
  }
  const sentBytes = res.getWriteOffset();
  giveBackBudget(tools, bodyBytes - sentBytes);
  new BlobAnswer(res, request(), tools, startMs).goOnWarm(blob, span, sentBytes, slot);
  return true;
}
