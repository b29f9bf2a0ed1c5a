import { systemClock } from '../clock.ts';
import { parseUpstream } from '../config/address.ts';
import type { BlobDescriptor } from '../demo/image.ts';
import { RegistryClient } from '../demo/registry-client.ts';
import type { Credentials } from '../registry/docker-config.ts';
import { storedCredentials } from './stored-credentials.ts';
import { ShoalError } from '../errors.ts';
import { PREHEAT_CONCURRENCY, PREHEAT_NODES_AT_ONCE, TRACE_SECONDS } from './limits.ts';
import { namedImage, ownPlatform, parsePlatform, planPreheat } from './preheat-image.ts';
import type { NamedImage, Platform } from './preheat-image.ts';
import { readLayer } from './preheat-layer.ts';
import { chooseNodes, spread, type NodeResult } from './preheat-nodes.ts';
import { layerBoard } from './preheat-progress.ts';
import type { LayerBoard } from './preheat-progress.ts';
import { NodeBlobs } from './preheat-source.ts';
import {
  loadTrace,
  rangesOf,
  readRanges,
  saveTrace,
  type TracedRange,
  type TraceFile,
} from './preheat-trace.ts';
import type { Output } from './process-output.ts';
import { formatBytes, formatSeconds } from '../quantity.ts';

export interface PreheatOptions {
  via: string;
  platform?: string;
  allPlatforms?: boolean;
  user?: string;
  passwordStdin?: boolean;
  /** `all` or a zone: the nodes to bring the images to, besides the one read through. */
  nodes?: string;
  /** Only what a trace in this file has of the images. */
  trace?: string;
  /** No images: the trace of what was read on demand in the last `seconds` goes into this file. */
  record?: string;
  seconds?: number;
  json?: boolean;
}

/**
 * One image of the report (`--json`: `{"ok","via","bytes","seconds","images":[...]}` on the last
 * line).
 */
export interface PreheatResult {
  image: string;
  /** Of the manifest or index; null when it could not be had. */
  digest: string | null;
  platforms: string[];
  blobs: number;
  bytes: number;
  seconds: number;
  ok: boolean;
  problems: string[];
  /** With `--nodes`: every node that was to have it. */
  nodes?: NodeResult[];
}

/**
 * `shoal preheat` (docs/SPEC.md 4): reads images through a node, so that the swarm has them before
 * a
 * rollout asks. What is cached already comes at memory speed, so a run that was broken off goes on
 * where it stopped. Returns 0 when every image came whole, with its digests right, else 1. Throws
 * USAGE.
 */
export async function runPreheat(
  names: readonly string[],
  options: PreheatOptions,
  output: Output,
  readPassword: () => Promise<string> = passwordFromStdin,
): Promise<number> {
  const via = parseUpstream(options.via);
  if (via === null)
    throw new ShoalError(
      'USAGE',
      '--via: allowed: http(s)://HOST[:PORT] of a node, without path, query or credentials',
    );
  if (options.record !== undefined) return record(via, options.record, names, options, output);
  const trace = await traceOf(names, options);
  const platform = platformOf(options);
  const images = names.map(namedImage);
  const given = await credentialsOf(options, images, readPassword);
  const say = options.json === true ? output.err : output.out;
  const startMs = systemClock.nowMs();
  const results: PreheatResult[] = [];
  for (const image of images) {
    say(`  ${image.name}\n`);
    const board = layerBoard(options.json === true ? process.stderr : process.stdout, say);
    const result = await preheat(image, {
      via,
      platform,
      given,
      board,
      nodes: options.nodes ?? null,
      trace,
    });
    board.close();
    results.push(result);
    for (const problem of result.problems) output.err(`shoal: ${image.name}: ${problem}\n`);
  }
  const ok = results.every((result) => result.ok);
  const bytes = results.reduce((sum, result) => sum + result.bytes, 0);
  const seconds = (systemClock.nowMs() - startMs) / 1_000;
  say(
    `  ${results.filter((result) => result.ok).length} of ${results.length} images ` +
      `brought in through ${via}: ${formatBytes(bytes)} in ${formatSeconds(seconds)}\n`,
  );
  if (options.json === true)
    output.out(`${JSON.stringify({ ok, via, bytes, seconds, images: results })}\n`);
  return ok ? 0 : 1;
}

