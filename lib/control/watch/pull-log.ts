import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../../clock.ts';
import type { WireError } from '../../errors.ts';
import { SHARD_BYTES, STATUS_BLOBS_MAX } from '../../limits.ts';
import type { PullStatus } from '../../telemetry/status.ts';
import type {
  BlobName,
  ControlMessage,
  FrontMessage,
  ReadSummary,
} from '../../workers/messages.ts';
import { BLOB_IDLE_MS, PULL_IDLE_MS, PULLS_KEPT, PULLS_OPEN_MAX } from '../limits.ts';
import { imageBytes } from './image-bytes.ts';
import { Tally } from './pull-record.ts';
import { RegistryTally } from './registry-tally.ts';

/** One blob read by one client, in one request or many. */
interface BlobRead {
  blob: BlobName;
  requestId: string;
  totalBytes: number | null;
  tally: Tally;
  /** Its open streams: first and current shard of each, and its request. */
  open: Map<string, { fromShard: number; atShard: number; requestId: string }>;
  pull: Pull;
}

/** The reads of one client in one repository, starting with a manifest. */
interface Pull {
  host: string;
  repository: string | null;
  reference: string | null;
  digest: string | null;
  imageBytes: number | null;
  requestId: string;
  tally: Tally;
  blobs: Map<string, BlobRead>;
  blobsDone: number;
}

/** What clients currently read of a blob. */
export interface ReadNow {
  blob: string;
  clients: number;
  nodes: number;
  sentBytes: number;
  totalBytes: number | null;
}

/**
 * Pulls as clients see them: one record and one log line for each blob and each pull, with the
 * sources of the bytes and the waits of the client. Its input are the messages between fronts and
 * control.
 *
 * A blob's record ends when it was sent whole, or BLOB_IDLE_MS after its last read. A pull's record
 * ends PULL_IDLE_MS after the last activity of its client in its repository.
 */
export class PullLog {
  readonly #clock: Clock;
  readonly #log: (fields: Record<string, unknown>, message: string) => void;
  readonly registries = new RegistryTally();
  readonly #pulls = new Map<string, Pull>();
  /** Newest last. */
  readonly #done: PullStatus[] = [];
  readonly #byStream = new Map<string, BlobRead>();
  readonly #byRequest = new Map<string, BlobRead>();
  readonly #relays = new Map<string, Pull>();
  /** Reads of other nodes: the blob of each request, and the number of requests for each blob. */
  readonly #asks = new Map<string, string>();
  /** Blobs whose record ended recently, by key. */
  readonly #recent = new Map<
    string,
    { endedMs: number; sentBytes: number; totalBytes: number | null }
  >();
  #timer: Timer | null = null;

