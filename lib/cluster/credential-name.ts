import { createHash, scrypt } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { CREDENTIAL_NAMES_MAX, CREDENTIAL_NAMES_WAITING_MAX } from './limits.ts';
import type { ClusterSecret } from '../wire/secret.ts';

/** scrypt cost (RFC 7914): about 50 ms and 16 MiB per guess. */
const COST = { N: 2 ** 14, r: 8, p: 1 };
/** A token this long cannot be guessed, so its name may be cheap to compute. */
const TOKEN_CHARS_MIN = 32;

/**
 * Opaque names of credentials. Nodes use them to ask each other whether a registry has accepted a
 * credential, without sending it. A holder of the cluster secret could test passwords against a
 * name, so the name of a possible password is slow to compute (scrypt, salted with the secret).
 * Names are computed one at a time, because scrypt uses the thread pool that also serves the disk.
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
   * The name of an Authorization header (`authorization` is null if there is none); null when too
   * many computations are queued.
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

/** Whether a credential cannot be guessed; its name is then computed at once. */
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
