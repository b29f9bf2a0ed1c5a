import { InvalidArgumentError } from 'commander';
import { parseByteSize } from '../config/byte-size.ts';
import { parseBitRate } from './estimate.ts';

/* Parsers of option values. Each throws InvalidArgumentError, which is a usage error. */

export function collect(value: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}

/** Parses a whole number within bounds; anything else is a usage error. */
export function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= min && number <= max))
      throw new InvalidArgumentError(`allowed: a whole number from ${min} to ${max}`);
    return number;
  };
}

/** Bytes, with or without a unit. */
export function byteSize(value: string): number {
  const bytes = parseByteSize(value);
  if (bytes === null || bytes < 1)
    throw new InvalidArgumentError(
      'allowed: a number of bytes, also with KiB, MiB, GiB, kB, MB or GB',
    );
  return bytes;
}

/** Bits per second. */
export function bitRate(value: string): number {
  const bits = parseBitRate(value);
  if (bits === null) throw new InvalidArgumentError('allowed: a rate such as 10Gbit or 500Mbit');
  return bits;
}

/** A price, a time: any number that is not negative. */
export function amount(value: string): number {
  const number = /^\d{1,9}(?:\.\d{1,6})?$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isNaN(number)) throw new InvalidArgumentError('allowed: a number such as 5 or 0.09');
  return number;
}