  constructor(clock: Clock, log: (fields: Record<string, unknown>, message: string) => void) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A message from a front; `front` is its number. */
  heard(front: number, message: FrontMessage): void {
    switch (message.kind) {
      case 'open': {
        const { blob, authorization, requestId, shard } = message;
        const read = this.#read(blob, authorization, requestId);
        const stream = `${front}/${message.id}`;
        read.open.set(stream, { fromShard: shard, atShard: shard, requestId });
        this.#byStream.set(stream, read);
        this.#byRequest.set(requestId, read);
        return;
      }
      case 'want': {
        const stream = `${front}/${message.id}`;
        const at = this.#byStream.get(stream)?.open.get(stream);
        if (at !== undefined) at.atShard = message.shard;
        return;
      }
      case 'close':
        this.#close(`${front}/${message.id}`, message.read);
        return;
      case 'reads':
        for (const { blob, authorization, read } of message.reads) {
          const known = this.#read(blob, authorization, '');
          known.tally.addRead(read);
          this.#touch(known);
          this.#endWhole(known);
        }
        return;
      case 'ask':
        this.#asks.set(`${front}/${message.id}`, message.query.key);
        return;
      case 'relay': {
        if (message.what !== 'manifest' || message.repository === null) return;
        const authorization = message.headers['authorization'] ?? null;
        const pull = this.#pull(
          message.upstreamHost,
          message.repository,
          authorization,
          message.requestId,
        );
        if (message.reference?.startsWith('sha256:') === true) pull.digest ??= message.reference;
        else pull.reference ??= message.reference;
        this.#relays.set(`${front}/${message.id}`, pull);
      }
    }
  }

  /** A message from control to a front. */
  said(front: number, message: ControlMessage): void {
    if (!('id' in message)) return;
    const id = `${front}/${message.id}`;
    switch (message.kind) {
      case 'opened':
      case 'granted': {
        const read = this.#byStream.get(id);
        if (read !== undefined && message.totalBytes !== null) read.totalBytes = message.totalBytes;
        return;
      }
      case 'answer': {
        const pull = this.#relays.get(id);
        this.#relays.delete(id);
        if (pull !== undefined && message.status === 200) {
          pull.digest ??= header(message.headers, 'docker-content-digest');
          pull.imageBytes = imageBytes(message.body) ?? pull.imageBytes;
        }
        return;
      }
      case 'refused': {
        const pull = this.#relays.get(id);
        this.#relays.delete(id);
        const tally = this.#byStream.get(id)?.tally ?? pull?.tally;
        tally?.addError(message.error.code, message.error.message);
      }
    }
  }

  /** A shard's transfer for request `requestId` ended; `from` is a node, or null for the origin. */
  transferred(
    requestId: string,
    from: string | null,
    ms: number,
    result: { kind: string; lengthBytes?: number; error?: WireError },
  ): void {
    const tally = this.#byRequest.get(requestId)?.tally;
    if (tally === undefined) return;
    if (result.kind === 'redirect' || result.kind === 'busy') tally.addTracker(ms);
    else if (result.kind === 'data' && from !== null)
      tally.addPeer(from, result.lengthBytes ?? 0, ms);
    else if (result.error !== undefined && result.error.code !== 'CANCELLED')
      tally.addError(result.error.code, result.error.message);
  }

  /** Blobs that clients or nodes read now, or within the last RECENT_MS. */
  now(): ReadNow[] {
    const nowMs = this.#clock.nowMs();
    const found = new Map<string, ReadNow>();
    const of = (key: string): ReadNow => {
      let read = found.get(key);
      if (read === undefined) {
        read = { blob: key, clients: 0, nodes: 0, sentBytes: 0, totalBytes: null };
        found.set(key, read);
      }
      return read;
    };
    for (const { blobs } of this.#pulls.values())
      for (const { blob, open, tally, totalBytes } of blobs.values()) {
        if (open.size === 0 && nowMs - tally.lastMs > RECENT_MS) continue;
        const read = of(blob.key);
        read.clients += open.size;
        read.totalBytes ??= totalBytes;
        read.sentBytes = Math.max(read.sentBytes, sentBytesOf({ open, tally, totalBytes }));
      }
    for (const [key, { endedMs, sentBytes, totalBytes }] of this.#recent) {
      if (nowMs - endedMs > RECENT_MS) this.#recent.delete(key);
      else {
        const read = of(key);
        read.totalBytes ??= totalBytes;
        if (read.clients === 0) read.sentBytes = Math.max(read.sentBytes, sentBytes);
      }
    }
    for (const key of this.#asks.values()) of(key).nodes += 1;
    return [...found.values()];
  }

  /** The running pulls and the last PULLS_KEPT that ended, newest first. */
  list(): PullStatus[] {
    const running = [...this.#pulls.values()].filter((pull) => this.#isPull(pull));
    const shown = running.map((pull) => this.#status(pull, true));
    return [...shown.reverse(), ...[...this.#done].reverse()].slice(0, PULLS_KEPT);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #pull(
    host: string,
    repository: string | null,
    authorization: string | null,
    requestId: string,
  ): Pull {
    const client = createHash('sha256')
      .update(authorization ?? '')
      .digest('base64');
    const name = `${host}/${repository ?? ''} ${client}`;
    let pull = this.#pulls.get(name);
    if (pull === undefined) {
      const oldest = this.#pulls.entries().next().value;
      if (this.#pulls.size >= PULLS_OPEN_MAX && oldest !== undefined) this.#end(...oldest);
      pull = {
        host,
        repository,
        reference: null,
        digest: null,
        imageBytes: null,
        requestId,
        tally: new Tally(this.#clock.nowMs()),
        blobs: new Map(),
        blobsDone: 0,
      };
      this.#pulls.set(name, pull);
    }
    pull.tally.lastMs = this.#clock.nowMs();
    this.#watch();
    return pull;
  }

  #read(blob: BlobName, authorization: string | null, requestId: string): BlobRead {
    const pull = this.#pull(blob.upstreamHost, blob.repository ?? null, authorization, requestId);
    let read = pull.blobs.get(blob.key);
    if (read === undefined) {
      read = {
        blob,
        requestId,
        totalBytes: null,
        tally: new Tally(this.#clock.nowMs()),
        open: new Map(),
        pull,
      };
      pull.blobs.set(blob.key, read);
    }
    return read;
  }

  #close(stream: string, summary: ReadSummary | undefined): void {
    this.#asks.delete(stream);
    const read = this.#byStream.get(stream);
    if (read === undefined) return;
    this.#byStream.delete(stream);
    this.#byRequest.delete(read.open.get(stream)?.requestId ?? '');
    read.open.delete(stream);
    if (summary !== undefined) read.tally.addRead(summary);
    this.#touch(read);
    this.#endWhole(read);
  }

  #touch(read: BlobRead): void {
    read.tally.lastMs = this.#clock.nowMs();
    read.pull.tally.lastMs = read.tally.lastMs;
  }

  #endWhole(read: BlobRead): void {
    if (read.open.size === 0 && read.totalBytes !== null && read.tally.bytes >= read.totalBytes)
      this.#endBlob(read);
  }

  #endBlob(read: BlobRead): void {
    const { blob, pull, tally, totalBytes } = read;
    pull.blobs.delete(blob.key);
    if (tally.bytes === 0 && tally.errors.length === 0) return;
    this.#recent.delete(blob.key);
    this.#recent.set(blob.key, { endedMs: tally.lastMs, sentBytes: tally.bytes, totalBytes });
    const [oldest] = this.#recent.keys();
    if (this.#recent.size > STATUS_BLOBS_MAX) this.#recent.delete(oldest!);
    pull.blobsDone += 1;
    pull.tally.add(tally);
    this.registries.add(blob.upstreamHost, tally);
    const { requestId } = read;
    this.#log(
      { requestId, blob: blob.key, image: imageOf(pull), totalBytes, ...tally.report() },
      'blob sent',
    );
  }

  #end(name: string, pull: Pull): void {
    this.#pulls.delete(name);
    for (const read of [...pull.blobs.values()]) {
      for (const [stream, { requestId }] of read.open) {
        this.#byStream.delete(stream);
        this.#byRequest.delete(requestId);
      }
      this.#endBlob(read);
    }
    if (!this.#isPull(pull)) return;
    const status = this.#status(pull, false);
    this.#done.push(status);
    if (this.#done.length > PULLS_KEPT) this.#done.shift();
    this.#log({ ...status }, 'pull finished');
  }

  /** A manifest alone is not a pull: kubelet requests it even if the node has the image. */
  #isPull(pull: Pull): boolean {
    return pull.blobsDone > 0 || pull.blobs.size > 0 || pull.tally.errors.length > 0;
  }

  #status(pull: Pull, running: boolean): PullStatus {
    const tally = new Tally(pull.tally.startMs);
    tally.lastMs = pull.tally.lastMs;
    tally.add(pull.tally);
    let underWayBytes = 0;
    for (const read of pull.blobs.values()) {
      tally.add(read.tally);
      underWayBytes += sentBytesOf(read) - read.tally.bytes;
    }
    return {
      image: imageOf(pull),
      digest: pull.digest,
      requestId: pull.requestId,
      running,
      endedAtMs: Math.round(this.#clock.wallMs() - (this.#clock.nowMs() - tally.lastMs)),
      blobs: pull.blobsDone + pull.blobs.size,
      imageBytes: pull.imageBytes,
      sentBytes: tally.bytes + underWayBytes,
      ...tally.report(),
    };
  }

  /** Ends idle records, while there are any. */
  #watch(): void {
    this.#timer ??= this.#clock.after(BLOB_IDLE_MS, () => {
      this.#timer = null;
      const nowMs = this.#clock.nowMs();
      for (const [name, pull] of this.#pulls) {
        for (const read of [...pull.blobs.values()])
          if (read.open.size === 0 && nowMs - read.tally.lastMs >= BLOB_IDLE_MS)
            this.#endBlob(read);
        if (pull.blobs.size === 0 && nowMs - pull.tally.lastMs >= PULL_IDLE_MS)
          this.#end(name, pull);
      }
      if (this.#pulls.size > 0) this.#watch();
    });
  }
}

/** The bytes sent of a blob; open streams count up to their current shard. */
function sentBytesOf({
  open,
  tally,
  totalBytes,
}: Pick<BlobRead, 'open' | 'tally' | 'totalBytes'>): number {
  let sentBytes = tally.bytes;
  for (const { fromShard, atShard } of open.values())
    sentBytes += (atShard - fromShard) * SHARD_BYTES;
  return Math.max(tally.bytes, Math.min(sentBytes, totalBytes ?? sentBytes));
}

/**
 * A read that ended this recently still counts as running, because small blobs take milliseconds.
 */
const RECENT_MS = 2_000;

function imageOf({ host, repository, reference, digest }: Pull): string {
  if (repository === null) return host;
  if (reference !== null) return `${host}/${repository}:${reference}`;
  return digest === null ? `${host}/${repository}` : `${host}/${repository}@${digest}`;
}

function header(headers: Record<string, string>, name: string): string | null {
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name);
  return found?.[1] ?? null;
}
