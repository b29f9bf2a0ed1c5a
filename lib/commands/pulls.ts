import pc from 'picocolors';
import type { PullStatus } from '../telemetry/status.ts';
import { shownText } from '../telemetry/obeyed.ts';
import { tail, wrap } from './columns.ts';
import { placeOf, readExporter, type NodeChoice } from './exporter-client.ts';
import type { Output } from './process-output.ts';
import { formatBytes, formatSeconds } from '../quantity.ts';

/** `shoal pulls`: the pulls of one node, newest last, with their sources and waits. */
export async function runPulls(
  options: NodeChoice & { json: boolean; token?: string | null },
  output: Output,
  columns = process.stdout.columns ?? 80,
): Promise<number> {
  const { pulls } = await readExporter(
    await placeOf(options),
    '/status/pulls',
    hasPulls,
    options.token ?? null,
  );
  output.out(options.json ? `${JSON.stringify({ pulls })}\n` : renderPulls(pulls, columns));
  return 0;
}

function hasPulls(body: unknown): body is { pulls: PullStatus[] } {
  return Array.isArray((body as { pulls?: unknown } | undefined)?.pulls);
}

/** The newest first, each in lines that fit the terminal. */
export function renderPulls(pulls: readonly PullStatus[], columns: number): string {
  if (pulls.length === 0) return 'No pull yet.\n';
  return `${[...pulls]
    .reverse()
    .map((pull) => renderPull(pull, columns))
    .join('\n\n')}\n`;
}

function renderPull(pull: PullStatus, columns: number): string {
  const { image, bytes, seconds, bytesPerSecond, running, errors } = pull;
  const facts = [
    formatBytes(bytes),
    `${formatSeconds(seconds)}${running ? ', going on' : ''}`,
    `${formatBytes(bytesPerSecond)}/s`,
    ...sourcesOf(pull),
  ];
  const waits = waitsOf(pull);
  return [
    pc.bold(tail(shownText(image), columns)),
    `  ${wrap(facts, columns - 2, '  ')}`,
    ...(waits.length === 0 ? [] : [`  ${wrap(['waited for', ...waits], columns - 2, '  ')}`]),
    ...errors.map(
      ({ code, message, count }) =>
        `  ${pc.red(code)}${count > 1 ? ` (${count} times)` : ''}  ${shownText(message)}`,
    ),
  ].join('\n');
}

/** `peer 87 %`, `origin 13 %`: the largest first. */
function sourcesOf({ sources, bytes }: Pick<PullStatus, 'sources' | 'bytes'>): string[] {
  return Object.entries(sources)
    .filter(([, part]) => part > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([source, part]) => `${source} ${((part / bytes) * 100).toFixed(0)} %`);
}

/** The causes that cost at least 1 % of the time, the longest first. */
function waitsOf({ waitedMs, seconds, slowestPeer }: PullStatus): string[] {
  const worst = Object.entries(waitedMs)
    .filter(([, ms]) => ms >= seconds * 10 && ms >= 1)
    .sort(([, a], [, b]) => b - a)
    .map(([cause, ms]) => `${cause} ${formatSeconds(ms / 1000)}`);
  const peer =
    waitedMs.peer >= seconds * 100 && slowestPeer !== null
      ? [`(slowest ${slowestPeer.node}, ${formatBytes(slowestPeer.bytesPerSecond)}/s)`]
      : [];
  return [...worst, ...peer];
}
