/** How a shard is read at its origin. */
export interface ReadHow {
  /** Where in the shard a client waits; null: no client does. */
  sliceBytes: number | null;
  /** Whether this node reads for no others (OriginAsk). */
  alone: boolean;
  /** Whether it is another node's request that made this node read. */
  isOnBehalf: boolean;
  /** Whether one answer may bring all that is left. */
  mayStream?: boolean;
}
