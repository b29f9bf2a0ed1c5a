import { createHash } from 'node:crypto';
import { Pattern } from '../pread/pattern.ts';

const STEP_BYTES = 4 * 1024 * 1024;

/** A blob that is made anew wherever it is needed: the bytes of a pattern. */
export interface Layer {
  seed: number;
  lengthBytes: number;
  digest: string;
}

/** The bytes of a layer, piece by piece; each piece is void when the next one is asked for. */
export function* layerPieces(seed: number, lengthBytes: number): Generator<Buffer> {
  const pattern = new Pattern(seed);
  const piece = Buffer.allocUnsafe(STEP_BYTES);
  for (let at = 0; at < lengthBytes; at += STEP_BYTES) {
    const part = piece.subarray(0, Math.min(STEP_BYTES, lengthBytes - at));
    pattern.fill(part, at);
    yield part;
  }
}

/** A layer with its digest. */
export function makeLayer(seed: number, lengthBytes: number): Layer {
  const hash = createHash('sha256');
  for (const piece of layerPieces(seed, lengthBytes)) hash.update(piece);
  return { seed, lengthBytes, digest: `sha256:${hash.digest('hex')}` };
}
