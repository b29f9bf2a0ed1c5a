import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';

/** Clocks of nodes may differ by this much; a captured request is of use no longer. */
const CLOCK_SKEW_MS_MAX = 60_000;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * The cluster secret at work: signs every p2p request (HMAC-SHA256 over time, method, path with
 * query, and what goes along sealed), seals origin credentials (AES-256-GCM) for the one node that
 * needs them, and makes names that only its holders can make. Each use has a key of its own,
 * derived from the secret (HKDF-SHA256, RFC 5869), so that none weakens another.
 */
export class ClusterSecret {
  readonly #macKey: Buffer;
  readonly #sealKey: Buffer;
  readonly #nameKey: Buffer;

  constructor(secret: Uint8Array) {
    this.#macKey = Buffer.from(hkdfSync('sha256', secret, '', 'shoal p2p request', 32));
    this.#sealKey = Buffer.from(hkdfSync('sha256', secret, '', 'shoal origin context', 32));
    this.#nameKey = Buffer.from(hkdfSync('sha256', secret, '', 'shoal opaque name', 32));
  }

  /**
   * The value of the `shoal-auth` header for a request, `sealed` what goes along sealed: `<wall
   * time ms>.<hex mac>`.
   */
  sign(method: string, pathAndQuery: string, wallMs: number, sealed = ''): string {
    return `${wallMs}.${this.#mac(method, pathAndQuery, String(wallMs), sealed).toString('hex')}`;
  }

  /** Whether `header` was made with this secret, for this very request, about now. */
  verify(
    header: string,
    method: string,
    pathAndQuery: string,
    wallMs: number,
    sealed = '',
  ): boolean {
    const dot = header.indexOf('.');
    if (dot < 1) return false;
    const time = header.slice(0, dot);
    if (!/^\d{1,15}$/.test(time) || Math.abs(wallMs - Number(time)) > CLOCK_SKEW_MS_MAX)
      return false;
    const given = Buffer.from(header.slice(dot + 1), 'hex');
    const due = this.#mac(method, pathAndQuery, time, sealed);
    return given.length === due.length && timingSafeEqual(given, due);
  }

  /**
   * 64 hex digits that stand for `parts`: the same on every node with this secret, and not to be
   * read back.
   */
  opaqueName(...parts: string[]): string {
    return createHmac('sha256', this.#nameKey).update(JSON.stringify(parts)).digest('hex');
  }

  /** Encrypts `text` so that only holders of the secret can read it; base64url. */
  seal(text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#sealKey, nonce);
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64url');
  }

  /** The text of a seal, or null when it was not made with this secret or was altered. */
  open(sealed: string): string | null {
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length < NONCE_BYTES + TAG_BYTES) return null;
    const decipher = createDecipheriv('aes-256-gcm', this.#sealKey, bytes.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    try {
      return (
        decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES), undefined, 'utf8') +
        decipher.final('utf8')
      );
    } catch {
      // The only error final() raises here is a tag that does not fit: somebody else's seal.
      return null;
    }
  }

  #mac(method: string, pathAndQuery: string, time: string, sealed: string): Buffer {
    return createHmac('sha256', this.#macKey)
      .update(`${time}\n${method}\n${pathAndQuery}\n${sealed}`)
      .digest();
  }
}
