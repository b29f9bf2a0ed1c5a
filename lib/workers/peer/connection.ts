import { connect } from 'node:net';
import { ShoalError } from '../../errors.ts';
import { ConnectionBroken, HttpConnection, IdleConnections } from '../../io/http-connection.ts';
import { PEER_CONNECT_TIMEOUT_MS, PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS } from '../limits.ts';

/** Connections to other nodes, kept for reuse. */
export class PeerConnections {
  readonly #idle: IdleConnections;

  constructor(nowMs: () => number) {
    this.#idle = new IdleConnections(nowMs, PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS);
  }

  /**
   * A connection to the node, and whether it was used before (and may have gone stale unnoticed).
   */
  take(host: string, port: number): { connection: HttpConnection; reused: boolean } {
    const kept = this.#idle.take(`${host}:${port}`);
    return kept === null
      ? { connection: open(host, port), reused: false }
      : { connection: kept, reused: true };
  }

  give(host: string, port: number, connection: HttpConnection): void {
    this.#idle.give(`${host}:${port}`, connection);
  }
}

function open(host: string, port: number): HttpConnection {
  return new HttpConnection((onread) => {
    const socket = connect({ host, port, noDelay: true, onread });
    // A timer of a thread that was away is due before the sockets are looked at: the connection may
    // be there by then.
    socket.setTimeout(PEER_CONNECT_TIMEOUT_MS, () =>
      setImmediate(() => {
        if (socket.connecting)
          socket.destroy(new Error(`no connection within ${PEER_CONNECT_TIMEOUT_MS} ms`));
      }),
    );
    return socket.once('connect', () => socket.setTimeout(0));
  });
}

/**
 * What went wrong with a connection to a node, or with what came over it, as PEER_UNREACHABLE or
 * PEER_BROKEN.
 */
export function peerError(thrown: unknown, node: { host: string; port: number }): ShoalError {
  if (!(thrown instanceof ConnectionBroken)) return ShoalError.from(thrown, 'PEER_BROKEN');
  return new ShoalError(
    thrown.code === 'SOCKET' ? 'PEER_UNREACHABLE' : 'PEER_BROKEN',
    `${node.host}:${node.port}: ${thrown.message}`,
    { cause: thrown },
  );
}
