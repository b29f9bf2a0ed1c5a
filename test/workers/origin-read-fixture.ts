import { randomBytes } from 'node:crypto';
import { SHARD_BYTES } from '../../lib/limits.ts';
import type { OriginClient } from '../../lib/origin/client.ts';
import type { OriginSink } from '../../lib/origin/range-reader.ts';
import {
  readFromOrigin,
  type OriginPart,
  type OriginReadJob,
  type OriginReadResult,
} from '../../lib/workers/origin-read.ts';
import type { transferTools } from './peer/peer-server.ts';

export const SHARD = randomBytes(SHARD_BYTES);
export const PART: OriginPart = { slot: 0, attempt: 1, shard: 1, fromBytes: 0, sliceBytes: 0 };
export const JOB: OriginReadJob = {
  kind: 'origin',
  parts: [PART],
  totalBytes: null,
  digest: null,
  url: 'https://r.example/b',
  upstreamHost: 'r.example',
  authorization: 'Bearer t',
  ranges: 'unknown',
  mayStream: true,
};

/** Until the end of this turn of the event loop, when bytes that came in it are published. */
export const turnEnd = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs a job with an origin that calls `play` with the sink of each request. */
export async function readParts(
  tools: ReturnType<typeof transferTools>,
  play: (sink: OriginSink, request: number) => void | Promise<void>,
  job: Partial<OriginReadJob>,
  asked: unknown[] = [],
): Promise<[OriginReadResult, OriginPart][]> {
  const results: [OriginReadResult, OriginPart][] = [];
  const origin = {
    readRange: async (target: unknown, span: unknown, sink: OriginSink) => (
      asked.push(target, span),
      await play(sink, asked.length / 2)
    ),
  } as unknown as OriginClient;
  await readFromOrigin({ ...JOB, ...job }, origin, tools, (result, part) =>
    results.push([result, part]),
  );
  return results;
}

/** The spans that an origin was asked for. */
export const spansOf = (asked: unknown[]): { offsetBytes: number; lengthBytes: number }[] =>
  asked.filter((_, index) => index % 2 === 1) as { offsetBytes: number; lengthBytes: number }[];
