import { getSystemErrorMessage } from 'node:util';

/** Why a call of the system failed, with its code: `no such file or directory (ENOENT)`. */
export function systemReason(error: unknown): string {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return message ?? String(error);
  const words = errno === undefined ? undefined : getSystemErrorMessage(errno);
  return words === undefined ? code : `${words} (${code})`;
}
