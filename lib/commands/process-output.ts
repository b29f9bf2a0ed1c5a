/** Where a command writes; the process's own streams by default. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
  /** Resolves once the text written so far has been flushed, or its reader has gone. */
  taken?(): Promise<void>;
}

/**
 * The process's own streams. A reader that goes away (`| head`) is no error of the command's: it
 * goes on without it.
 */
export function processOutput(): Output {
  const streams = [process.stdout, process.stderr];
  for (const stream of streams) stream.on('error', () => undefined);
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    async taken() {
      // A pipe takes 64 KiB at a time, and what it has not taken ends with the process.
      await Promise.all(
        streams.map((stream) => new Promise<void>((give) => void stream.write('', () => give()))),
      );
    },
  };
}
