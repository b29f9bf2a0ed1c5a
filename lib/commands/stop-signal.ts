/**
 * Resolves at the first SIGTERM or SIGINT; the second ends the process at once with exit code 1,
 * for whoever does not want to wait for the drain.
 */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((give) => {
    let seen = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (seen) process.exit(1);
      seen = true;
      give(signal);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
