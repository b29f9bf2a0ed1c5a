import { ShoalError } from '../errors.ts';
import type { OriginHeaders } from './content-range.ts';

/** Gathers a body of bounded length; what is longer is refused, or cut. */
export class BodyCollector {
  readonly #bytesMax: number;
  readonly #beyond: 'refuse' | 'cut';
  readonly #chunks: Uint8Array[] = [];
  #lengthBytes = 0;

  constructor(bytesMax: number, beyond: 'refuse' | 'cut') {
    this.#bytesMax = bytesMax;
    this.#beyond = beyond;
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** @throws ShoalError ORIGIN_BROKEN past the limit, where that is refused */
  add(chunk: Uint8Array): 'more' | 'enough' {
    const room = this.#bytesMax - this.#lengthBytes;
    if (chunk.length > room && this.#beyond === 'refuse')
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `the origin's answer is longer than ${this.#bytesMax} bytes`,
      );
    const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
    // A copy: the chunk may be a view into a buffer that is used again.
    this.#chunks.push(part.slice());
    this.#lengthBytes += part.length;
    return chunk.length > room ? 'enough' : 'more';
  }

  /** The whole in a buffer of its own. */
  bytes(): Uint8Array {
    const whole = new Uint8Array(this.#lengthBytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }
}

const PASSED_ON = ['www-authenticate', 'retry-after', 'content-type'];

/** What the upstream said no with, to be passed on to the client: status, challenge, body. */
export function refusal(
  host: string,
  status: number,
  headers: OriginHeaders,
  body: Uint8Array,
): ShoalError {
  if (status < 400) return new ShoalError('ORIGIN_BROKEN', `${host} answered ${status} to a read`);
  const kept = Object.fromEntries(
    PASSED_ON.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])),
  );
  const text = new TextDecoder().decode(body);
  return new ShoalError('ORIGIN_REFUSED', `${host} answered ${status}`, {
    status,
    headers: kept,
    ...(text === '' ? {} : { body: text }),
  });
}
