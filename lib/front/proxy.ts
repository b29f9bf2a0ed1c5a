import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { ShoalError, type ErrorCode } from '../errors.ts';
import { linkThrough } from '../registry/link.ts';
import { classify, namespaceOf, type Route, type RouteConfig } from '../registry/route.ts';
import { acceptRequestId, REQUEST_ID_HEADER } from '../telemetry/request-id.ts';
import { ORIGIN_BYTES_MAX } from '../wire/limits.ts';
import { fitsSealed } from '../wire/sealed-origin.ts';
import type { BlobName } from '../workers/messages.ts';
import { BlobAnswer } from './blob-answer.ts';
import type { BlobAnswerTools, BlobRequest } from './blob-request.ts';
import { answer, endBodyless, refuse, statusLine, writeHeaders } from './responses.ts';
import { readWarm } from './warm-read.ts';

/** Request headers that are passed to the registry. Other headers are not. */
const RELAYED_REQUEST_HEADERS = new Set([
  'accept',
  'authorization',
  'if-none-match',
  'if-modified-since',
  'user-agent',
]);
/**
 * Headers that a client may send as several lines (RFC 9110 5.3): docker and skopeo do so with
 * Accept.
 */
const LISTS = new Set(['accept', 'if-none-match']);

export interface ProxyTools extends BlobAnswerTools {
  /** The config that requests are routed by now. */
  route(): RouteConfig;
  /** Whether requests are traced. */
  tracing: boolean;
  /** Set while the node drains: no new request is accepted. */
  draining(): boolean;
  /**
   * A request other than for a blob was answered: `bodyBytes` were sent, or `error` of this node.
   */
  passed(answer: {
    bodyBytes: number;
    startMs: number;
    status: number;
    error: ErrorCode | null;
  }): void;
  /** A request that this node refuses itself, with the reason. */
  refused(error: ShoalError, requestId: string): void;
}

/**
 * Registers the proxy port's requests on `app`: the registry front and on-demand loading
 * (docs/SPEC.md 2).
 */
export function serveProxy(app: TemplatedApp, tools: ProxyTools): void {
  app.any('/*', (res, req) => handle(res, req, tools));
}

function handle(res: HttpResponse, req: HttpRequest, tools: ProxyTools): void {
  const method = req.getCaseSensitiveMethod();
  if (tools.draining()) {
    res.onAborted(() => undefined);
    const error = new ShoalError('DRAINING', 'this node is stopping; ask another node or retry');
    tools.refused(error, '');
    refuse(res, error, method === 'HEAD');
    return;
  }
  const rawPath = req.getUrl();
  const query = req.getQuery() ?? '';
  const host = req.getHeader('host');
  const authorization = req.getHeader('authorization');
  const range = req.getHeader('range');
  const ifRange = req.getHeader('if-range');
  const ifNoneMatch = req.getHeader('if-none-match');
  const traceparent = tools.tracing ? req.getHeader('traceparent') : '';
  const bodyless = method === 'HEAD';
  const requestOf = (name: BlobName, requestId: string): BlobRequest => ({
    name,
    bodyless,
    range,
    ifRange,
    ifNoneMatch,
    requestId,
    traceparent,
    warm: { host, rawPath, query, authorization },
  });
  // A read that a front answers alone is not traced: control makes the spans.
  if ((method === 'GET' || bodyless) && traceparent === '') {
    const startMs = tools.nowMs();
    const grant = tools.warm.find(host, rawPath, query, authorization, startMs);
    if (grant !== undefined) {
      const whole =
        method === 'GET' &&
        ifRange === '' &&
        ifNoneMatch === '' &&
        readWarm(res, grant, range, startMs, tools, () => requestOf(grant.name, ''));
      if (!whole)
        new BlobAnswer(res, requestOf(grant.name, ''), tools, startMs).startWarm(grant.blob);
      return;
    }
  }
  const route = classify({ method, rawPath, query, host }, tools.route());
  const requestId = acceptRequestId(req.getHeader(REQUEST_ID_HEADER));
  const error = route.kind === 'refused' ? route.error : tooLarge(route, req);
  if (error !== null) {
    tools.refused(error, requestId);
    res.onAborted(() => undefined);
    refuse(res, error, bodyless, requestId);
    return;
  }
  switch (route.kind) {
    case 'blob':
      new BlobAnswer(res, requestOf(route.target, requestId), tools).startCold();
      return;
    case 'relay':
      relay(res, req, route, method, requestId, tools);
  }
}

