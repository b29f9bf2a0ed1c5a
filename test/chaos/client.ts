import { ConnectionBroken, HttpConnection } from '../../lib/io/http-connection.ts';
import type { Blob } from './library.ts';
import { PROXY_PORT } from './machine.ts';
import type { Network } from './network.ts';

/** No client waits longer than this for its next byte or for an error. */
export const SILENCE_MS = 60_000;

export interface Pull {
  client: string;
  machine: string;
  repository: string;
  blob: Blob;
  credential: string | null;
  /** The range asked for; null: the whole blob. */
  range: { startBytes: number; endBytes: number } | null;
  /** The client goes away after so many bytes; null: it stays. */
  abortBytes: number | null;
}

export type Outcome =
  | { kind: 'done' }
  | { kind: 'aborted' }
  /** The answer said no. */
  | { kind: 'refused'; status: number; body: string }
  /** The connection ended in the middle. */
  | { kind: 'broken'; message: string }
  | { kind: 'hung' };

/** What a client saw of one answer. */
export interface Seen {
  /** The first byte that is not the blob's; null: none. */
  wrongAt: number | null;
  /** A size or a span that is not the blob's. */
  wrongHead: string | null;
  bytes: number;
  /** When the head of a 200 or 206 came. */
  openedMs: number | null;
}

/** Sends one request for a blob, as a container runtime does, and compares what comes. */
export async function pull(
  network: Network,
  what: Pull,
): Promise<{ outcome: Outcome; seen: Seen }> {
  const { blob, range, abortBytes } = what;
  const { timeline } = network;
  const seen: Seen = { wrongAt: null, wrongHead: null, bytes: 0, openedMs: null };
  const connection = new HttpConnection(
    (onread) => network.connect(what.client, `${what.machine}:${PROXY_PORT}`, onread) as never,
    null,
  );
  const scratch = Buffer.allocUnsafe(64 * 1024);
  const startBytes = range?.startBytes ?? 0;
  const endBytes = range === null ? blob.bytes.length : Math.min(range.endBytes, blob.bytes.length);
  let heardMs = timeline.nowMs;
  let isOver = false;
  const watch = (): void => {
    if (isOver) return;
    if (timeline.nowMs - heardMs > SILENCE_MS) connection.destroy(HUNG);
    else timeline.after(1_000, watch);
  };
  watch();
  try {
    const { head, body } = await connection.exchange(headOf(what), {
      head(response) {
        heardMs = timeline.nowMs;
        if (response.status !== 200 && response.status !== 206) return 'collect';
        seen.openedMs = timeline.nowMs;
        if (response.contentLength !== endBytes - startBytes)
          seen.wrongHead = `${response.contentLength} instead of ${endBytes - startBytes} bytes`;
        return 'place';
      },
      room: (fromBytes, lengthBytes) =>
        scratch.subarray(0, Math.min(scratch.length, lengthBytes - fromBytes)),
      placed(receivedBytes) {
        heardMs = timeline.nowMs;
        const part = scratch.subarray(0, receivedBytes - seen.bytes);
        const atBytes = startBytes + seen.bytes;
        const due = blob.bytes.subarray(atBytes, atBytes + part.length);
        if (seen.wrongAt === null && Buffer.compare(part, due) !== 0) seen.wrongAt = atBytes;
        seen.bytes = receivedBytes;
        if (abortBytes !== null && receivedBytes >= abortBytes) throw ABORTED;
      },
    });
    const outcome: Outcome =
      head.status === 200 || head.status === 206
        ? { kind: 'done' }
        : { kind: 'refused', status: head.status, body: body.toString('utf8') };
    return { outcome, seen };
  } catch (thrown) {
    if (thrown === ABORTED) return { outcome: { kind: 'aborted' }, seen };
    if (thrown === HUNG) return { outcome: { kind: 'hung' }, seen };
    if (!(thrown instanceof ConnectionBroken)) throw thrown;
    return { outcome: { kind: 'broken', message: thrown.message }, seen };
  } finally {
    isOver = true;
    connection.destroy(ABORTED);
  }
}

const ABORTED = new Error('the client went away');
const HUNG = new Error('nothing came');

function headOf({ machine, repository, blob, credential, range }: Pull): string {
  return [
    `GET /v2/${repository}/blobs/${blob.digest} HTTP/1.1`,
    `Host: ${machine}:${PROXY_PORT}`,
    ...(credential === null ? [] : [`Authorization: ${credential}`]),
    ...(range === null ? [] : [`Range: bytes=${range.startBytes}-${range.endBytes - 1}`]),
    '\r\n',
  ].join('\r\n');
}
