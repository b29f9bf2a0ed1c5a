import { ShoalError } from '../errors.ts';
import type { Output } from './process-output.ts';
import { formatBytes, formatSeconds } from '../quantity.ts';

export interface EstimateCommandOptions {
  nodes: number;
  /** Bytes. */
  image: number;
  layers: number;
  /** Bits per second. */
  link: number;
  originLink?: number;
  roots: number;
  /** Seconds within which the nodes begin. */
  within: number;
  /** Price of a GB from the registry, in any currency. */
  price?: number;
  json?: boolean;
}

interface PullEstimate {
  p50Seconds: number;
  p95Seconds: number;
  originBytes: number;
}

interface Estimate {
  idealSeconds: number;
  shoal: PullEstimate;
  direct: PullEstimate;
  unitBytes: number;
}

/** The program of native-bench/ behind this command. */
interface Simulator {
  estimate(options: object): Estimate;
}

// By path, not by an import: lib/ does not depend on native-bench/.
const SIMULATOR = new URL('../../native-bench/estimate.ts', import.meta.url);

const BITS: Record<string, number> = { kbit: 1e3, mbit: 1e6, gbit: 1e9, tbit: 1e12 };

/** `10Gbit` or `500 Mbit/s` in bits per second; null when it is no rate. */
export function parseBitRate(text: string): number | null {
  const match = /^(\d{1,9}(?:\.\d{1,6})?) ?([kmgt]bit)(?:\/s|ps)?$/i.exec(text.trim());
  const rate = match === null ? 0 : Number(match[1]) * BITS[match[2]!.toLowerCase()]!;
  return rate > 0 ? rate : null;
}

/**
 * `shoal estimate`: simulates a pull of one image by many nodes, through Shoal and directly. Throws
 * USAGE for an image smaller than its number of layers.
 */
export async function runEstimate(
  options: EstimateCommandOptions,
  output: Output,
): Promise<number> {
  if (options.image < options.layers)
    throw new ShoalError('USAGE', '--image is smaller than one byte for each of --layers');
  const { estimate } = (await import(SIMULATOR.href)) as Simulator;
  const originLink = options.originLink ?? options.link;
  const found = estimate({
    nodes: options.nodes,
    imageBytes: options.image,
    layers: options.layers,
    linkBytesPerMs: options.link / 8000,
    originLinkBytesPerMs: originLink / 8000,
    roots: options.roots,
    spreadMs: options.within * 1000,
    seed: 1,
  });
  const cost = ({ originBytes }: PullEstimate): number | null =>
    options.price === undefined ? null : (originBytes / 1e9) * options.price;
  if (options.json === true) {
    const withCost = (pull: PullEstimate): object => ({ ...pull, cost: cost(pull) });
    const { shoal, direct, idealSeconds } = found;
    const result = {
      nodes: options.nodes,
      imageBytes: options.image,
      idealSeconds,
      shoal: withCost(shoal),
      direct: withCost(direct),
    };
    output.out(`${JSON.stringify(result)}\n`);
    return 0;
  }
  const row = (name: string, p50: string, p95: string, bytes: string, money: string): string =>
    `  ${name.padEnd(14)}${p50.padStart(10)}${p95.padStart(10)}${bytes.padStart(15)}` +
    `${options.price === undefined ? '' : money.padStart(12)}\n`;
  const line = (name: string, pull: PullEstimate): string =>
    row(
      name,
      formatSeconds(pull.p50Seconds),
      formatSeconds(pull.p95Seconds),
      formatBytes(pull.originBytes),
      cost(pull)?.toFixed(2) ?? '',
    );
  output.out(
    `${options.nodes} nodes pull ${formatBytes(options.image)} in ${options.layers} layers, ` +
      `links of ${rate(options.link)}, registry on ${rate(originLink)}; ` +
      `all begin within ${options.within} s.\n\n` +
      row('', 'P50', 'P95', 'from registry', 'cost') +
      line('through Shoal', found.shoal) +
      line('directly', found.direct) +
      `\n  The least possible time is ${formatSeconds(found.idealSeconds)}. ` +
      `Simulated with ${options.roots} roots and units of ${formatBytes(found.unitBytes)};\n` +
      `  disks and unpacking are not part of it (docs/SIZING.md).\n`,
  );
  return 0;
}

function rate(bitsPerSecond: number): string {
  const [unit = 'kbit/s', scale = 1e3] =
    Object.entries({ 'Gbit/s': 1e9, 'Mbit/s': 1e6 }).find(([, size]) => bitsPerSecond >= size) ??
    [];
  return `${bitsPerSecond / scale} ${unit}`;
}
