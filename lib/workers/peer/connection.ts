import { connect } from 'node:net';
import { HttpConnection, IdleConnections } from '../../io/http-connection.ts';
import { PEER_CONNECT_TIMEOUT_MS, PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS } from '../limits.ts';

/** Connections to other nodes, kept for reuse. */
export class PeerConnections {
  readonly #idle: IdleConnections;

  constructor(nowMs: () => number) {
    this.#idle = new IdleConnections(nowMs, PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS);
  }

  /** A connection to the node; one that was `reused` may have been closed by the other side. */
  take(host: string, port: number): { connection: HttpConnection; reused: boolean } {
    const kept = this.#idle.take(`${host}:${port}`);
    return kept === null
      ? { connection: this.open(host, port), reused: false }
      : { connection: kept, reused: true };
  }

  /** A new connection. */
  open(host: string, port: number): HttpConnection {
    return new HttpConnection((onread) => {
      const socket = connect({ host, port, noDelay: true, onread });
      // After a stall of this thread, timers run before sockets are polled: the connection may
      // already be established by then.
      socket.setTimeout(PEER_CONNECT_TIMEOUT_MS, () =>
        setImmediate(() => {
          if (socket.connecting)
            socket.destroy(new Error(`no connection within ${PEER_CONNECT_TIMEOUT_MS} ms`));
        }),
      );
      return socket.once('connect', () => socket.setTimeout(0));
    });
  }

  give(host: string, port: number, connection: HttpConnection): void {
    this.#idle.give(`${host}:${port}`, connection);
  }
}
