import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { ShoalError } from '../errors.ts';
import { classify, type RouteConfig } from '../registry/route.ts';
import { upstreamsOf } from '../registry/upstream.ts';
import { TRACE_SECONDS_MAX } from '../limits.ts';
import { acceptRequestId, REQUEST_ID_HEADER } from '../telemetry/request-id.ts';
import type { ControlMessage } from '../workers/messages.ts';
import type { ControlLink } from './control-link.ts';
import { answer, passOn, refuse } from './responses.ts';

interface PreheatTools {
  link: ControlLink;
  /** The config that requests are routed by now. */
  route(): RouteConfig;
  draining(): boolean;
  /** Whether requests are traced. */
  tracing: boolean;
}

const BLOB = /^\/shoal\/preheat\/([^/]+)(\/v2\/.*)$/;

/**
 * Requests of Shoal's own commands on the proxy port, besides those of container runtimes:
 *
 *   GET /shoal/nodes                                     {self, nodes: [{node, role, zone}]}
 *   GET /shoal/preheat/<node>/v2/<repository>/blobs/<digest>[?ns=...]
 *                                                        {shards, held, error} of that node
 *   GET /shoal/trace?seconds=N                           {blobs: [{digest, sizeBytes}],
 *                                                        reads: [[blob, shard], ...]}
 *   GET /shoal/upstream?ns=HOST                          {upstream}: the registry behind HOST
 *
 * The second one carries the client's own Authorization, as a read of the blob would.
 */
export function servePreheat(app: TemplatedApp, tools: PreheatTools): void {
  app.get('/shoal/nodes', (res) => reply(res, '', (receive) => tools.link.nodes(receive)));
  app.get('/shoal/trace', (res, req) => {
    const seconds = Number(/^seconds=(\d{1,9})$/.exec(req.getQuery() ?? '')?.[1] ?? Number.NaN);
    if (seconds <= TRACE_SECONDS_MAX) {
      reply(res, '', (receive) => tools.link.trace(seconds, receive));
      return;
    }
    res.onAborted(() => undefined);
    refuse(
      res,
      new ShoalError('BAD_REQUEST', `seconds: allowed: a whole number up to ${TRACE_SECONDS_MAX}`),
    );
  });
  app.get('/shoal/upstream', (res, req) => {
    res.onAborted(() => undefined);
    const host = new URLSearchParams(req.getQuery() ?? '').get('ns') ?? '';
    const upstream = upstreamsOf(tools.route()).find(host, host);
    answer(res, 200, { 'Content-Type': 'application/json' }, JSON.stringify({ upstream }));
  });
  app.get('/shoal/preheat/*', (res, req) => preheat(res, req, tools));
}

function preheat(res: HttpResponse, req: HttpRequest, tools: PreheatTools): void {
  const requestId = acceptRequestId(req.getHeader(REQUEST_ID_HEADER));
  const authorization = req.getHeader('authorization');
  const traceparent = tools.tracing ? req.getHeader('traceparent') : '';
  const [, node, rawPath] = BLOB.exec(req.getUrl()) ?? [];
  const route =
    rawPath === undefined
      ? null
      : classify(
          { method: 'GET', rawPath, query: req.getQuery() ?? '', host: req.getHeader('host') },
          tools.route(),
        );
  const error = tools.draining()
    ? new ShoalError('DRAINING', 'this node is stopping; ask another node or retry')
    : route?.kind === 'refused'
      ? route.error
      : route?.kind !== 'blob'
        ? new ShoalError('BAD_REQUEST', 'not a node and a blob')
        : null;
  if (error !== null || node === undefined || route?.kind !== 'blob') {
    res.onAborted(() => undefined);
    refuse(res, error!, false, requestId);
    return;
  }
  const { target } = route;
  reply(res, requestId, (receive) =>
    tools.link.preheat(
      {
        node,
        blob: target,
        authorization: authorization === '' ? null : authorization,
        requestId,
        ...(traceparent === '' ? {} : { traceparent }),
      },
      receive,
    ),
  );
}

/** Passes on control's reply to one request. */
function reply(
  res: HttpResponse,
  requestId: string,
  ask: (receive: (message: ControlMessage) => void) => void,
): void {
  let gone = false;
  res.onAborted(() => (gone = true));
  ask((message) => {
    if (gone) return;
    res.cork(() => passOn(res, message, { requestId }));
  });
}
