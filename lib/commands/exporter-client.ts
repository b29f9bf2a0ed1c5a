import { dirname } from 'node:path';
import { Agent, fetch } from 'undici';
import type { RequestInit, Response } from 'undici';
import { ShoalError } from '../errors.ts';
import { STATUS_TIMEOUT_MS } from '../limits.ts';
import { findSockets, socketIn, thisUser } from '../node/run-directory.ts';
import { tlsProblem } from '../tls/problem.ts';

const EXPORTER_URL_DEFAULT = 'http://127.0.0.1:65003';

/** Where a command finds a node: its exporter port, or its admin socket on this machine. */
type NodePlace = { url: string } | { socket: string };

export interface NodeChoice {
  /** Address of its exporter port, or of its proxy port when it has no exporter port of its own. */
  url?: string | undefined;
  /** Name (address:p2p port) of a node of this user on this machine. */
  node?: string | undefined;
}

/**
 * The node that a command means. Without a choice it is the only node of this user here, else the
 * default address of the exporter port. Rejects with USAGE when there are several.
 */
export async function placeOf(
  { url, node }: NodeChoice,
  find: () => Promise<readonly string[]> = () => findSockets(thisUser()),
): Promise<NodePlace> {
  if (url !== undefined) return { url };
  const sockets = await find();
  const named =
    node === undefined ? sockets : sockets.filter((path) => path === socketIn(dirname(path), node));
  const [socket] = named;
  if (node !== undefined && socket === undefined)
    throw new ShoalError('USAGE', `--node: no node ${node} of this user runs here`);
  if (named.length > 1)
    throw new ShoalError(
      'USAGE',
      `${named.length} nodes run here (${named.join(', ')}); choose one with --node or --url`,
    );
  return socket === undefined ? { url: EXPORTER_URL_DEFAULT } : { socket };
}

/**
 * GET `path` of a node as JSON that `isExpected`. An address may lack `http://`. Throws USAGE for a
 * bad address, PEER_UNREACHABLE when nothing answers there, and PEER_BROKEN, naming what answers
 * instead, when it is not an exporter. `token` opens what others are not told.
 */
export async function readExporter<T>(
  place: NodePlace,
  path: string,
  isExpected: (body: unknown) => body is T,
  token: string | null = null,
): Promise<T> {
  const { name, url, dispatcher } =
    'socket' in place ? overSocket(place.socket, path) : overPort(place, path);
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      signal: AbortSignal.timeout(STATUS_TIMEOUT_MS),
      redirect: 'error',
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      dispatcher,
    } as RequestInit);
    text = await response.text();
  } catch (error) {
    throw new ShoalError('PEER_UNREACHABLE', `no node answers at ${name}: ${whyOf(error)}`, {
      cause: error,
    });
  } finally {
    await dispatcher?.close();
  }
  const body = parse(text);
  if (response.status === 200 && isExpected(body)) return body;
  if ((response.status === 401 || response.status === 403) && isExporters(body))
    throw new ShoalError(
      'USAGE',
      `${name} tells what is pulled only on its own machine or to who has the token; give ` +
        '--secret-file, or the token in SHOAL_TOKEN',
    );
  throw new ShoalError('PEER_BROKEN', `${name} ${whatAnswers(response, text, body)}`);
}

interface Way {
  /** For messages. */
  name: string;
  url: URL;
  dispatcher: Agent | undefined;
}

function overSocket(socket: string, path: string): Way {
  const dispatcher = new Agent({ connect: { socketPath: socket } });
  return { name: socket, url: new URL(path, 'http://node'), dispatcher };
}

function overPort({ url: address }: { url: string }, path: string): Way {
  const at = /^[a-z]+:\/\//i.test(address) ? address : `http://${address}`;
  const url = URL.canParse(path, at) ? new URL(path, at) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '')
    throw new ShoalError(
      'USAGE',
      `--url: ${JSON.stringify(address)} is not allowed; allowed: an address like ` +
        `${EXPORTER_URL_DEFAULT}`,
    );
  return { name: url.origin, url, dispatcher: undefined };
}

/** Whether a refusal is an exporter's own. */
function isExporters(body: unknown): boolean {
  return typeof (body as { error?: unknown } | undefined)?.error === 'string';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; is the node running, with ExporterConfig.enable: true?',
  ENOTFOUND: 'the host name does not resolve',
  EHOSTUNREACH: 'no route to the host',
  TimeoutError: `no answer within ${STATUS_TIMEOUT_MS / 1000} s`,
  UND_ERR_SOCKET: 'the connection was closed; is this a TLS port?',
};

function whyOf(error: unknown): string {
  const { cause, name, message } = error as Error & { cause?: { code?: string; message?: string } };
  const code = cause?.code ?? name;
  const tls = tlsProblem(code);
  if (tls !== null) return `${tls.cause}; ${tls.fix}`;
  // An Error of fetch itself, for ports it does not ask, has no code.
  const words = cause?.code === undefined ? (cause?.message ?? message) : code;
  return REASONS[code] ?? words;
}

/** What is at the address instead of an exporter, as far as its answer shows. */
function whatAnswers(response: Response, text: string, body: unknown): string {
  const codes = (body as { errors?: { detail?: { code?: string } }[] } | undefined)?.errors;
  if (response.headers.has('shoal-request-id') || codes?.[0]?.detail?.code !== undefined)
    return 'is the proxy port of a node; the exporter port is 65003 by default';
  if (/"code":"(BAD_REQUEST|PEER_UNAUTHORIZED)"/.test(text))
    return 'is the p2p port of a node; the exporter port is 65003 by default';
  if (response.headers.has('docker-distribution-api-version')) return 'is a registry, not a node';
  const server = response.headers.get('server');
  const by = server === null ? '' : ` by ${server.slice(0, 40)}`;
  return `is not the exporter of a node: it answered status ${response.status}${by}`;
}
