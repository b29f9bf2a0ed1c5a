import { connect } from 'node:net';
import { HttpConnection, IdleConnections } from '../../io/http-connection.ts';
import { PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS } from '../limits.ts';

/** The other side did not answer in time, neither yes nor no. */
export class NoConnection extends Error {
  constructor(connectMs: number) {
    super(`no connection within ${connectMs} ms`);
  }
}

/** Connections to other nodes, kept for reuse. */
export class PeerConnections {
  readonly #idle: IdleConnections;
  /** All that are open, idle or not. */
  readonly #all = new Set<HttpConnection>();

  constructor(nowMs: () => number) {
    this.#idle = new IdleConnections(nowMs, PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS);
  }

  /** A kept connection to the node, which the other side may have closed; null: there is none. */
  take(host: string, port: number): HttpConnection | null {
    return this.#idle.take(`${host}:${port}`);
  }

  /** A new connection; it breaks if it does not come about within `connectMs`. */
  open(host: string, port: number, connectMs: number): HttpConnection {
    const connection = new HttpConnection((onread) => {
      const socket = connect({ host, port, noDelay: true, onread });
      // After a stall of this thread, timers run before sockets are polled: the connection may
      // already be established by then.
      socket.setTimeout(connectMs, () =>
        setImmediate(() => {
          if (socket.connecting) socket.destroy(new NoConnection(connectMs));
        }),
      );
      socket.once('close', () => this.#all.delete(connection));
      return socket.once('connect', () => socket.setTimeout(0));
    });
    this.#all.add(connection);
    return connection;
  }

  give(host: string, port: number, connection: HttpConnection): void {
    this.#idle.give(`${host}:${port}`, connection);
  }

  /** Ends all connections, and what is under way on them: they would keep the thread alive. */
  close(): void {
    for (const connection of this.#all) connection.destroy(new Error('the thread ends'));
  }
}
