import ipaddr from 'ipaddr.js';
import type { TemplatedApp } from 'uWebSockets.js';
import { ShoalError } from '../errors.ts';
import type { ControlLink } from './control-link.ts';
import { passOn, refuse } from './responses.ts';

/** The paths of the exporter. On the proxy port no other paths are taken for it. */
const PATHS = [
  '/',
  '/metrics',
  '/status',
  '/status/*',
  '/swarm',
  '/swarm/*',
  '/healthz',
  '/readyz',
];

/** Whether `address` is a loopback address, also an IPv4 one within IPv6. */
function isLoopback(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/** Registers the exporter's pages on `app`. Control renders them; this thread passes them on. */
export function serveExporter(app: TemplatedApp, link: ControlLink): void {
  for (const path of PATHS) {
    app.any(path, (res, req) => {
      let gone = false;
      res.onAborted(() => (gone = true));
      const method = req.getCaseSensitiveMethod();
      if (method !== 'GET' && method !== 'HEAD') {
        refuse(
          res,
          new ShoalError('METHOD_UNSUPPORTED', `${method} is not answered here, only GET and HEAD`),
        );
        return;
      }
      const isLocal = isLoopback(Buffer.from(res.getRemoteAddressAsText()).toString());
      const request = {
        path: req.getUrl(),
        query: req.getQuery() ?? '',
        isLocal,
        authorization: req.getHeader('authorization'),
      };
      link.page(request, (message) => {
        if (gone) return;
        res.cork(() => {
          passOn(res, message, { bodyless: method === 'HEAD' });
        });
      });
    });
  }
}
