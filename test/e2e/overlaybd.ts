import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';

/** As overlaybd's: so many attempts at a read, so long apart. */
const ATTEMPTS_MAX = 10;
const RETRY_MS = 1;

/**
 * A client that asks as overlaybd does: every read a request of its own over kept connections, the
 * URL put behind the node's address as it is; the size by one byte; what is refused is signed
 * again; only 200 and 206 are taken.
 */
export class OverlaybdClient {
  readonly #port: number;
  readonly #sign: () => string;
  readonly #agent: Agent;
  #url: string;
  /** Answers that were not taken, by status; 0: the connection broke. */
  readonly failures: number[] = [];
  /** What was said with those that are neither 401 nor 403. */
  readonly problems: string[] = [];

  /** `sign` makes a signed URL of the blob. */
  constructor(port: number, connections: number, sign: () => string) {
    this.#port = port;
    this.#sign = sign;
    this.#url = sign();
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** The blob's size, as the total in the answer to `bytes=0-0`. */
  async size(): Promise<number> {
    const { headers } = await this.#read('bytes=0-0', 1);
    return Number(/^bytes 0-0\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1]);
  }

  /** Bytes [offsetBytes, offsetBytes + lengthBytes). Throws when no attempt brought them. */
  async pread(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const { body, headers } = await this.#read(
      `bytes=${offsetBytes}-${offsetBytes + lengthBytes - 1}`,
      lengthBytes,
    );
    if (
      !(headers['content-range'] ?? '').startsWith(
        `bytes ${offsetBytes}-${offsetBytes + lengthBytes - 1}/`,
      )
    )
      throw new Error(`${headers['content-range']} for ${offsetBytes}+${lengthBytes}`);
    return body;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #read(
    range: string,
    lengthBytes: number,
  ): Promise<{ headers: IncomingMessage['headers']; body: Buffer }> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const url = this.#url;
      const { status, headers, body } = await this.#get(url, range);
      if (status === 206 && body.length === lengthBytes) return { headers, body };
      if (status === 206) throw new Error(`${body.length} bytes for ${lengthBytes}`);
      if (status === 200)
        throw new Error('200 to a ranged read: overlaybd would take it for the range');
      this.failures.push(status);
      if (status !== 401 && status !== 403)
        this.problems.push(`${status} to ${range}: ${body.toString()}`);
      // Others may have signed anew meanwhile.
      if ((status === 401 || status === 403) && this.#url === url) this.#url = this.#sign();
      await after(RETRY_MS);
    }
    throw new Error(`no answer to ${range}: ${this.failures.slice(-ATTEMPTS_MAX).join(', ')}`);
  }

  #get(
    url: string,
    range: string,
  ): Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }> {
    return new Promise((resolve) => {
      const broke = (): void => resolve({ status: 0, headers: {}, body: Buffer.alloc(0) });
      get(
        {
          host: '127.0.0.1',
          port: this.#port,
          path: `/accelerator/${url}`,
          headers: { Range: range },
          agent: this.#agent,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', broke);
          response.on('end', () =>
            resolve({
              status: response.statusCode!,
              headers: response.headers,
              body: Buffer.concat(chunks),
            }),
          );
        },
      ).on('error', broke);
    });
  }
}
