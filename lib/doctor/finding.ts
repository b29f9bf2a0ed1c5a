/** One precondition of a node: whether it holds, why not, and what to do. */
export interface Finding {
  /** What was looked at, in a word or two: `cache disk`, `peer 10.0.0.2:65002`. */
  check: string;
  outcome: 'ok' | 'warning' | 'failed';
  detail: string;
  /** The next step; null when all is well. */
  fix: string | null;
}

export const ok = (check: string, detail: string): Finding => ({
  check,
  outcome: 'ok',
  detail,
  fix: null,
});

export const warning = (check: string, detail: string, fix: string): Finding => ({
  check,
  outcome: 'warning',
  detail,
  fix,
});

export const failed = (check: string, detail: string, fix: string): Finding => ({
  check,
  outcome: 'failed',
  detail,
  fix,
});

/** The system's code of an error, or its message. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message ?? String(error);
}
