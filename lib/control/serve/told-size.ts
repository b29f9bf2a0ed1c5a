import { isVouched, otherSize } from '../../registry/blob-size.ts';
import type { BlobName } from '../../workers/messages.ts';
import type { StreamParts } from './stream-parts.ts';

/**
 * The size of a blob that one client may learn: a registry named it (in a check, in a manifest, or
 * with the bytes), or the digest of the whole blob has been verified at that size. A client never
 * learns a size that only another node claims.
 */
export class ToldSize {
  readonly #parts: Pick<StreamParts, 'gate' | 'facts' | 'loader'>;
  readonly #blob: BlobName;
  readonly #authorization: string | null;
  #asking: Promise<number | null> | null = null;

  constructor(
    parts: Pick<StreamParts, 'gate' | 'facts' | 'loader'>,
    blob: BlobName,
    authorization: string | null,
  ) {
    this.#parts = parts;
    this.#blob = blob;
    this.#authorization = authorization;
  }

  /** The size of `blob`, for which the upstream may have to be asked; null: no source names it. */
  static async of(
    parts: Pick<StreamParts, 'gate' | 'facts' | 'loader'>,
    blob: BlobName,
    authorization: string | null,
  ): Promise<number | null> {
    const size = new ToldSize(parts, blob, authorization);
    return size.bytes ?? (await size.ask()) ?? parts.facts.totalOf(blob.key);
  }

  /** As far as it is known here. */
  get bytes(): number | null {
    const { gate, facts } = this.#parts;
    const known = facts.sizeOf(this.#blob.key);
    return (
      gate.sizeOf(this.#blob, this.#authorization) ??
      (isVouched(known) ? known.bytes : gate.saidBytes(this.#blob, this.#authorization))
    );
  }

  /**
   * The size that the upstream names; it is asked if it has not named one; null: it names none. A
   * manifest does not count here. Bytes here of another size are dropped.
   * @throws the upstream's error
   */
  ask(): Promise<number | null> {
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask(): Promise<number | null> {
    const { gate, facts, loader } = this.#parts;
    const { key } = this.#blob;
    const provenBytes = gate.sizeOf(this.#blob, this.#authorization);
    const known = facts.sizeOf(key);
    if (provenBytes === null)
      return isVouched(known) ? known.bytes : gate.askSize(this.#blob, this.#authorization);
    const { upstreamHost } = this.#blob;
    // The size that another registry names for its object is for its own clients only.
    const mayDiffer =
      known?.provenance === 'upstream' && !facts.isDisproved(key, upstreamHost, provenBytes);
    if (isVouched(known) && known.bytes !== provenBytes && !mayDiffer) throw otherSize();
    facts.said(key, upstreamHost, provenBytes);
    loader.sized(key, provenBytes, 'upstream');
    return provenBytes;
  }
}
