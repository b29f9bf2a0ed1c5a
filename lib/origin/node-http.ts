import type { ClientRequest, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { bareHost } from '../registry/url.ts';
import { checkedLookup, type AgentOptions } from './agent.ts';
import { originError } from './error.ts';
import type { AnswerEvents, ExchangeRequest, Transport } from './exchange.ts';
import { ORIGIN_HEAD_BYTES_MAX } from './limits.ts';
import { joined } from './undici.ts';

// Not imported: an import of node:http reads all its names, and one of them loads Node's own copy
// of undici. That takes 19 ms of CPU time in each thread (Node.js 22).
const { request: requestPlain } = process.getBuiltinModule('node:http');
const { request: requestTls } = process.getBuiltinModule('node:https');

/**
 * Carries requests over node:http, one connection each, for origins whose answers undici refuses.
 * It skips interim answers (1xx) that were not asked for (RFC 9110, 15.2). Its parser takes what
 * clients of runtimes take: line ends without CR, folded lines, control characters, long heads.
 */
export class NodeHttpTransport implements Transport {
  readonly #options: AgentOptions;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  send({ url, method, headers }: ExchangeRequest, events: AnswerEvents): () => void {
    const { allow, resolve, ca, networks } = this.#options;
    const host = bareHost(url.hostname);
    const options = {
      agent: false,
      host,
      port: url.port,
      path: url.query === undefined ? url.path : `${url.path}?${url.query}`,
      method,
      headers: { host: url.host, ...headers },
      lookup: checkedLookup(resolve, allow, url.port),
      maxHeaderSize: ORIGIN_HEAD_BYTES_MAX,
      // Nothing else is sent on the connection, so no answer can be taken for another one's.
      insecureHTTPParser: true,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca }),
      ...networks.tlsFor(url),
    };
    let headSeen = false;
    const failed = (error: Error): void =>
      events.failed(originError(error, url.host, headSeen), false);
    const answered = (response: IncomingMessage): void => {
      headSeen = true;
      const flow = { pause: () => response.pause(), resume: () => response.resume() };
      events.head(response.statusCode ?? 0, joined(response.headersDistinct), flow);
      response.on('data', (chunk: Buffer) => events.data(chunk));
      response.on('end', () => events.ended());
      response.on('error', failed);
    };
    const request: ClientRequest =
      url.scheme === 'http' ? requestPlain(options, answered) : requestTls(options, answered);
    request.on('error', failed);
    request.end();
    return () => request.destroy();
  }
}
