import { MultiBar, Presets } from 'cli-progress';
import type { SingleBar } from 'cli-progress';
import type { PullOutcome } from '../demo/pull.ts';
import { formatBytes, formatSeconds } from '../quantity.ts';

/** One pull, as it is shown while it runs. */
interface PullProgress {
  advance(bytes: number): void;
  done(outcome: PullOutcome): void;
}

interface ProgressBoard {
  pull(name: string, imageBytes: number): PullProgress;
  close(): void;
}

const LINE_EVERY_PERCENT = 25;

/** Bars on a terminal, else a line at every quarter. */
export function progressBoard(stream: NodeJS.WriteStream): ProgressBoard {
  return stream.isTTY ? bars(stream) : lines((text) => void stream.write(text));
}

function bars(stream: NodeJS.WriteStream): ProgressBoard {
  const board = new MultiBar(
    {
      format: '  {name} {bar} {percentage} %  {state}',
      stream,
      hideCursor: true,
      barsize: 28,
      autopadding: true,
    },
    Presets.shades_classic,
  );
  return {
    pull(name, imageBytes) {
      const bar: SingleBar = board.create(imageBytes, 0, { name: name.padEnd(9), state: '' });
      return {
        advance: (bytes) => bar.increment(bytes),
        // The line ends with the terminal; what failed stands under the table.
        done: (outcome) =>
          bar.update({
            state:
              `${outcome.digestsOk ? 'done in' : 'FAILED after'} ` +
              `${formatSeconds(outcome.seconds)}`,
          }),
      };
    },
    close: () => board.stop(),
  };
}

/** Plain lines, for a pipe or a file. */
export function lines(write: (text: string) => void): ProgressBoard {
  return {
    pull(name, imageBytes) {
      let pulled = 0;
      let shownPercent = 0;
      return {
        advance(bytes) {
          pulled += bytes;
          const percent = imageBytes === 0 ? 100 : Math.floor((pulled / imageBytes) * 100);
          if (percent < shownPercent + LINE_EVERY_PERCENT || percent >= 100) return;
          shownPercent = percent - (percent % LINE_EVERY_PERCENT);
          write(`  ${name} ${shownPercent} % of ${formatBytes(imageBytes)}\n`);
        },
        done: (outcome) => write(`  ${name} ${verdict(outcome)}\n`),
      };
    },
    close: () => undefined,
  };
}

function verdict(outcome: PullOutcome): string {
  const time = formatSeconds(outcome.seconds);
  return outcome.digestsOk
    ? `done in ${time}, every digest right`
    : `FAILED after ${time}: ${outcome.problems[0] ?? ''}`;
}
