import { ShoalError } from '../errors.ts';
import type { OriginHeaders } from './content-range.ts';
import { REFUSAL_CHARS_MAX } from './limits.ts';

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

/** For upstreams that say no more than the status. */
const STATUS_WORDS: Readonly<Record<number, string>> = {
  401: 'a credential is missing, wrong or expired',
  403: 'the credential has no right to this',
  404: 'there is no such repository, tag or blob',
  429: 'too many requests',
};

/** The message of an OCI error body, as it may enter a log: one line, bounded. */
function ownWords(body: string): string | undefined {
  let message: unknown;
  try {
    message = (JSON.parse(body) as { errors?: { message?: unknown }[] } | null)?.errors?.[0]
      ?.message;
  } catch {
    return undefined;
  }
  if (typeof message !== 'string' || message === '') return undefined;
  return message.slice(0, REFUSAL_CHARS_MAX).replace(/[^\x20-\x7e]/g, '?');
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
  const words = ownWords(text) ?? STATUS_WORDS[status];
  const why = words === undefined ? '' : `: ${words}`;
  return new ShoalError('ORIGIN_REFUSED', `${host} answered ${status}${why}`, {
    status,
    headers: kept,
    ...(text === '' ? {} : { body: text }),
  });
}
