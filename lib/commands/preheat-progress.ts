import { MultiBar, Presets } from 'cli-progress';
import type { BlobDescriptor } from '../demo/image.ts';
import { formatBytes, formatSeconds } from '../quantity.ts';

/** A layer, as it is shown while it is read. */
interface LayerProgress {
  advance(bytes: number): void;
  /** `problem` is null when it came whole. */
  done(seconds: number, problem: string | null): void;
}

export interface LayerBoard {
  layer(blob: BlobDescriptor): LayerProgress;
  /** A node that brings `sizeBytes` to itself. */
  node(name: string, sizeBytes: number): LayerProgress;
  close(): void;
}

const SHORT_DIGEST_CHARS = 'sha256:'.length + 12;

/**
 * Bars of the layers under way on a terminal, a line for each that is done anywhere; `write` takes
 * the lines where there is no terminal.
 */
export function layerBoard(stream: NodeJS.WriteStream, write: (text: string) => void): LayerBoard {
  return stream.isTTY ? bars(stream) : plainLayers(write);
}

function bars(stream: NodeJS.WriteStream): LayerBoard {
  const board = new MultiBar(
    {
      format: '  {name} {bar} {percentage} %  {size}',
      stream,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 28,
      autopadding: true,
    },
    Presets.shades_classic,
  );
  const row = (name: string, sizeBytes: number): LayerProgress => {
    const bar = board.create(sizeBytes, 0, { name, size: formatBytes(sizeBytes) });
    return {
      advance: (bytes) => bar.increment(bytes),
      done(seconds, problem) {
        board.remove(bar);
        board.log(verdict(name, sizeBytes, seconds, problem));
      },
    };
  };
  return {
    layer: (blob) => row(shortName(blob), blob.sizeBytes),
    node: row,
    close() {
      // Lines are written with the next drawing, which the last one would not see.
      board.update();
      board.stop();
    },
  };
}

/** Plain lines, for a pipe or a file. */
function plainLayers(write: (text: string) => void): LayerBoard {
  const row = (name: string, sizeBytes: number): LayerProgress => ({
    advance: () => undefined,
    done: (seconds, problem) => write(verdict(name, sizeBytes, seconds, problem)),
  });
  return {
    layer: (blob) => row(shortName(blob), blob.sizeBytes),
    node: row,
    close: () => undefined,
  };
}

function verdict(name: string, sizeBytes: number, seconds: number, problem: string | null): string {
  const state =
    problem === null
      ? `${formatBytes(sizeBytes)} in ${formatSeconds(seconds)}`
      : `FAILED after ${formatSeconds(seconds)}: ${problem}`;
  return `  ${name} ${state}\n`;
}

function shortName({ digest }: BlobDescriptor): string {
  return digest.slice(0, SHORT_DIGEST_CHARS);
}
