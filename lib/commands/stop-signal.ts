/**
 * Resolves at the first SIGTERM or SIGINT, or when the terminal goes (SIGHUP); at a second of the
 * two, `atOnce` ends the process with exit code 1, for whoever does not want to wait for the drain.
 */
export function stopSignal(atOnce: (code: number) => never): Promise<NodeJS.Signals> {
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
      seen = true;
      give(signal);
    });
  });
}
