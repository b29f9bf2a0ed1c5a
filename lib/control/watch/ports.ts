import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { ShoalError } from '../../errors.ts';

/** A port to listen on; 0: any free one. `what` names it in errors. */
interface PortWish {
  host: string;
  port: number;
  what: string;
}

/**
 * Free ports, in the order of the requests and all different. Several fronts share their ports, so
 * a port of another program would be shared unnoticed; the probes listen exclusively. All probes
 * stay open together, and fixed numbers come first: otherwise "any" might take a port that another
 * request names. Throws PORT_IN_USE.
 */
export async function claimPorts(wishes: readonly PortWish[]): Promise<number[]> {
  const probes = new Map<PortWish, Server>();
  try {
    for (const wish of [...wishes].sort((a, b) => Number(a.port === 0) - Number(b.port === 0)))
      probes.set(wish, await probe(wish));
    return wishes.map((wish) => (probes.get(wish)!.address() as AddressInfo).port);
  } finally {
    await Promise.all([...probes.values()].map((server) => once(server.close(), 'close')));
  }
}

function probe({ host, port, what }: PortWish): Promise<Server> {
  return new Promise((resolve, reject) => {
    // The probe serves no one. Clients of a restarting node may connect to it, and must not keep it
    // from closing.
    const server = createServer((socket) => socket.resetAndDestroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'EADDRINUSE'
          ? 'it is in use'
          : error.code === 'EACCES'
            ? 'not permitted'
            : error.code === 'EADDRNOTAVAIL'
              ? 'no such address here'
              : error.message;
      reject(new ShoalError('PORT_IN_USE', `${what}: cannot listen on ${host}:${port}: ${reason}`));
    });
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}
