import { isVouched, otherSize } from '../../registry/blob-size.ts';
import type { BlobName } from '../../workers/messages.ts';
import type { StreamParts } from './stream-parts.ts';

/**
 * The size of a blob that one client may be told: a registry said it (to a check, in a manifest, or
 * with the bytes), or it is that of a whole blob whose digest has held. What only another node
 * claims is told to no client.
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

  /** That of `blob`, which may take a request to the upstream; null: nobody tells it. */
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
   * The size by the upstream, which is asked if it has not said one; null: it says none. A manifest
   * does not count here. What is here of another size is dropped.
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
    // What another registry says of its own object counts for its own clients only.
    const mayDiffer =
      known?.provenance === 'upstream' && !facts.isDisproved(key, upstreamHost, provenBytes);
    if (isVouched(known) && known.bytes !== provenBytes && !mayDiffer) throw otherSize();
    facts.said(key, upstreamHost, provenBytes);
    loader.sized(key, provenBytes, 'upstream');
    return provenBytes;
  }
}
