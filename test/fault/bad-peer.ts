import { createServer, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parsePread } from '../../lib/wire/pread.ts';
import { parseStat } from '../../lib/wire/stat.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

/** The ways a peer can be bad: see the server below for what each does. */
/** What is noticed at once, and what only once a deadline is over. */
export const vices = [
  'sends wrong bytes',
  'sends wrong bytes and vouches for them',
  'announces a wrong length',
  'breaks off',
  'redirects to itself',
  'lies about the size of the blob',
  'answers nonsense',
] as const;
export const waitingVices = ['freezes', 'freezes half-way', 'is always busy'] as const;
export type Vice = (typeof vices | typeof waitingVices)[number];

/** A node that has the blobs it is given and the cluster's trust, and misuses it. */
export class BadPeer {
  readonly node: string;
  asked = 0;
  readonly #server: Server;
  readonly #blobs: ReadonlyMap<string, Buffer>;
  vice: Vice;

  private constructor(server: Server, blobs: ReadonlyMap<string, Buffer>, vice: Vice) {
    this.#server = server;
    this.#blobs = blobs;
    this.vice = vice;
    this.node = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => {
      this.asked += 1;
      const [path = '', query = ''] = (request.url ?? '').split('?');
      this.#answer(path, query, response);
    });
  }

  /** Listens; `blobs` by key (`sha256:<hex>`). */
  static async start(blobs: ReadonlyMap<string, Buffer>, vice: Vice): Promise<BadPeer> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new BadPeer(server, blobs, vice);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(path: string, query: string, response: ServerResponse): void {
    const pread = parsePread(path, query);
    const asked = pread ?? parseStat(path, query);
    const blob = asked === null ? undefined : this.#blobs.get(asked.key);
    if (asked === null || blob === undefined)
      return void response.writeHead(404, { 'content-length': 15 }).end('{"kind":"miss"}');
    const shard = blob.subarray(asked.shard * SHARD_BYTES, (asked.shard + 1) * SHARD_BYTES);
    const wrong = Buffer.from(shard);
    wrong[wrong.length >> 1]! ^= 1;
    const checksum = checksumOf(
      this.vice === 'sends wrong bytes and vouches for them' ? wrong : shard,
    ).toString('hex');
    if (pread === null)
      return void json(response, 200, {
        totalBytes: blob.length,
        lengthBytes: shard.length,
        checksum,
      });
    const good = {
      'shoal-total': String(blob.length),
      'content-length': String(shard.length - pread.fromBytes),
    };
    switch (this.vice) {
      case 'freezes':
        return;
      case 'freezes half-way':
        response
          .writeHead(200, good)
          .write(
            shard.subarray(
              pread.fromBytes,
              pread.fromBytes + ((shard.length - pread.fromBytes) >> 1),
            ),
          );
        return;
      case 'sends wrong bytes':
      case 'sends wrong bytes and vouches for them':
        return void response
          .writeHead(200, { ...good, 'shoal-checksum': checksum })
          .end(wrong.subarray(pread.fromBytes));
      case 'announces a wrong length':
        return void response.writeHead(200, { ...good, 'content-length': '5' }).end('wrong');
      case 'breaks off':
        return void response
          .writeHead(200, good)
          .write(shard.subarray(pread.fromBytes, pread.fromBytes + 1000), () => response.destroy());
      case 'redirects to itself':
        return json(response, 307, {
          parents: [this.node],
          checksum: null,
          totalBytes: blob.length,
        });
      case 'lies about the size of the blob':
        // As the parent it sends others to, which nobody vouches for; where the length of the shard
        // does not give it away.
        if (pread.role !== 'parent')
          return json(response, 307, { parents: [this.node], checksum: null, totalBytes: null });
        return void response
          .writeHead(200, {
            ...good,
            ...(shard.length < SHARD_BYTES
              ? {}
              : { 'shoal-total': String(blob.length + SHARD_BYTES) }),
          })
          .end(shard.subarray(pread.fromBytes));
      case 'answers nonsense':
        return void response.writeHead(418, { 'content-length': 5 }).end('{nope');
      case 'is always busy':
        return json(response, 503, { kind: 'busy', retryMs: 20 });
    }
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    })
    .end(text);
}
