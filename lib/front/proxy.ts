import { randomBytes } from 'node:crypto';
import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { ShoalError } from '../errors.ts';
import { classify, type Route, type RouteConfig } from '../registry/route.ts';
import { BlobAnswer, type BlobAnswerTools } from './blob-answer.ts';
import { answer, refuse, statusLine } from './responses.ts';

/** Request headers that go upstream with what is passed through; everything else is the client's own business. */
const RELAYED_REQUEST_HEADERS = ['accept', 'authorization', 'if-none-match', 'if-modified-since', 'user-agent'];

export interface ProxyTools extends BlobAnswerTools {
  route: RouteConfig;
  /** Set while the node drains: nothing new is begun. */
  draining(): boolean;
  /** Anything but a blob answered: `bodyBytes` went out. */
  passed(answer: { bodyBytes: number; startMs: number; status: number }): void;
  /** A request this node refuses by itself, and why. */
  refused(error: ShoalError, requestId: string): void;
}

/** Puts the proxy port's requests on `app`: the registry front and on-demand loading (CONTRACT 2). */
export function serveProxy(app: TemplatedApp, tools: ProxyTools): void {
  app.any('/*', (res, req) => handle(res, req, tools));
}

function handle(res: HttpResponse, req: HttpRequest, tools: ProxyTools): void {
  const method = req.getCaseSensitiveMethod();
  if (tools.draining()) {
    res.onAborted(() => undefined);
    refuse(res, new ShoalError('DRAINING', 'this node is about to stop; ask another or come back'), method === 'HEAD');
    return;
  }
  const rawPath = req.getUrl();
  const query = req.getQuery();
  const host = req.getHeader('host');
  const authorization = req.getHeader('authorization');
  const bodyless = method === 'HEAD';
  const requestKey = `${host} ${rawPath}?${query} ${authorization}`;
  const blobRequest = { bodyless, range: req.getHeader('range'), ifRange: req.getHeader('if-range'), authorization: authorization === '' ? null : authorization, requestKey };
  if (method === 'GET' || bodyless) {
    const grant = tools.warm.find(requestKey, tools.nowMs());
    if (grant !== undefined) {
      new BlobAnswer(res, { ...blobRequest, name: grant.name, requestId: '' }, tools).startWarm(grant.blob);
      return;
    }
  }
  const route = classify({ method, rawPath, query: query ?? '', host }, tools.route);
  const requestId = requestIdOf(req);
  switch (route.kind) {
    case 'refused':
      tools.refused(route.error, requestId);
      res.onAborted(() => undefined);
      refuse(res, route.error, bodyless);
      return;
    case 'blob':
      new BlobAnswer(res, { ...blobRequest, name: route.target, requestId }, tools).startCold();
      return;
    case 'relay':
      relay(res, req, route, method, tools);
  }
}

/** Passes a request through to the registry, and its answer back, unchanged. */
function relay(res: HttpResponse, req: HttpRequest, route: Extract<Route, { kind: 'relay' }>, method: string, tools: ProxyTools): void {
  const headers: Record<string, string> = {};
  for (const name of RELAYED_REQUEST_HEADERS) {
    const value = req.getHeader(name);
    if (value !== '') headers[name] = value;
  }
  const startMs = tools.nowMs();
  const scope = route.what === 'manifest' && method === 'GET' ? route.scope : null;
  let gone = false;
  res.onAborted(() => (gone = true));
  tools.started();
  tools.link.relay({ method, url: route.url, upstreamHost: route.upstreamHost, headers, manifestScope: scope }, (message) => {
    const error = message.kind === 'answer' ? null : ShoalError.fromWire(message.kind === 'refused' ? message.error : { code: 'INTERNAL', message: message.kind });
    const status = message.kind === 'answer' ? message.status : error!.status;
    tools.passed({ bodyBytes: message.kind === 'answer' ? message.body.length : 0, startMs, status });
    if (gone) return;
    res.cork(() => {
      if (message.kind === 'answer') pass(res, message, method === 'HEAD');
      else refuse(res, error!, method === 'HEAD');
    });
  });
}

/** The registry's answer as it came; to HEAD, with the length it reported, which its empty body does not show. */
function pass(res: HttpResponse, message: { status: number; headers: Record<string, string>; body: Uint8Array }, bodyless: boolean): void {
  const { 'content-length': length, ...headers } = message.headers;
  if (!bodyless) {
    answer(res, message.status, headers, message.body);
    return;
  }
  res.writeStatus(statusLine(message.status));
  for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
  if (length === undefined) res.endWithoutBody();
  else res.endWithoutBody(Number(length));
}

/** The id a pull is followed by across nodes and logs: the client's own when it is well-formed, else a new one. */
function requestIdOf(req: HttpRequest): string {
  const given = req.getHeader('shoal-request-id');
  return /^[0-9A-Za-z-]{8,64}$/.test(given) ? given : randomBytes(8).toString('hex');
}
