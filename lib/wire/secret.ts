import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { CLOCK_SKEW_MS_MAX } from './limits.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * The uses of the cluster secret: to sign requests between nodes (HMAC-SHA256), to seal what only
 * another node may read (AES-256-GCM), and to make opaque names that only its holders can make.
 * Each
 * use has its own key, derived from the secret (HKDF-SHA256, RFC 5869), so that none weakens
 * another.
 */
export class ClusterSecret {
  /** Of the secret in use first, then of one that is only accepted. */
  readonly #keys: readonly [SecretKeys, ...SecretKeys[]];

  /** `accepted`: secrets of other nodes that are believed but not used, while one is replaced. */
  constructor(secret: Uint8Array, ...accepted: Uint8Array[]) {
    this.#keys = [keysOf(secret), ...accepted.map(keysOf)];
  }

  /** From secrets in hex, separated by commas: the one in use first. */
  static ofHex(list: string): ClusterSecret {
    const [secret = '', ...accepted] = list.split(',');
    const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
    return new ClusterSecret(bytes(secret), ...accepted.map(bytes));
  }

  /** A signature of `text`, made at `wallMs`: `<wall time ms>.<hex mac>`. */
  sign(text: string, wallMs: number): string {
    return `${wallMs}.${macOf(this.#keys[0].mac, text, String(wallMs)).toString('hex')}`;
  }

  /**
   * Whether `signature` is of `text`, made with this secret within CLOCK_SKEW_MS_MAX of `wallMs`.
   */
  verify(signature: string, text: string, wallMs: number): boolean {
    const madeMs = this.madeAtMs(signature, text);
    return madeMs !== null && Math.abs(wallMs - madeMs) <= CLOCK_SKEW_MS_MAX;
  }

  /** When `signature` of `text` was made; null when it was not made with this secret. */
  madeAtMs(signature: string, text: string): number | null {
    const dot = signature.indexOf('.');
    if (dot < 1) return null;
    const time = signature.slice(0, dot);
    if (!/^\d{1,15}$/.test(time)) return null;
    const digits = signature.slice(dot + 1);
    // Buffer.from would stop at the first character that is no digit pair, and ignore the rest.
    if (!/^(?:[0-9a-f]{2})+$/.test(digits)) return null;
    const given = Buffer.from(digits, 'hex');
    const isOurs = this.#keys.some(({ mac }) => {
      const due = macOf(mac, text, time);
      return given.length === due.length && timingSafeEqual(given, due);
    });
    return isOurs ? Number(time) : null;
  }

  /** 64 hex digits that stand for `parts`, the same on every node with this secret; one-way. */
  opaqueName(...parts: string[]): string {
    return createHmac('sha256', this.#keys[0].name).update(JSON.stringify(parts)).digest('hex');
  }

  /** Encrypts `text` so that only holders of the secret can read it; base64url. */
  seal(text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#keys[0].seal, nonce);
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64url');
  }

  /** The text of a seal, or null when it was made with another secret or altered. */
  open(sealed: string): string | null {
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length < NONCE_BYTES + TAG_BYTES) return null;
    for (const { seal } of this.#keys) {
      const opened = openWith(seal, bytes);
      if (opened !== null) return opened;
    }
    return null;
  }
}

/** The text of a seal by one key; null when the key or the content does not fit. */
function openWith(key: Buffer, bytes: Buffer): string | null {
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  try {
    return (
      decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES), undefined, 'utf8') +
      decipher.final('utf8')
    );
  } catch {
    // final() throws only when the tag does not match.
    return null;
  }
}

function macOf(key: Buffer, text: string, time: string): Buffer {
  return createHmac('sha256', key)
    .update(`${time}
${text}`)
    .digest();
}

interface SecretKeys {
  readonly mac: Buffer;
  readonly seal: Buffer;
  readonly name: Buffer;
}

function keysOf(secret: Uint8Array): SecretKeys {
  const derived = (use: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', use, 32));
  return {
    mac: derived('shoal p2p request'),
    seal: derived('shoal origin context'),
    name: derived('shoal opaque name'),
  };
}
