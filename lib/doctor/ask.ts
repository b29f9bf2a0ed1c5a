import { lookup, type LookupAddress } from 'node:dns';
import { request as plainRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { request as tlsRequest, type RequestOptions as TlsOptions } from 'node:https';
import { ANSWER_CHARS_MAX, CHECK_TIMEOUT_MS } from './limits.ts';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Its first ANSWER_CHARS_MAX characters. */
  text: string;
}

type AskOptions = RequestOptions & Pick<TlsOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized'>;

/**
 * Asks once, on a connection of its own. Rejects with the code ETIMEDOUT when the answer is not
 * there in time, from the start of the connection on: a firewall may drop every packet.
 */
export function ask(
  scheme: 'http' | 'https',
  options: AskOptions,
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = scheme === 'https' ? tlsRequest : plainRequest;
    const asking = request({ ...options, agent: false });
    const timer = setTimeout(() => asking.destroy(timedOut()), timeoutMs);
    asking.on('close', () => clearTimeout(timer));
    asking.on('error', reject);
    asking.on('connect', ({ statusCode = 0, headers }) => {
      resolve({ status: statusCode, headers, text: '' });
      asking.destroy();
    });
    asking.on('response', (response) => {
      const { statusCode = 0, headers } = response;
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length < ANSWER_CHARS_MAX) return;
        text = text.slice(0, ANSWER_CHARS_MAX);
        resolve({ status: statusCode, headers, text });
        asking.destroy();
      });
      response.on('end', () => resolve({ status: statusCode, headers, text }));
      response.on('error', reject);
    });
    asking.end();
  });
}

/** The addresses of a name. Rejects as `ask` when no DNS server answers in time. */
export function addressesOf(name: string, timeoutMs = CHECK_TIMEOUT_MS): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(timedOut()), timeoutMs);
    lookup(name, { all: true }, (error, found: LookupAddress[]) => {
      clearTimeout(timer);
      if (error === null) resolve(found.map(({ address }) => address));
      else reject(error);
    });
  });
}

function timedOut(): Error {
  return Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' });
}
