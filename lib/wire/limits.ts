/** Bounds of lib/wire: each is named, has its unit last, and gives the reason for its value. */

/**
 * Words asked for, or told, in one message between nodes: what one answer of a registry teaches is
 * fewer; an answer stays within CONNECTION_HEAD_BYTES_MAX.
 */
export const RECALL_IDS_MAX = 4;
