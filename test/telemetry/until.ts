/** The first look again comes after this; later ones after a tenth of the time waited so far. */
const LOOK_MS_MIN = 5;
const LOOK_MS_MAX = 50;

/** Waits until a condition holds, looking again and again; fails after `deadlineMs`. */
export function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 30_000,
): Promise<void> {
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const look = async (): Promise<void> => {
      try {
        if (await condition()) return resolve();
        const waitedMs = performance.now() - startMs;
        if (waitedMs > deadlineMs) reject(new Error(`waited ${deadlineMs} ms in vain for ${what}`));
        else setTimeout(() => void look(), nextLookMs(waitedMs));
      } catch (error) {
        reject(error as Error);
      }
    };
    void look();
  });
}

/** The pause before the next look: short waits end soon, long ones leave the processor alone. */
export function nextLookMs(waitedMs: number): number {
  return Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, waitedMs / 10));
}
