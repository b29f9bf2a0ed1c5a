import { Agent, request, type IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';

export interface Pulled {
  /** The last status; 0: no answer. */
  status: number;
  bytes: Buffer;
  isWhole: boolean;
}

/** One answer. */
interface Part {
  status: number;
  /** Whether its bytes begin with the blob's first one. */
  isFromStart: boolean;
  body: Buffer;
  isWhole: boolean;
}

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

const connections = new Agent({ keepAlive: true });

/** Tries of a body that breaks off, as containerd and containers/image make them. */
const TRIES_MAX = 5;
const REDIRECTS_MAX = 10;

/**
 * Pulls a blob as containerd and skopeo do: one GET without Range; a body that breaks off, or has
 * fewer bytes than the manifest says, is resumed with `Range: bytes=N-`; a connection lost before
 * the answer is tried again; redirects are followed without the credential to other hosts.
 */
export async function pull(
  url: string,
  authorization: string | null,
  sizeBytes: number,
): Promise<Pulled> {
  const parts: Buffer[] = [];
  let haveBytes = 0;
  let status = 0;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const part = await get(url, authorization, haveBytes);
    if (part === null) continue;
    ({ status } = part);
    if (status !== 200 && status !== 206) break;
    // A server that ignores the range sends everything again.
    const skipBytes = part.isFromStart ? haveBytes : 0;
    const fresh = part.body.subarray(Math.min(skipBytes, part.body.length));
    parts.push(fresh);
    haveBytes += fresh.length;
    if (part.isWhole && haveBytes >= sizeBytes)
      return { status: 200, bytes: Buffer.concat(parts), isWhole: true };
  }
  return { status, bytes: Buffer.concat(parts), isWhole: false };
}

async function get(
  url: string,
  authorization: string | null,
  fromBytes: number,
): Promise<Part | null> {
  const home = new URL(url);
  let at = home;
  let referer: string | undefined;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    const answer = await send(at, {
      ...(authorization !== null && at.host === home.host ? { authorization } : {}),
      ...(fromBytes > 0 ? { range: `bytes=${fromBytes}-` } : {}),
      ...(referer === undefined ? {} : { referer }),
    });
    if (answer === null) return null;
    const { location } = answer.headers;
    if (location === undefined || answer.statusCode! < 300 || answer.statusCode! > 399) {
      const body: Buffer[] = [];
      let isWhole = true;
      try {
        for await (const chunk of answer) body.push(chunk as Buffer);
      } catch {
        isWhole = false;
      }
      return {
        status: answer.statusCode!,
        isFromStart: answer.headers['content-range'] === undefined,
        body: decoded(Buffer.concat(body), answer, isWhole),
        isWhole,
      };
    }
    answer.resume();
    referer = at.href;
    at = new URL(location, at);
  }
  return null;
}

/**
 * The body without gzip, of which a part is useless. Stores say gzip of bytes that have no coding,
 * too.
 */
function decoded(body: Buffer, { headers }: IncomingMessage, isWhole: boolean): Buffer {
  const isCoded = headers['content-encoding'] === 'gzip' && body.indexOf(GZIP_MAGIC) === 0;
  if (!isCoded) return body;
  try {
    return isWhole ? gunzipSync(body) : Buffer.alloc(0);
  } catch {
    // The end of the connection has cut it.
    return Buffer.alloc(0);
  }
}

function send(url: URL, headers: Record<string, string>): Promise<IncomingMessage | null> {
  return new Promise((resolve) => {
    request(url, { headers, agent: connections }, resolve)
      .on('error', () => resolve(null))
      .end();
  });
}
