import { ShoalError } from '../errors.ts';
import { joinUrl, splitUrl, type SplitUrl } from '../registry/url.ts';
import { codingsOf } from './codings.ts';
import type { OriginHeaders } from './content-range.ts';
import type { AnswerReader, Flow } from './exchange.ts';
import type { FollowRequest } from './follow.ts';
import { ORIGIN_ERROR_BODY_BYTES_MAX } from './limits.ts';

/** One try of a request, at one upstream of its registry. */
export interface Attempt extends FollowRequest {
  /** Whether another upstream can be tried when this one fails. */
  mayFailOver: boolean;
  /** Whether the reader has seen a head: then the answer is this one. */
  isAnswered: boolean;
  /** Whether a 401 of the registry itself is for this node to answer, not for the client. */
  takesChallenge: boolean;
}

/** The registry wants credentials, and the node has some of its own. */
export class Challenged extends ShoalError {
  constructor(host: string, challenges: string) {
    super('ORIGIN_REFUSED', `${host} wants credentials`, {
      status: 401,
      headers: { 'www-authenticate': challenges },
    });
  }
}

/** An upstream that has mirrors answered a 5xx. */
export class UpstreamFailed extends ShoalError {}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** Keeps redirects from the reader. */
export class HopReader implements AnswerReader {
  location: SplitUrl | null = null;
  headSeen = false;
  readonly #reader: AnswerReader;
  readonly #at: SplitUrl;
  readonly #request: Attempt;
  #discardedBytes = 0;
  readonly #referer: string | undefined;

  constructor(reader: AnswerReader, at: SplitUrl, request: Attempt, referer: string | undefined) {
    this.#referer = referer;
    this.#reader = reader;
    this.#at = at;
    this.#request = request;
  }

  head(status: number, headers: OriginHeaders, flow: Flow | null): 'more' | 'enough' {
    this.headSeen = true;
    const { location } = headers;
    if (REDIRECTS.has(status) && location !== undefined) {
      this.location = resolveLocation(location, this.#at);
      return 'more';
    }
    if (status === 401 && this.#request.takesChallenge && this.#at === this.#request.home)
      throw new Challenged(this.#at.host, headers['www-authenticate'] ?? '');
    if (status >= 500 && this.#request.mayFailOver)
      throw new UpstreamFailed('ORIGIN_REFUSED', `${this.#at.host} answered ${status}`, { status });
    if (!this.#request.ignoresCoding && codingsOf(headers['content-encoding']).length > 0)
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#at.host} sent an encoded body, which was not asked for`,
      );
    this.#request.isAnswered = true;
    if (status < 400) this.#request.arrived?.(this.#at, this.#request.home, this.#referer);
    return this.#reader.head(status, headers, flow);
  }

  data(chunk: Uint8Array): 'more' | 'enough' {
    if (this.location === null) return this.#reader.data(chunk);
    // The short body of a redirect is read to its end, so that the connection can be used again.
    this.#discardedBytes += chunk.length;
    return this.#discardedBytes > ORIGIN_ERROR_BODY_BYTES_MAX ? 'enough' : 'more';
  }

  room(bytesMax: number): Uint8Array {
    return this.#reader.room(bytesMax);
  }

  placed(bytes: number): 'more' | 'enough' {
    return this.#reader.placed(bytes);
  }

  stopped(): boolean {
    return this.#reader.stopped();
  }
}

/**
 * An absolute Location is taken as it is written, because a signature holds for these very bytes.
 * Blanks and characters outside ASCII are percent-encoded, as all clients do.
 */
function resolveLocation(location: string, at: SplitUrl): SplitUrl {
  try {
    const bare = location
      .trim()
      .replace(/#.*$/, '')
      // Header values are read as latin1: each character is one byte of the UTF-8 text.
      .replaceAll(/[^\x21-\x7e]/g, (byte) => `%${hexByte(byte)}`);
    if (/^https?:\/\//i.test(bare)) return splitUrl(bare);
    return splitUrl(new URL(bare, joinUrl(at)).href.replace(/#.*$/, ''));
  } catch {
    throw new ShoalError('ORIGIN_BROKEN', `${at.host} redirects to an invalid URL`);
  }
}

function hexByte(character: string): string {
  return (character.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, '0');
}
