import { LRUCache } from 'lru-cache';
import type { Clock } from '../../clock.ts';
import type { Redirect } from '../../origin-target.ts';
import {
  CREDENTIAL_HOLD_BEFORE_MS,
  CREDENTIAL_HOLD_MS,
  CREDENTIALS_WATCHED_MAX,
} from './limits.ts';
import { signedUntilMs } from './signed-url.ts';

interface Credential {
  url: string;
  authorization: string | null;
}

/** The name of one credential for one object; a signed URL is a credential too. */
export function seriesOf({ url, authorization }: Credential): string {
  return `${url} ${authorization ?? ''}`;
}

/** See HeadFact. */
interface Answered {
  redirect?: Redirect | undefined;
  isPlain?: boolean | undefined;
}

interface Use {
  /** See holdAtMs. */
  readonly holdAtMs: number;
  /** The last redirect target that it led to, and the wall time in ms at which its URL expires. */
  redirect: Redirect | undefined;
  redirectEndsMs: number;
  /** Whether the origin's last answer to it was one that DirectTransport takes. */
  isPlain: boolean;
  /** A long request with it has failed, and another one would fail too. */
  isGivenUp: boolean;
}

/** Which of the credentials in use may expire before their object is read. */
export class CredentialEnds {
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #uses = new LRUCache<string, Use>({ max: CREDENTIALS_WATCHED_MAX });
  /** The one used last: the shards of a blob come with one credential. */
  #last: (Credential & { use: Use }) | null = null;

  constructor(clock: Pick<Clock, 'wallMs'>) {
    this.#clock = clock;
  }

  used(credential: Credential): void {
    this.#useOf(credential);
  }

  /** `credential` got an answer; `redirect`: the redirect target that sent it, if one did. */
  answered(credential: Credential, { redirect, isPlain = false }: Answered): void {
    const use = this.#useOf(credential);
    use.isPlain = isPlain;
    if (redirect === undefined) return;
    use.redirect = redirect;
    use.redirectEndsMs = signedUntilMs(redirect.url) ?? Infinity;
  }

  /** What the next request with `credential` may use of the answers to those before. */
  placeOf(credential: Credential): Answered {
    const { redirect, isPlain } = this.#useOf(credential);
    return { redirect, isPlain };
  }

  giveUp(credential: Credential): void {
    this.#useOf(credential).isGivenUp = true;
  }

  /** `relies`: whether a redirect target counts that needs no credential. */
  endsSoon(credential: Credential, relies: boolean): boolean {
    const { holdAtMs, redirect, redirectEndsMs, isGivenUp } = this.#useOf(credential);
    if (isGivenUp) return false;
    const nowMs = this.#clock.wallMs();
    const isSafe =
      relies && redirect !== undefined && nowMs < redirectEndsMs - CREDENTIAL_HOLD_BEFORE_MS;
    return !isSafe && nowMs >= holdAtMs;
  }

  #useOf(credential: Credential): Use {
    const { url, authorization } = credential;
    if (this.#last?.url === url && this.#last.authorization === authorization)
      return this.#last.use;
    const series = seriesOf(credential);
    let use = this.#uses.get(series);
    if (use === undefined) {
      use = {
        holdAtMs: holdAtMs(credential, this.#clock.wallMs()),
        redirect: undefined,
        redirectEndsMs: Infinity,
        isPlain: false,
        isGivenUp: false,
      };
      this.#uses.set(series, use);
    }
    this.#last = { url, authorization, use };
    return use;
  }
}

/**
 * The wall time in ms at which to request the rest of an object in one request, because the
 * credential may expire; Infinity if it does not. `firstUsedMs`: the wall time of its first use. A
 * client cannot renew a token during one GET, and a direct pull is not affected by its expiry.
 *
 * Source of a token's end: JWT `exp` (RFC 7519, 4.1.4).
 */
export function holdAtMs(target: Credential, firstUsedMs: number): number {
  const endsMs = [bearerEnd(target.authorization), signedUntilMs(target.url)].filter(
    (end) => end !== null,
  );
  if (endsMs.length > 0) return Math.min(...endsMs) - CREDENTIAL_HOLD_BEFORE_MS;
  const isOpaque = /^bearer /i.test(target.authorization ?? '');
  return isOpaque ? firstUsedMs + CREDENTIAL_HOLD_MS : Infinity;
}

/**
 * The wall time in ms at which a bearer token expires; null if it is not a JWT or has no expiry.
 */
function bearerEnd(authorization: string | null): number | null {
  const [, claims] = /^bearer +[\w-]+\.([\w-]+)\.[\w-]*$/i.exec(authorization ?? '') ?? [];
  if (claims === undefined) return null;
  try {
    const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { exp?: unknown };
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}
