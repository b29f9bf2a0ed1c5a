import type { Tier } from '../telemetry/metrics-list.ts';
import type { BlobName, ReadSummary } from '../workers/messages.ts';
import { READ_TALLY_BLOBS_MAX, READ_TALLY_MS } from './limits.ts';

/** An empty summary. */
export function emptySummary(): ReadSummary {
  return {
    sources: { arena: 0, runtime: 0, disk: 0, peer: 0, origin: 0 },
    waitedMs: { access: 0, turn: 0, throttle: 0, disk: 0, peer: 0, origin: 0 },
  };
}

interface Told {
  blob: BlobName;
  authorization: string | null;
  read: ReadSummary;
}

/**
 * Adds up reads that a front answers without a stream in control, from warm memory, and reports
 * them READ_TALLY_MS after the first: a message per read would cost more than the read.
 */
export class ReadTally {
  readonly #tell: (reads: Told[]) => void;
  /** Keyed by the identity of the name object: a grant keeps one for all reads under it. */
  readonly #reads = new Map<BlobName, Told>();
  #timer: NodeJS.Timeout | null = null;

  constructor(tell: (reads: Told[]) => void) {
    this.#tell = tell;
  }

  /** `authorization`: '' when the reader has none. */
  add(blob: BlobName, authorization: string, tier: Tier, bytes: number): void {
    if (bytes === 0) return;
    let told = this.#reads.get(blob);
    if (told === undefined) {
      if (this.#reads.size >= READ_TALLY_BLOBS_MAX) this.flush();
      told = { blob, authorization: authorization || null, read: emptySummary() };
      this.#reads.set(blob, told);
      this.#timer ??= setTimeout(() => this.flush(), READ_TALLY_MS);
    }
    told.read.sources[tier] += bytes;
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#reads.size === 0) return;
    const reads = [...this.#reads.values()];
    this.#reads.clear();
    this.#tell(reads);
  }
}
