import { readFile, writeFile } from 'node:fs/promises';
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import type { BlobDescriptor } from '../demo/image.ts';
import { ShoalError } from '../errors.ts';
import {
  PREHEAT_FRUITLESS_MAX,
  PREHEAT_RETRY_MS_MAX,
  PREHEAT_RETRY_MS_MIN,
  PREHEAT_TRACE_READS,
  TRACE_FILE_BYTES_MAX,
} from './limits.ts';
import { READ_TRACE_SHARDS_MAX, SHARD_BYTES } from '../limits.ts';
import { traceName } from '../registry/identity.ts';
import { isPassing, pause } from './preheat-layer.ts';

const DIGEST = /^sha256:[0-9a-f]{64}$/;

const reads = z.array(z.tuple([z.int().min(0), z.int().min(0)])).max(READ_TRACE_SHARDS_MAX);

/** What a node tells of the reads it has seen; see lib/control/serve/read-trace.ts. */
export const recordedReads = z.object({
  salt: z.string().min(1).max(64),
  blobs: z
    .array(z.strictObject({ name: z.string().regex(/^[0-9a-f]{64}$/, 'a name of 64 hex digits') }))
    .max(READ_TRACE_SHARDS_MAX),
  reads,
});
export type RecordedReads = z.output<typeof recordedReads>;

const head = {
  format: z.literal('shoal-trace'),
  recordedAt: z.string().max(40),
  shardBytes: z.literal(SHARD_BYTES),
};

/** Version 1 named blobs by digest and size. */
const traceFileV1 = z.strictObject({
  ...head,
  version: z.literal(1),
  blobs: z
    .array(
      z.strictObject({
        digest: z.string().regex(DIGEST, 'a sha256 digest'),
        sizeBytes: z.int().min(0),
      }),
    )
    .max(READ_TRACE_SHARDS_MAX),
  reads,
});

/** A trace as a file: JSON, without a URL, a credential or a digest. */
const traceFile = z
  .discriminatedUnion('version', [
    traceFileV1,
    z.strictObject({ ...head, version: z.literal(2), ...recordedReads.shape }),
  ])
  .superRefine(({ blobs, reads }, context) => {
    for (const [at, [blob, shard]] of reads.entries()) {
      const known = blobs[blob];
      if (known === undefined)
        context.addIssue({
          code: 'custom',
          path: ['reads', at],
          message: `there is no blob ${blob}`,
        });
      else if ('sizeBytes' in known && shard * SHARD_BYTES >= known.sizeBytes)
        context.addIssue({
          code: 'custom',
          path: ['reads', at],
          message: `blob ${blob} has no shard ${shard}`,
        });
      else continue;
      // One is enough to know that the file is not a valid trace.
      return;
    }
  });
export type TraceFile = z.output<typeof traceFile>;

/** The trace in a file. Throws FILE_UNUSABLE with one line that names what is wrong. */
export async function loadTrace(file: string): Promise<TraceFile> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ShoalError(
      'FILE_UNUSABLE',
      `${file}: ${error.code === 'ENOENT' ? 'no such file' : (error.code ?? error.message)}`,
    );
  });
  if (text.length > TRACE_FILE_BYTES_MAX)
    throw new ShoalError(
      'FILE_UNUSABLE',
      `${file}: ${text.length} bytes long; a trace has at most ${TRACE_FILE_BYTES_MAX}`,
    );
  return parseTrace(text, file);
}

export function parseTrace(text: string, file: string): TraceFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ShoalError('FILE_UNUSABLE', `${file}: not JSON, so no trace`);
  }
  const parsed = traceFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new ShoalError(
    'FILE_UNUSABLE',
    `${file}: ` +
      `${issue.path.length === 0 ? 'not a trace of this version' : issue.path.join('.')}: ` +
      `${issue.message.replaceAll('\n', ' ')}`,
  );
}

