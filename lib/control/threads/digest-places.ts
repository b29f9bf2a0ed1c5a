import type { DigestJob, DigestResult } from '../../workers/blob-hashes.ts';
import type { PoolJob } from '../../workers/pool.ts';
import { DIGEST_MOVE_BYTES_MAX } from '../limits.ts';
import { type Lines, ThreadLost } from './lines.ts';

/** What DigestPlaces needs of the transfer threads. */
type TransferLines = Pick<Lines<PoolJob>, 'isBusy' | 'threads' | 'runOnFirst'>;

/** And of the digest thread. */
type DigestLines = Pick<Lines<DigestJob>, 'threads' | 'run'>;

/**
 * On which thread a blob is hashed. A thread of its own keeps up with any line, but its start costs
 * 50 to 250 ms of processor time, just as a pull begins, and 12 MB. So the first transfer thread
 * hashes while it is not busy, which on slow lines is always. If it becomes busy before much of a
 * blob has been hashed, the digest thread begins anew with that blob.
 */
export class DigestPlaces {
  readonly #transfer: TransferLines;
  readonly #digest: DigestLines;
  /** Blobs whose hash is on the first transfer thread; at most BLOB_DIGESTS_MAX. */
  readonly #besideReads = new Set<string>();

  constructor(transfer: TransferLines, digest: DigestLines) {
    this.#transfer = transfer;
    this.#digest = digest;
  }

  /** Carries out a job where its blob is hashed; `gone`: to be begun again. */
  async run(job: DigestJob): Promise<DigestResult> {
    try {
      return await this.#run(job);
    } catch (thrown) {
      if (thrown instanceof ThreadLost) return { kind: 'gone' };
      throw thrown;
    }
  }

  async #run(job: DigestJob): Promise<DigestResult> {
    if (job.kind === 'update') {
      if (job.offsetBytes === 0) this.#choose(job.key);
      else if (this.#isToMove(job)) {
        this.#besideReads.delete(job.key);
        await this.#beside({ kind: 'forget', key: job.key });
        return { kind: 'gone' };
      }
    }
    if (!this.#besideReads.has(job.key)) return (await this.#digest.run(job)) as DigestResult;
    if (job.kind === 'finish' || job.kind === 'forget') this.#besideReads.delete(job.key);
    return this.#beside(job);
  }

  #choose(key: string): void {
    if (this.#digest.threads > 0 || this.#isTransferBusy) this.#besideReads.delete(key);
    else this.#besideReads.add(key);
  }

  #isToMove({ key, offsetBytes }: Extract<DigestJob, { kind: 'update' }>): boolean {
    return (
      this.#besideReads.has(key) && offsetBytes <= DIGEST_MOVE_BYTES_MAX && this.#isTransferBusy
    );
  }

  get #isTransferBusy(): boolean {
    return this.#transfer.threads > 1 || this.#transfer.isBusy;
  }

  async #beside(job: DigestJob): Promise<DigestResult> {
    const result = await this.#transfer.runOnFirst({ kind: 'digest', digest: job });
    return result as DigestResult;
  }
}
