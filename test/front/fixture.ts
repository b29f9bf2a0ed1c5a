import { request, type IncomingHttpHeaders } from 'node:http';
import { MessageChannel } from 'node:worker_threads';
import type { TemplatedApp } from 'uWebSockets.js';
import { ControlLink } from '../../lib/front/control-link.ts';
import { Turn } from '../../lib/front/turn.ts';
import { SlotFollowers } from '../../lib/front/slot-follower.ts';
import { Arena } from '../../lib/io/arena.ts';
import { Doorbells } from '../../lib/io/doorbell.ts';
import { REQUEST_HEAD_BYTES_MAX, SHARD_BYTES } from '../../lib/limits.ts';
import { Channel } from '../../lib/workers/channel.ts';
import type { ControlMessage, FrontMessage } from '../../lib/workers/messages.ts';
import { until } from '../telemetry/until.ts';

// uWebSockets.js reads it once, when it is first loaded.
process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(REQUEST_HEAD_BYTES_MAX);
const { App, us_socket_local_port: localPort } = await import('uWebSockets.js');

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  rawHeaders: string[];
  body: Buffer;
}

/**
 * A front's surroundings in this process: an arena, a link to a control that the test plays, an app
 * on a port of its own.
 */
export interface FrontFixture {
  arena: Arena;
  doorbells: Doorbells;
  followers: SlotFollowers;
  turn: Turn;
  link: ControlLink;
  app: TemplatedApp;
  /** What control heard so far. */
  heard: FrontMessage[];
  /** The next message of `kind` that has not been asked for yet. */
  hears<Kind extends FrontMessage['kind']>(
    kind: Kind,
  ): Promise<Extract<FrontMessage, { kind: Kind }>>;
  /** Lets control say something. */
  says(message: ControlMessage): void;
  /**
   * Begins slot `slot` for a shard of a blob of `totalBytes`; `bytes` of it are there, and
   * `released` if not told otherwise.
   */
  place(
    slot: number,
    bytes: Uint8Array,
    totalBytes: number,
    more?: { lengthBytes?: number; releasedBytes?: number },
  ): { slot: number; generation: number };
  /** More of the shard in `slot` arrives. */
  arrives(slot: number, bytes: Uint8Array): void;
  listen(): Promise<number>;
  get(
    path: string,
    options?: { method?: string; headers?: Record<string, string> },
  ): Promise<Answer>;
  close(): void;
}

export function frontFixture(slots = 4): FrontFixture {
  const arena = Arena.create(slots * SHARD_BYTES);
  const doorbells = Doorbells.create(1);
  const { port1, port2 } = new MessageChannel();
  const heard: FrontMessage[] = [];
  const taken = new Set<FrontMessage>();
  const control = new Channel<ControlMessage, FrontMessage>(port2, (message) =>
    heard.push(message),
  );
  const link = new ControlLink(port1, {
    drain: () => undefined,
    certificate: () => undefined,
    routes: () => undefined,
    connections: () => undefined,
  });
  const app = App();
  let port = 0;
  for (let slot = 0; slot < slots; slot++) arena.tryLock(slot);
  const arrives = (slot: number, bytes: Uint8Array): void => {
    const at = arena.received(slot);
    arena.bytes(slot, at, at + bytes.length).set(bytes);
    arena.setReceived(slot, at + bytes.length);
    arena.setReleased(slot, at + bytes.length);
    doorbells.ringAll();
  };
  return {
    arena,
    doorbells,
    followers: new SlotFollowers(doorbells, 0),
    turn: new Turn(),
    link,
    app,
    heard,
    async hears(kind) {
      const next = (): FrontMessage | undefined =>
        heard.find((message) => message.kind === kind && !taken.has(message));
      await until(() => next() !== undefined, `a message "${kind}"`, 2_000);
      const message = next()!;
      taken.add(message);
      return message as never;
    },
    says: (message) => control.send(message),
    place(slot, bytes, totalBytes, more = {}) {
      arena.tryLock(slot);
      const generation = arena.begin(slot);
      arena.bytes(slot, 0, bytes.length).set(bytes);
      if (more.lengthBytes !== -1)
        arena.setLength(slot, more.lengthBytes ?? bytes.length, totalBytes);
      arena.setReceived(slot, bytes.length);
      arena.setReleased(slot, more.releasedBytes ?? bytes.length);
      return { slot, generation };
    },
    arrives,
    async listen() {
      await new Promise<void>((resolve, reject) => {
        app.listen('127.0.0.1', 0, (socket) => {
          if (socket === false) reject(new Error('cannot listen'));
          else {
            port = localPort(socket);
            resolve();
          }
        });
      });
      return port;
    },
    get: (path, options = {}) =>
      new Promise((resolve, reject) => {
        const asking = request(
          {
            host: '127.0.0.1',
            port,
            path,
            agent: false,
            method: options.method ?? 'GET',
            headers: options.headers ?? {},
          },
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.on('error', reject);
            response.on('end', () =>
              resolve({
                status: response.statusCode!,
                headers: response.headers,
                rawHeaders: response.rawHeaders,
                body: Buffer.concat(chunks),
              }),
            );
          },
        );
        asking.on('error', reject);
        asking.end();
      }),
    close() {
      app.close();
      link.shut();
      control.close();
    },
  };
}