/**
 * The error of a request that other nodes could not be given, because it would not fit their heads.
 */
function tooLarge(route: Exclude<Route, { kind: 'refused' }>, req: HttpRequest): ShoalError | null {
  const { url, upstreamHost } = route.kind === 'blob' ? route.target : route;
  const origin = {
    url,
    upstreamHost,
    authorization: req.getHeader('authorization'),
    accept: route.kind === 'blob' ? '' : req.getHeader('accept'),
  };
  return fitsSealed(origin)
    ? null
    : new ShoalError(
        'HEAD_TOO_LARGE',
        `URL and credential are longer than ${ORIGIN_BYTES_MAX} bytes; use a shorter token or URL`,
      );
}

/** Passes a request to the registry, and its response back, unchanged. */
function relay(
  res: HttpResponse,
  req: HttpRequest,
  route: Extract<Route, { kind: 'relay' }>,
  method: string,
  requestId: string,
  tools: ProxyTools,
): void {
  const namespace = namespaceOf(req.getQuery() ?? '');
  const headers: Record<string, string> = {};
  req.forEach((name, value) => {
    if (!RELAYED_REQUEST_HEADERS.has(name) || value === '') return;
    if (headers[name] === undefined) headers[name] = value;
    else if (LISTS.has(name)) headers[name] += `, ${value}`;
  });
  const startMs = tools.nowMs();
  let gone = false;
  res.onAborted(() => (gone = true));
  tools.started();
  tools.link.relay(
    {
      method,
      url: route.url,
      upstreamHost: route.upstreamHost,
      headers,
      what: route.what,
      scope: route.scope,
      repository: route.repository ?? null,
      reference: route.reference ?? null,
      requestId,
      ...(tools.tracing ? { traceparent: req.getHeader('traceparent') } : {}),
    },
    (message) => {
      const error =
        message.kind === 'answer'
          ? null
          : ShoalError.fromWire(
              message.kind === 'refused'
                ? message.error
                : { code: 'INTERNAL', message: message.kind },
            );
      const status = message.kind === 'answer' ? message.status : error!.status;
      tools.passed({
        bodyBytes: message.kind === 'answer' ? message.body.length : 0,
        startMs,
        status,
        error: error?.code ?? null,
      });
      if (gone) return;
      res.cork(() => {
        if (message.kind === 'answer')
          pass(res, through(message, route.upstreamHost, namespace), method === 'HEAD');
        else refuse(res, error!, method === 'HEAD', requestId);
      });
    },
  );
}

interface Passed {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** The registry's answer for a client of this node: further pages are at this node, too. */
function through(message: Passed, upstreamHost: string, namespace: string | null): Passed {
  const headers = { ...message.headers };
  const { link } = headers;
  if (link !== undefined) headers['link'] = linkThrough(link, upstreamHost, namespace);
  if (namespace !== null) headers['OCI-Namespace'] = namespace;
  return { status: message.status, headers, body: message.body };
}

/**
 * The registry's response as it came. A response to HEAD reports the length that the registry
 * reported, though the body is empty.
 */
function pass(res: HttpResponse, message: Passed, bodyless: boolean): void {
  const { 'content-length': length, ...headers } = message.headers;
  // A 204 and a 304 have no body, and no length either (RFC 9110, 8.6).
  const isEmpty = message.status === 204 || message.status === 304;
  if (!bodyless && !isEmpty) {
    answer(res, message.status, headers, message.body);
    return;
  }
  res.writeStatus(statusLine(message.status));
  writeHeaders(res, headers);
  endBodyless(res, length === undefined || isEmpty ? null : Number(length));
}