interface PreheatRun {
  via: string;
  platform: Platform | null;
  /** By --user; null: what docker and podman have stored for the image's registry. */
  given: Credentials | null;
  board: LayerBoard;
  nodes: string | null;
  trace: TraceFile | null;
}

/** Never throws: what goes wrong with one image is told in its result. */
async function preheat(image: NamedImage, run: PreheatRun): Promise<PreheatResult> {
  const startMs = systemClock.nowMs();
  const result: PreheatResult = {
    image: image.name,
    digest: null,
    platforms: [],
    blobs: 0,
    bytes: 0,
    seconds: 0,
    ok: false,
    problems: [],
  };
  try {
    const { registry, repository } = image;
    const stored =
      run.given === null && mayCarryPasswords(run.via)
        ? await storedCredentials(registry, repository)
        : null;
    const credentials = run.given ?? stored?.credentials ?? null;
    await preheatAs(credentials, image, run, result);
  } catch (error) {
    result.problems.push(ShoalError.from(error).message);
  }
  result.ok = result.problems.length === 0;
  result.seconds = (systemClock.nowMs() - startMs) / 1_000;
  return result;
}

/** Whether what is stored may go to a node: to this machine, or encrypted. */
function mayCarryPasswords(via: string): boolean {
  const { protocol, hostname } = new URL(via);
  return protocol === 'https:' || /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(hostname);
}

/** Fills in `result`, problems of single blobs included. Throws what keeps it from the rest. */
async function preheatAs(
  credentials: Credentials | null,
  image: NamedImage,
  { via, platform, board, nodes, trace }: PreheatRun,
  result: PreheatResult,
): Promise<void> {
  const address = { url: via, namespace: image.registry };
  const client = new RegistryClient(address, credentials, new AbortController().signal);
  const blobs = new NodeBlobs(address, credentials);
  const swarm = new NodeBlobs(address, credentials, PREHEAT_NODES_AT_ONCE);
  try {
    const plan = await planPreheat(
      (reference) => client.manifest(image.repository, reference),
      image.reference,
      platform,
    );
    Object.assign(result, {
      digest: plan.digest,
      platforms: plan.platforms,
      blobs: plan.blobs.length,
    });
    if (trace !== null)
      await readTraced(result, image.repository, rangesOf(trace, plan.blobs), swarm, board);
    else await readWhole(result, image.repository, plan.blobs, blobs, board);
    // What the node itself cannot get nobody else is asked for.
    if (nodes !== null && result.problems.length === 0)
      await toNodes(result, image.repository, plan.blobs, { source: swarm, nodes, board });
  } finally {
    await Promise.all([client.close(), blobs.close(), swarm.close()]);
  }
}

async function readWhole(
  result: PreheatResult,
  repository: string,
  plan: readonly BlobDescriptor[],
  blobs: NodeBlobs,
  board: LayerBoard,
): Promise<void> {
  const waiting = [...plan];
  const reader = async (): Promise<void> => {
    for (let blob = waiting.shift(); blob !== undefined; blob = waiting.shift()) {
      const problem = await readShown(
        blobs,
        repository,
        blob,
        board,
        (bytes) => (result.bytes += bytes),
      );
      if (problem !== null) result.problems.push(problem);
    }
  };
  await Promise.all(Array.from({ length: PREHEAT_CONCURRENCY }, reader));
}

/** Reads what a trace has of the image, in its order. */
async function readTraced(
  result: PreheatResult,
  repository: string,
  ranges: readonly TracedRange[],
  source: NodeBlobs,
  board: LayerBoard,
): Promise<void> {
  if (ranges.length === 0)
    throw new ShoalError(
      'FILE_UNUSABLE',
      '--trace: it has no read of this image: it was recorded with another one, or ' +
        'another version of it',
    );
  const startMs = systemClock.nowMs();
  const progress = board.node(
    `${ranges.length} shards of the trace`,
    ranges.reduce((sum, { startBytes, endBytes }) => sum + endBytes - startBytes, 0),
  );
  const problems = await readRanges(source, repository, ranges, systemClock, (bytes) => {
    result.bytes += bytes;
    progress.advance(bytes);
  });
  result.problems.push(...problems.values());
  progress.done(
    (systemClock.nowMs() - startMs) / 1_000,
    problems.size === 0 ? null : `${problems.size} layers`,
  );
}

