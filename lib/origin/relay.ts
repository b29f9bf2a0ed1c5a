import { ShoalError } from '../errors.ts';
import { BodyCollector, refusal } from './body.ts';
import { codingsOf, decoded } from './codings.ts';
import { notSatisfiable, type OriginHeaders } from './content-range.ts';
import type { AnswerReader } from './exchange.ts';
import type { Follower, FollowRequest } from './follow.ts';
import { splitUrl } from '../registry/url.ts';
import { RELAY_BODY_BYTES_MAX } from './limits.ts';
import type { OriginSink } from './range-reader.ts';

/** A request to be passed through: GET or HEAD. */
export interface RelayRequest {
  method: string;
  url: string;
  upstreamHost: string;
  headers: Record<string, string>;
}

export interface RelayAnswer {
  status: number;
  /** Lower-case names; only those of docs/SPEC.md 2.1. */
  headers: Record<string, string>;
  /** Owns its buffer. Empty for HEAD, whose `content-length` says what GET would bring. */
  body: Uint8Array;
}

const RELAYED_REQUEST_HEADERS = [
  'accept',
  'if-none-match',
  'if-modified-since',
  'traceparent',
  'user-agent',
];
const RELAYED_ANSWER_HEADERS = new Set([
  'www-authenticate',
  'content-type',
  'content-length',
  'docker-content-digest',
  'link',
  'etag',
  'warning',
  'retry-after',
  'oci-filters-applied',
  'docker-distribution-api-version',
  'docker-ratelimit-source',
]);
const RATE_LIMIT = /^(x-)?ratelimit(-[a-z-]+)?$/;

/**
 * Sends a request and collects the answer, whatever its status.
 * @throws ShoalError ORIGIN_UNREACHABLE, ORIGIN_TIMEOUT, ORIGIN_BROKEN, HOST_NOT_ALLOWED
 */
export async function relay(
  follower: Follower,
  request: FollowRequest,
  headers: Record<string, string> = {},
): Promise<RelayAnswer> {
  const sent: Record<string, string> = {};
  for (const name of RELAYED_REQUEST_HEADERS)
    if (headers[name] !== undefined) sent[name] = headers[name];
  const collected = await collect(follower, { ...request, headers: sent });
  const answer: RelayAnswer = { status: collected.status, headers: {}, body: collected.body };
  for (const [name, value] of Object.entries(collected.headers))
    if (value !== undefined && (RELAYED_ANSWER_HEADERS.has(name) || RATE_LIMIT.test(name)))
      answer.headers[name] = value;
  // A decoded body has another length than the one announced.
  if (collected.wasCoded) {
    if (request.method === 'HEAD') delete answer.headers['content-length'];
    else answer.headers['content-length'] = String(answer.body.length);
  }
  return answer;
}

/**
 * Reads a manifest: without Range, which several registries refuse for manifests, and decoded.
 * @throws ShoalError as OriginClient.readRange
 */
export async function readDocument(
  follower: Follower,
  request: FollowRequest,
  target: { upstreamHost: string; accept?: string },
  want: { offsetBytes: number; lengthBytes: number; totalBytes: number | null },
  sink: OriginSink,
): Promise<void> {
  const { status, headers, body } = await collect(
    follower,
    { ...request, headers: { accept: target.accept ?? '*/*' } },
    sink,
  );
  if (status !== 200) throw refusal(target.upstreamHost, status, headers, body);
  if (want.offsetBytes > 0 && want.offsetBytes >= body.length) throw notSatisfiable(body.length);
  const part = body.subarray(want.offsetBytes, want.offsetBytes + want.lengthBytes);
  sink.head({
    totalBytes: body.length,
    startBytes: want.offsetBytes,
    lengthBytes: part.length,
  });
  if (part.length > 0) sink.data(part);
}

const NOTHING_IN_PLACE = {
  room(): never {
    throw new Error('a collected body is not put in place');
  },
  placed(): never {
    throw new Error('a collected body is not put in place');
  },
};

async function collect(
  follower: Follower,
  request: FollowRequest,
  sink: Pick<OriginSink, 'stopped'> = { stopped: () => false },
): Promise<{ status: number; headers: OriginHeaders; body: Uint8Array; wasCoded: boolean }> {
  const body = new BodyCollector(RELAY_BODY_BYTES_MAX, 'refuse');
  let status = 0;
  let headers: OriginHeaders = {};
  const reader: AnswerReader = {
    head(answerStatus, answerHeaders) {
      status = answerStatus;
      headers = answerHeaders;
      return 'more';
    },
    data: (chunk) => body.add(chunk),
    ...NOTHING_IN_PLACE,
    stopped: () => sink.stopped(),
  };
  const { last, upstream } = await follower.follow({ ...request, ignoresCoding: true }, reader);
  // A mirror's further pages are the registry's.
  if (headers.link !== undefined && upstream !== request.home.origin)
    headers = { ...headers, link: linkFromMirror(headers.link, upstream, request.home.origin) };
  return {
    status,
    headers,
    ...decode(headers['content-encoding'], body.bytes(), last.host),
  };
}

/** Links of a mirror (`scheme://host[/v2/NAME]`) as the registry would write them. */
function linkFromMirror(link: string, mirror: string, registry: string): string {
  const { origin, path } = splitUrl(mirror);
  const absolute = link.replaceAll(`<${origin}/`, `<${registry}/`);
  if (path === '/') return absolute;
  return absolute.replaceAll(/<(https?:\/\/[^/>]*)?(\/[^>]*)>/g, (whole, at = '', target: string) =>
    target.startsWith(`${path}/`) && (at === '' || at === registry)
      ? `<${at}/v2${target.slice(path.length)}>`
      : whole,
  );
}

/** Undoes the codings of a body. */
function decode(
  contentEncoding: string | undefined,
  coded: Uint8Array,
  host: string,
): { body: Uint8Array; wasCoded: boolean } {
  const codings = codingsOf(contentEncoding);
  if (codings.length === 0 || coded.length === 0)
    return { body: coded, wasCoded: codings.length > 0 };
  const body = decoded(coded, codings, RELAY_BODY_BYTES_MAX);
  if (body === null)
    throw new ShoalError('ORIGIN_BROKEN', `cannot decode the ${contentEncoding} body of ${host}`);
  // A copy with a buffer of its own: zlib's may be a part of a larger one.
  return { body: Uint8Array.from(body), wasCoded: true };
}
