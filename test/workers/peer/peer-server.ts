import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { systemClock } from '../../../lib/clock.ts';
import { threadLooks } from '../../../lib/io/looks.ts';
import { Arena } from '../../../lib/io/arena.ts';
import { Doorbells } from '../../../lib/io/doorbell.ts';
import { PeerConnections } from '../../../lib/workers/peer/connection.ts';
import type { PeerReadJob, TransferTools } from '../../../lib/workers/peer/read.ts';

/** Another node, byte by byte as the test wants it. */
export interface PeerServer {
  host: string;
  port: number;
  /** Request heads, in order, each with the number of its connection (from 0). */
  requests: { head: string; connection: number }[];
  close(): void;
}

/**
 * Calls `answer` for every request with the socket to answer on and the number of the request (from
 * 0).
 */
export async function peerServer(
  answer: (socket: Socket, request: number) => void,
): Promise<PeerServer> {
  const requests: PeerServer['requests'] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const connection = sockets.push(socket) - 1;
    let head = '';
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1');
      for (let end = head.indexOf('\r\n\r\n'); end >= 0; end = head.indexOf('\r\n\r\n')) {
        requests.push({ head: head.slice(0, end), connection });
        head = head.slice(end + 4);
        answer(socket, requests.length - 1);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: '127.0.0.1',
    port,
    requests,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A response head; a body's length must be given. */
export function head(
  status: number,
  contentLength: number | null,
  headers: Record<string, string | number> = {},
): string {
  const lines = [
    `HTTP/1.1 ${status} Said`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  if (contentLength !== null) lines.push(`Content-Length: ${contentLength}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A whole answer in JSON. */
export function json(status: number, body: unknown): string {
  const text = JSON.stringify(body);
  return head(status, Buffer.byteLength(text)) + text;
}

/**
 * What a transfer thread works with, over an arena of one slot begun, and a clock that a test may
 * push.
 */
export function transferTools(
  slots = 1,
): TransferTools & { pushMs(ms: number): void; generations: number[] } {
  const arena = Arena.create(slots * SHARD_BYTES);
  const generations = Array.from(
    { length: slots },
    (_, slot) => (arena.tryLock(slot), arena.begin(slot)),
  );
  let pushedMs = 0;
  const nowMs = (): number => performance.now() + pushedMs;
  return {
    arena,
    doorbells: Doorbells.create(1),
    peers: new PeerConnections(nowMs),
    looks: threadLooks,
    nowMs,
    after: systemClock.after,
    pushMs: (ms) => void (pushedMs += ms),
    generations,
  };
}

export function readJob(
  server: { host: string; port: number },
  more: Partial<PeerReadJob> = {},
): PeerReadJob {
  return {
    kind: 'peer',
    slot: 0,
    attempt: 1,
    shard: 0,
    fromBytes: 0,
    patience: { silenceMs: 2000, stallMs: 2000 },
    totalBytes: null,
    digest: null,
    node: `${server.host}:${server.port}`,
    path: '/rpc/pread/x/0',
    headers: { host: `${server.host}:${server.port}`, 'shoal-auth': 'signed' },
    ...more,
  };
}

/** A peer server and the tools of a transfer thread, new for each test of the suite. */
export class PeerBench {
  server!: PeerServer;
  tools!: ReturnType<typeof transferTools>;
  /** What the server does with each request. */
  answer: (socket: Socket, request: number) => void = () => undefined;

  constructor() {
    beforeEach(async () => {
      this.tools = transferTools();
      this.server = await peerServer((socket, request) => this.answer(socket, request));
    });
    afterEach(() => this.server.close());
  }
}