async function traceOf(
  names: readonly string[],
  { trace, nodes, seconds }: PreheatOptions,
): Promise<TraceFile | null> {
  if (names.length === 0)
    throw new ShoalError(
      'USAGE',
      'IMAGE is missing: allowed: HOST/REPOSITORY:TAG or @DIGEST, one or more; none only ' +
        'with --record',
    );
  if (seconds !== undefined) throw new ShoalError('USAGE', '--seconds: allowed with --record only');
  if (trace === undefined) return null;
  if (nodes !== undefined) throw new ShoalError('USAGE', '--trace and --nodes exclude each other');
  return loadTrace(trace);
}

/** Writes down what was read on demand through the node lately. */
async function record(
  via: string,
  file: string,
  names: readonly string[],
  { seconds = TRACE_SECONDS, json, trace, nodes }: PreheatOptions,
  output: Output,
): Promise<number> {
  if (names.length > 0 || trace !== undefined || nodes !== undefined)
    throw new ShoalError(
      'USAGE',
      '--record goes with --via and --seconds only: it takes down all that is read ' +
        'through the node',
    );
  const node = new NodeBlobs({ url: via, namespace: null }, null);
  try {
    const reads = await node.recorded(seconds);
    if (reads.reads.length === 0)
      throw new ShoalError(
        'FILE_UNUSABLE',
        `nothing was read on demand through ${via} in the last ${seconds} s; ${file} is ` +
          'not written',
      );
    await saveTrace(file, reads, systemClock.wallMs());
    const counts = { blobs: reads.blobs.length, shards: reads.reads.length };
    if (json === true)
      output.out(`${JSON.stringify({ ok: true, via, file, seconds, ...counts })}\n`);
    else
      output.out(
        `  ${reads.reads.length} shards of ${reads.blobs.length} blobs, read in the last ` +
          `${seconds} s, are in ${file}\n`,
      );
    return 0;
  } finally {
    await node.close();
  }
}

/** The image is in the swarm: the nodes named get it from there. */
async function toNodes(
  result: PreheatResult,
  repository: string,
  blobs: readonly BlobDescriptor[],
  { source, nodes, board }: { source: NodeBlobs; nodes: string; board: LayerBoard },
): Promise<void> {
  result.nodes = await spread(
    source,
    chooseNodes(await source.nodes(), nodes),
    repository,
    blobs,
    systemClock,
    board,
  );
  for (const { node, problem } of result.nodes)
    if (problem !== null) result.problems.push(`${node}: ${problem}`);
}

/** Reads one blob under the eyes of the user; returns what went wrong, or null. */
async function readShown(
  blobs: NodeBlobs,
  repository: string,
  blob: BlobDescriptor,
  board: LayerBoard,
  onBytes: (bytes: number) => void,
): Promise<string | null> {
  const startMs = systemClock.nowMs();
  const progress = board.layer(blob);
  let problem: string | null = null;
  try {
    await readLayer(blobs, repository, blob, systemClock, (bytes) => {
      onBytes(bytes);
      progress.advance(bytes);
    });
  } catch (error) {
    problem = ShoalError.from(error).message;
  }
  progress.done((systemClock.nowMs() - startMs) / 1_000, problem);
  return problem;
}

function platformOf({ platform, allPlatforms }: PreheatOptions): Platform | null {
  if (allPlatforms === true && platform !== undefined)
    throw new ShoalError('USAGE', '--platform and --all-platforms exclude each other');
  if (allPlatforms === true) return null;
  if (platform === undefined) return ownPlatform();
  const parsed = parsePlatform(platform);
  if (parsed === null)
    throw new ShoalError(
      'USAGE',
      '--platform: allowed: OS/ARCH or OS/ARCH/VARIANT, as in linux/arm64',
    );
  return parsed;
}

/** One registry's credentials go to no other registry's token server. */
async function credentialsOf(
  { user, passwordStdin }: PreheatOptions,
  images: readonly NamedImage[],
  readPassword: () => Promise<string>,
): Promise<Credentials | null> {
  if (user === undefined && passwordStdin !== true) return null;
  if (user === undefined || passwordStdin !== true)
    throw new ShoalError('USAGE', '--user and --password-stdin go together');
  if (new Set(images.map((image) => image.registry)).size > 1)
    throw new ShoalError('USAGE', '--user: allowed with images of one registry only');
  return { username: user, password: (await readPassword()).replace(/\r?\n$/, '') };
}

async function passwordFromStdin(): Promise<string> {
  let text = '';
  for await (const part of process.stdin.setEncoding('utf8')) text += part as string;
  return text;
}