export async function saveTrace(file: string, reads: RecordedReads, wallMs: number): Promise<void> {
  const trace: TraceFile = {
    format: 'shoal-trace',
    version: 2,
    recordedAt: new Date(wallMs).toISOString(),
    shardBytes: SHARD_BYTES,
    ...reads,
  };
  await writeFile(file, `${JSON.stringify(trace)}\n`).catch((error: NodeJS.ErrnoException) => {
    throw new ShoalError('FILE_UNUSABLE', `${file}: ${error.code ?? error.message}`);
  });
}

/** A part of a blob to be read. */
export interface TracedRange {
  blob: BlobDescriptor;
  startBytes: number;
  endBytes: number;
}

/**
 * The ranges of `blobs` that the trace has, in its order. A blob of another size is another one: it
 * is left out.
 */
export function rangesOf(trace: TraceFile, blobs: readonly BlobDescriptor[]): TracedRange[] {
  const find = finderOf(trace, blobs);
  return trace.reads.flatMap(([index, shard]) => {
    const blob = find(index);
    const startBytes = shard * SHARD_BYTES;
    if (blob === undefined || startBytes >= blob.sizeBytes) return [];
    return [{ blob, startBytes, endBytes: Math.min(blob.sizeBytes, startBytes + SHARD_BYTES) }];
  });
}

/** Which of `blobs` the trace means by a number. */
function finderOf(
  trace: TraceFile,
  blobs: readonly BlobDescriptor[],
): (index: number) => BlobDescriptor | undefined {
  if (trace.version === 2) {
    const named = new Map(blobs.map((blob) => [traceName(blob.digest, trace.salt), blob]));
    return (index) => named.get(trace.blobs[index]!.name);
  }
  const known = new Map(blobs.map((blob) => [blob.digest, blob]));
  return (index) => {
    const { digest, sizeBytes } = trace.blobs[index]!;
    const blob = known.get(digest);
    return blob?.sizeBytes === sizeBytes ? blob : undefined;
  };
}

/** Where parts of blobs are read from; as BlobSource. */
export interface RangeSource {
  readRange(
    repository: string,
    digest: string,
    startBytes: number,
    endBytes: number,
  ): AsyncIterable<Uint8Array>;
}

/**
 * Reads the ranges in their order, some at a time, and forgets them. Returns what went wrong, a
 * line per blob.
 */
export async function readRanges(
  source: RangeSource,
  repository: string,
  ranges: readonly TracedRange[],
  clock: Clock,
  onBytes: (bytes: number) => void,
): Promise<Map<string, string>> {
  const waiting = [...ranges];
  const problems = new Map<string, string>();
  const reader = async (): Promise<void> => {
    for (let range = waiting.shift(); range !== undefined; range = waiting.shift()) {
      const { digest } = range.blob;
      if (problems.has(digest)) continue;
      try {
        await readOne(source, repository, range, clock, onBytes);
      } catch (error) {
        problems.set(digest, ShoalError.from(error).message);
      }
    }
  };
  await Promise.all(Array.from({ length: PREHEAT_TRACE_READS }, reader));
  return problems;
}

async function readOne(
  source: RangeSource,
  repository: string,
  { blob, startBytes, endBytes }: TracedRange,
  clock: Clock,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let atBytes = startBytes;
  for (let fruitless = 0; ; fruitless++) {
    try {
      for await (const part of source.readRange(repository, blob.digest, atBytes, endBytes)) {
        atBytes += part.length;
        onBytes(part.length);
      }
      if (atBytes === endBytes) return;
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `blob ${blob.digest}: ${atBytes - startBytes} bytes came of ${endBytes - startBytes}`,
      );
    } catch (error) {
      const failure = ShoalError.from(error, 'ORIGIN_BROKEN');
      if (!isPassing(failure) || fruitless + 1 >= PREHEAT_FRUITLESS_MAX) throw failure;
    }
    await pause(clock, Math.min(PREHEAT_RETRY_MS_MAX, PREHEAT_RETRY_MS_MIN * 2 ** fruitless));
  }
}
