import { ConnectionBroken, HttpConnection } from '../../lib/io/http-connection.ts';
import { PROXY_PORT } from './machine.ts';
import type { Network } from './network.ts';
import { MANIFEST_TYPE } from './registry.ts';

/** No client waits longer than this for its next byte or for an error. */
export const SILENCE_MS = 60_000;

export interface Pull {
  client: string;
  machine: string;
  /** Path and query. */
  target: string;
  /** What may come: one of these. */
  contents: readonly Uint8Array[];
  credential: string | null;
  /** The range asked for; null: the whole blob. */
  range: { startBytes: number; endBytes: number } | null;
  /** The client goes away after so many bytes; null: it stays. */
  abortBytes: number | null;
  /** So many bytes have come. */
  placed?: (bytes: number) => void;
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
  /** The first byte that is of none of the contents; null: none. */
  wrongAt: number | null;
  /** A size that is of none of the contents. */
  wrongHead: string | null;
  bytes: number;
  /** When the head of a 200 or 206 came. */
  openedMs: number | null;
  /** The contents that it may have been, by their numbers. */
  fits: readonly number[];
}

/** Sends one request, as a container runtime does, and compares what comes. */
export async function pull(
  network: Network,
  what: Pull,
): Promise<{ outcome: Outcome; seen: Seen }> {
  const { contents, range, abortBytes } = what;
  const { timeline } = network;
  const seen: Seen = {
    ...{ wrongAt: null, wrongHead: null, bytes: 0, openedMs: null },
    fits: contents.map((_content, index) => index),
  };
  const connection = new HttpConnection(
    (onread) => network.connect(what.client, `${what.machine}:${PROXY_PORT}`, onread) as never,
    null,
  );
  const scratch = Buffer.allocUnsafe(64 * 1024);
  const startBytes = range?.startBytes ?? 0;
  const endOf = (content: Uint8Array): number =>
    Math.min(range?.endBytes ?? Infinity, content.length);
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
        const { contentLength } = response;
        const fits = seen.fits.filter(
          (index) => endOf(contents[index]!) - startBytes === contentLength,
        );
        if (fits.length === 0) seen.wrongHead = `${contentLength} bytes`;
        else seen.fits = fits;
        return 'place';
      },
      room: (fromBytes, lengthBytes) =>
        scratch.subarray(0, Math.min(scratch.length, lengthBytes - fromBytes)),
      placed(receivedBytes) {
        heardMs = timeline.nowMs;
        const part = scratch.subarray(0, receivedBytes - seen.bytes);
        const atBytes = startBytes + seen.bytes;
        const fits = seen.fits.filter(
          (index) =>
            Buffer.compare(part, contents[index]!.subarray(atBytes, atBytes + part.length)) === 0,
        );
        if (fits.length > 0) seen.fits = fits;
        else seen.wrongAt ??= atBytes;
        seen.bytes = receivedBytes;
        what.placed?.(receivedBytes);
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

function headOf({ machine, target, credential, range }: Pull): string {
  return [
    `GET ${target} HTTP/1.1`,
    `Host: ${machine}:${PROXY_PORT}`,
    `Accept: ${MANIFEST_TYPE}`,
    ...(credential === null ? [] : [`Authorization: ${credential}`]),
    ...(range === null ? [] : [`Range: bytes=${range.startBytes}-${range.endBytes - 1}`]),
    '\r\n',
  ].join('\r\n');
}
