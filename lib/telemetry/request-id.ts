/**
 * Identifies one client request across nodes: created by the node the client asked, sent along on
 * the p2p port, in every log line.
 */
export const REQUEST_ID_HEADER = 'shoal-request-id';

const WELL_FORMED = /^[0-9A-Za-z-]{8,64}$/;

/** A new id: 16 hex digits from `random` (values in [0, 1)). */
export function newRequestId(random: () => number = Math.random): string {
  const half = (): string =>
    Math.floor(random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  return half() + half();
}

/**
 * The request's id if it is well-formed, else a new one: an unchecked header never reaches a log.
 */
export function acceptRequestId(
  header: string | undefined,
  random: () => number = Math.random,
): string {
  return header !== undefined && WELL_FORMED.test(header) ? header : newRequestId(random);
}
