import { ShoalError } from '../errors.ts';

/**
 * Who vouches for a blob's size, the strongest first:
 * - `digest`: the whole blob had this size when its digest was verified;
 * - `upstream`: the source that is vouched for under the blob's key (see Vouching) said so;
 * - `owner`: it came with a whole shard whose checksum is that of the shard's owner, or from disk;
 * - `heard`: another node mentioned it.
 */
export type SizeProvenance = 'digest' | 'upstream' | 'owner' | 'heard';

export interface BlobSize {
  readonly bytes: number;
  readonly provenance: SizeProvenance;
}

const RANK: Readonly<Record<SizeProvenance, number>> = {
  digest: 3,
  upstream: 2,
  owner: 1,
  heard: 0,
};

/**
 * The size to believe, given the one known and the one just said. The stronger provenance wins. Of
 * two that are equally strong the newer wins, since an object may be replaced at its URL; only a
 * verified digest is never contradicted.
 */
export function strongerSize(known: BlobSize | null, said: BlobSize): BlobSize {
  if (known === null) return said;
  const gain = RANK[said.provenance] - RANK[known.provenance];
  return gain > 0 || (gain === 0 && known.provenance !== 'digest') ? said : known;
}

/** Whether a source may be asked for exactly these bytes: it has said the size itself. */
export function isVouched(size: BlobSize | null): size is BlobSize {
  return size !== null && RANK[size.provenance] >= RANK.upstream;
}

/** What a client is told whose registry has an object of another size than the blob. */
export function otherSize(): ShoalError {
  return new ShoalError(
    'DIGEST_MISMATCH',
    "the upstream's object has another size than the blob of this name; read it from the upstream",
  );
}
