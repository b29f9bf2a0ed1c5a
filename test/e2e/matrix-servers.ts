import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** Sends all of `bytes`, or the range asked for. */
export function send(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const startBytes = Number(from ?? 0);
  const endBytes = to === undefined ? bytes.length : Math.min(Number(to) + 1, bytes.length);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (!response.hasHeader('docker-content-digest'))
    response.setHeader('docker-content-digest', digest);
  response.writeHead(from === undefined ? 200 : 206, {
    'content-type': MANIFEST_TYPE,
    'content-length': endBytes - startBytes,
    ...(from === undefined
      ? {}
      : { 'content-range': `bytes ${startBytes}-${endBytes - 1}/${bytes.length}` }),
  });
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(startBytes, endBytes));
}

/** A server at `host`, and its address. */
export async function serve(
  host: string,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<[Server, string]> {
  const server = createServer(answer).listen(0, host);
  await once(server, 'listening');
  return [server, `${host}:${(server.address() as AddressInfo).port}`];
}
