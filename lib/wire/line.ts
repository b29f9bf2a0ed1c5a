/**
 * Bytes of no meaning: a node tests its line with them (lib/swarm/lines.ts). It closes the
 * connection when it knows enough.
 *
 *   GET /rpc/line      200 LINE_TEST_BYTES zeros     503: busy
 */
export const LINE_PATH = '/rpc/line';
