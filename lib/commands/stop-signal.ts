import { closeSync, openSync } from 'node:fs';

/**
 * Resolves at the first SIGTERM or SIGINT, or when the terminal goes (SIGHUP); at a second of the
 * two, `atOnce` ends the process with exit code 1, for whoever does not want to wait for the drain.
 * With `reload` given, a SIGHUP calls it instead, unless the terminal has gone.
 */
export function stopSignal(
  atOnce: (code: number) => never,
  reload?: () => void,
): Promise<NodeJS.Signals> {
  const hadTerminal = hasTerminal();
  return new Promise((give) => {
    let seen = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (seen) atOnce(1);
      seen = true;
      give(signal);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    // A shell passes it on to its jobs, and the kernel tells them once more: that is no impatience.
    process.on('SIGHUP', (signal) => {
      const isTerminalGone = hadTerminal && !hasTerminal();
      if (reload !== undefined && !isTerminalGone) {
        reload();
        return;
      }
      seen = true;
      give(signal);
    });
  });
}

/** Whether this process has a controlling terminal. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
