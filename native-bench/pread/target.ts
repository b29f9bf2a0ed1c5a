import { ShoalError } from '../../lib/errors.ts';

/** Where the reads go. */
export interface Target {
  tls: boolean;
  insecure: boolean;
  host: string;
  port: number;
  /** The Host header. */
  authority: string;
  /** Path and query exactly as given: on-demand loading has a whole URL in it. */
  rawPath: string;
  /** The Authorization header to send, if any. */
  authorization?: string;
}

const PARTS = /^(https?):\/\/([^/?#@]+)(\/[^#\s]*)?$/i;

/**
 * Takes a URL apart without touching its path. Throws USAGE, without repeating the URL: it may be
 * signed.
 */
export function parseTarget(url: string, insecure: boolean): Target {
  const [, scheme = '', authority = '', rawPath = '/'] = PARTS.exec(url) ?? [];
  if (scheme === '' || !URL.canParse(`http://${authority}`))
    throw new ShoalError('USAGE', '--url: not an http or https URL without credentials in it');
  const tls = scheme.toLowerCase() === 'https';
  const { hostname, port } = new URL(`http://${authority}`);
  // `URL` drops a port of 80, which on https is not the default one.
  const given = /:(\d+)$/.exec(authority)?.[1] ?? port;
  return {
    tls,
    insecure,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: given === '' ? (tls ? 443 : 80) : Number(given),
    authority,
    rawPath,
  };
}

/** The URL as a report may show it: without its query, which may be a signature. */
export function shownUrl(url: string): string {
  return url.replace(/\?.*$/s, '');
}
