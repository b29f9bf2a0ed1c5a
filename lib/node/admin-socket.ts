import { chmodSync, unlinkSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Session } from 'node:inspector/promises';
import { getHeapSnapshot } from 'node:v8';
import { pipeline } from 'node:stream/promises';
import { ShoalError } from '../errors.ts';
import type { ExporterRoute } from '../telemetry/exporter.ts';
import { PROFILE_SECONDS, PROFILE_SECONDS_MAX } from './limits.ts';
import { makeRunDirectory, socketIn, type User } from './run-directory.ts';

// Not imported: see lib/origin/node-http.ts.
const { createServer } = process.getBuiltinModule('node:http');

/**
 * The admin socket of a node: a Unix socket that only its own user can open. It serves the paths of
 * the exporter, whether or not there is one, and what shows the inside of the process:
 *
 *   /debug/cpu-profile?seconds=N   a V8 profile of the control thread (.cpuprofile)
 *   /debug/heap                    a heap snapshot of it (.heapsnapshot); the node stands still
 *                                  meanwhile, and the snapshot holds credentials
 */
export class AdminSocket {
  readonly path: string;
  readonly #server: Server;
  readonly #pages: ExporterRoute;
  #isProfiling = false;

  private constructor(path: string, pages: ExporterRoute) {
    this.path = path;
    this.#pages = pages;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: Error) => response.destroy(error));
    });
  }

  /** Listens. Throws why it cannot: no folder, a path that is too long. */
  static async open(node: string, user: User, pages: ExporterRoute): Promise<AdminSocket> {
    const socket = new AdminSocket(socketIn(makeRunDirectory(user), node), pages);
    // The node holds its ports: a socket by its name is of one that has ended.
    try {
      unlinkSync(socket.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    await new Promise<void>((resolve, reject) => {
      socket.#server.once('error', reject);
      socket.#server.listen(socket.path, resolve);
    });
    chmodSync(socket.path, 0o600);
    return socket;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, search, searchParams } = new URL(request.url ?? '/', 'http://node');
    if (request.method !== 'GET') refuse(response, 405, 'only GET is answered');
    else if (pathname === '/debug/cpu-profile') await this.#profile(searchParams, response);
    else if (pathname === '/debug/heap') await heap(response);
    else {
      const { status, headers, body } = await this.#pages(pathname, search.slice(1), true);
      response.writeHead(status, headers).end(body);
    }
  }

  async #profile(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const seconds = Number(query.get('seconds') ?? PROFILE_SECONDS);
    if (!(seconds > 0 && seconds <= PROFILE_SECONDS_MAX)) {
      refuse(response, 400, `seconds: more than 0, at most ${PROFILE_SECONDS_MAX}`);
      return;
    }
    if (this.#isProfiling) {
      refuse(response, 409, 'a profile is being taken; try again when it has ended');
      return;
    }
    this.#isProfiling = true;
    const session = new Session();
    session.connect();
    try {
      await session.post('Profiler.enable');
      await session.post('Profiler.start');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, seconds * 1_000);
        response.once('close', () => {
          clearTimeout(timer);
          resolve();
        });
      });
      const { profile } = await session.post('Profiler.stop');
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(profile));
    } finally {
      session.disconnect();
      this.#isProfiling = false;
    }
  }
}

async function heap(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' });
  await pipeline(getHeapSnapshot(), response);
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const { code } = new ShoalError('BAD_REQUEST', message);
  response
    .writeHead(status, { 'content-type': 'application/json' })
    .end(`${JSON.stringify({ error: message, code })}\n`);
}
