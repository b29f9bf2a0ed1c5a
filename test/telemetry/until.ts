const LOOK_MS = 5;

/** Waits until a condition holds, looking every few milliseconds; fails after `deadlineMs`. */
export function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  return new Promise((resolve, reject) => {
    const look = async (): Promise<void> => {
      try {
        if (await condition()) resolve();
        else if (performance.now() > endMs)
          reject(new Error(`waited ${deadlineMs} ms in vain for ${what}`));
        else setTimeout(() => void look(), LOOK_MS);
      } catch (error) {
        reject(error as Error);
      }
    };
    void look();
  });
}
