import { RECENT_ERRORS_MAX } from './limits.ts';
import { redactText } from './redact.ts';

export interface RecentError {
  /** Time of the last occurrence, milliseconds since the Unix epoch. */
  atMs: number;
  /** Of lib/errors.ts, or the system's (`ENOSPC`). */
  code: string;
  message: string;
  /** Occurrences since it entered the list. */
  count: number;
}

/**
 * The last distinct errors, newest first; a repeated error moves to the front and is counted.
 */
export class RecentErrors {
  /** In order of their last occurrence, oldest first. */
  readonly #errors = new Map<string, RecentError>();

  add(wallMs: number, code: string, message: string): void {
    // Anybody may read the list, so digests are removed.
    const safe = redactText(message).replace(/\b(sha256|sha512|url):[0-9a-f]{12,}/g, '$1:...');
    const key = `${code} ${safe}`;
    const known = this.#errors.get(key);
    this.#errors.delete(key);
    this.#errors.set(key, { atMs: wallMs, code, message: safe, count: (known?.count ?? 0) + 1 });
    if (this.#errors.size > RECENT_ERRORS_MAX)
      this.#errors.delete(this.#errors.keys().next().value!);
  }

  list(): RecentError[] {
    return [...this.#errors.values()].reverse();
  }
}
