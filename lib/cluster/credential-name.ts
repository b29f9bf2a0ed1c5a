import { createHash, scrypt } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { CREDENTIAL_NAMES_MAX, CREDENTIAL_NAMES_WAITING_MAX } from './limits.ts';
import type { ClusterSecret } from '../wire/secret.ts';

/** scrypt's cost (RFC 7914): about 50 ms and 16 MiB a guess. */
const COST = { N: 2 ** 14, r: 8, p: 1 };
/** A token this long cannot be guessed, so its name need not be slow to make. */
const TOKEN_CHARS_MIN = 32;

/**
 * Names of credentials by which nodes ask each other whether a registry has accepted one, without
 * saying it. A holder of the cluster secret could try passwords against a name; so the name of what
 * may be a password is slow to make (scrypt, salted with the secret), one at a time, since the
 * thread pool it runs on also serves the disk.
 */
export class CredentialNames {
  readonly #secret: ClusterSecret;
  readonly #salt: string;
  readonly #names = new LRUCache<string, string>({ max: CREDENTIAL_NAMES_MAX });
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(secret: ClusterSecret) {
    this.#secret = secret;
    this.#salt = secret.opaqueName('salt of credentials');
  }

  /**
   * The name of an Authorization header, `authorization` null for none; null when too many wait for
   * theirs.
   */
  async of(authorization: string | null): Promise<string | null> {
    if (authorization === null || authorization === '') return 'anonymous';
    if (isToken(authorization)) return this.#secret.opaqueName('token', authorization);
    const id = createHash('sha256').update(authorization).digest('base64');
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    if (this.#waiting >= CREDENTIAL_NAMES_WAITING_MAX) return null;
    this.#waiting += 1;
    const made = this.#last.then(() => this.#names.get(id) ?? slowHash(authorization, this.#salt));
    this.#last = made.catch(() => undefined);
    try {
      const name = await made;
      this.#names.set(id, name);
      return name;
    } finally {
      this.#waiting -= 1;
    }
  }
}

/** Whether a credential cannot be guessed: its name is then made at once. */
export function isToken(authorization: string): boolean {
  return (/^bearer +(\S+)$/i.exec(authorization)?.[1]?.length ?? 0) >= TOKEN_CHARS_MIN;
}

function slowHash(text: string, salt: string): Promise<string> {
  return new Promise((resolve, reject) => {
    scrypt(text, salt, 32, COST, (error, key) =>
      error === null ? resolve(key.toString('hex')) : reject(error),
    );
  });
}
