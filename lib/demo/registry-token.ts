import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Credentials } from '../registry/docker-config.ts';

const TOKEN_LIFE_MS = 300_000;

/**
 * The token server of the embedded registry (distribution, "Token Authentication Specification"):
 * one user with a random password, tokens that grant pulling from one repository for 300 s. Tokens
 * are signed, so none is kept.
 */
export class TokenIssuer {
  readonly credentials: Credentials;
  readonly #key = randomBytes(32);
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.credentials = { username: 'demo', password: randomBytes(18).toString('base64url') };
  }

  /**
   * A token for what the Basic `authorization` may have of `scope` (`repository:NAME:ACTIONS`);
   * null for anyone else.
   */
  issue(
    authorization: string | undefined,
    scope: string | null,
  ): { token: string; expiresInSeconds: number } | null {
    const { username, password } = this.credentials;
    const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    if (authorization === undefined || !same(authorization, expected)) return null;
    const repository = /^repository:([^:]+):(?:.*,)?pull(?:,.*)?$/.exec(scope ?? '')?.[1] ?? '';
    const claim = Buffer.from(
      JSON.stringify([repository, this.#clock.wallMs() + TOKEN_LIFE_MS]),
    ).toString('base64url');
    return { token: `${claim}.${this.#sign(claim)}`, expiresInSeconds: TOKEN_LIFE_MS / 1_000 };
  }

  /**
   * Whether the Bearer `authorization` may pull from `repository`; null asks only for any token of
   * ours.
   */
  accepts(authorization: string | undefined, repository: string | null): boolean {
    const [, claim, signature] = /^Bearer ([\w-]+)\.([\w-]+)$/i.exec(authorization ?? '') ?? [];
    if (claim === undefined || signature === undefined || !same(signature, this.#sign(claim)))
      return false;
    const [granted, untilMs] = JSON.parse(Buffer.from(claim, 'base64url').toString()) as [
      string,
      number,
    ];
    return this.#clock.wallMs() < untilMs && (repository === null || granted === repository);
  }

  #sign(claim: string): string {
    return createHmac('sha256', this.#key).update(claim).digest('base64url');
  }
}

function same(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
