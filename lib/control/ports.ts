import { createServer } from 'node:net';
import { ShoalError } from '../errors.ts';

/**
 * A free port on `host`: `port` itself, or any when it is 0. uWebSockets.js lets several sockets share a
 * port (that is how fronts do), so a port in use would be shared with a stranger unnoticed; the probe is exclusive.
 * Throws PORT_IN_USE.
 */
export function claimPort(host: string, port: number, what: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'it is in use' : error.code === 'EACCES' ? 'not permitted' : error.code === 'EADDRNOTAVAIL' ? 'no such address here' : error.message;
      reject(new ShoalError('PORT_IN_USE', `${what}: cannot listen on ${host}:${port}: ${reason}`));
    });
    probe.listen({ host, port, exclusive: true }, () => {
      const address = probe.address();
      const claimed = address !== null && typeof address === 'object' ? address.port : port;
      probe.close(() => resolve(claimed));
    });
  });
}
