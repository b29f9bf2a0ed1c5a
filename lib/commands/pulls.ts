import Table from 'cli-table3';
import pc from 'picocolors';
import type { PullStatus } from '../telemetry/status.ts';
import { placeOf, readExporter, type NodeChoice } from './exporter-client.ts';
import type { Output } from './process-output.ts';
import { formatBytes, formatSeconds } from '../quantity.ts';

const PLAIN = { head: [], border: [], compact: true };
/** Columns of a terminal that the image's name may take. */
const IMAGE_COLUMNS = 34;

/** `shoal pulls`: the pulls of one node, newest last, with their sources and waits. */
export async function runPulls(
  options: NodeChoice & { json: boolean; token?: string | null },
  output: Output,
): Promise<number> {
  const { pulls } = await readExporter(
    await placeOf(options),
    '/status/pulls',
    hasPulls,
    options.token ?? null,
  );
  output.out(options.json ? `${JSON.stringify({ pulls })}\n` : renderPulls(pulls));
  return 0;
}

function hasPulls(body: unknown): body is { pulls: PullStatus[] } {
  return Array.isArray((body as { pulls?: unknown } | undefined)?.pulls);
}

function renderPulls(pulls: readonly PullStatus[]): string {
  if (pulls.length === 0) return 'No pull yet.\n';
  const table = new Table({
    head: ['image', 'size', 'time', 'sources', 'waited for'],
    colAligns: ['left', 'right', 'right', 'left', 'left'],
    style: PLAIN,
  });
  for (const pull of [...pulls].reverse())
    table.push([
      tail(pull.image),
      formatBytes(pull.bytes),
      `${formatSeconds(pull.seconds)}${pull.running ? '+' : ''}`,
      sourcesOf(pull),
      waitsOf(pull),
    ]);
  const errors = pulls.flatMap(({ image, errors: found }) =>
    found.map(
      ({ code, message, count }) =>
        `${pc.red(code)}${count > 1 ? ` (${count} times)` : ''}  ${image}: ${message}`,
    ),
  );
  return `${[table.toString(), ...errors].join('\n')}\n`;
}

/** `peer 87 % origin 13 %`, the largest first. */
function sourcesOf({ sources, bytes }: Pick<PullStatus, 'sources' | 'bytes'>): string {
  return Object.entries(sources)
    .filter(([, part]) => part > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([source, part]) => `${source} ${((part / bytes) * 100).toFixed(0)} %`)
    .join(' ');
}

/** The causes that cost at least 1 % of the time, the longest first. */
function waitsOf({ waitedMs, seconds, slowestPeer }: PullStatus): string {
  const worst = Object.entries(waitedMs)
    .filter(([, ms]) => ms >= seconds * 10 && ms >= 1)
    .sort(([, a], [, b]) => b - a)
    .map(([cause, ms]) => `${cause} ${formatSeconds(ms / 1000)}`);
  const peer =
    waitedMs.peer >= seconds * 100 && slowestPeer !== null
      ? [`(slowest ${slowestPeer.node}, ${formatBytes(slowestPeer.bytesPerSecond)}/s)`]
      : [];
  return [...worst, ...peer].join(' ') || '-';
}

function tail(image: string): string {
  return image.length <= IMAGE_COLUMNS ? image : `...${image.slice(3 - IMAGE_COLUMNS)}`;
}
