/**
 * The schedule of a sender: which of the uploads that have bytes to send goes next. Equal shares of
 * the uplink would bring all of them late at once, the one that readers are blocked on with the
 * last. So only uploads within `atOnce` shards of the most needed one share the uplink, in turn;
 * the others wait. `atOnce` is what fills the line (Pace.uploadsAtOnce): one on a slow line, many
 * where a shard takes less time than a round trip.
 *
 * `waiting` is in order of arrival; `order` is the place in the blob, lower is needed sooner.
 * Returns the index in `waiting`, or -1 when it is empty.
 */
export function nextUpload(
  waiting: readonly { readonly order: number }[],
  from: number,
  atOnce: number,
): number {
  let first = Infinity;
  for (let at = from; at < waiting.length; at++) first = Math.min(first, waiting[at]!.order);
  for (let at = from; at < waiting.length; at++) if (waiting[at]!.order < first + atOnce) return at;
  return -1;
}
