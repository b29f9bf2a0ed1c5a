import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Target } from './target.ts';

/** Longer answers' heads are no answers to a read. */
const HEAD_BYTES_MAX = 16 * 1024;

/** What one read came to. `problem` says in a few words why it failed. */
export type ReadOutcome = { ok: true; matches: boolean } | { ok: false; problem: string };

interface ConnectionEvents {
  /** Connected, or free again after `outcome`: another read may be asked for. */
  free(outcome: ReadOutcome | null): void;
  /**
   * Part of a body, in a buffer that is overwritten by the next read; false: it is not what it
   * should be.
   */
  body(bytes: Buffer, offsetBytes: number): boolean;
  /** The connection is gone, with the read that was under way, if any. */
  lost(problem: string | null): void;
}

/**
 * One keep-alive HTTP/1.1 connection of the load generator, one range at a time. All connections of
 * a thread read into the same buffer and heads are searched, not parsed, so that the generator
 * costs less than what it measures.
 */
export class PreadConnection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #requestStart: string;
  #reading = false;
  #head: string | null = null;
  #partialHead = '';
  #offsetBytes = 0;
  #wantBytes = 0;
  #leftBytes = 0;
  #matches = true;
  #problem: string | null = null;
  #gone = false;

  constructor(target: Target, readBuffer: Buffer, events: ConnectionEvents) {
    this.#events = events;
    const { authorization } = target;
    this.#requestStart =
      `GET ${target.rawPath} HTTP/1.1\r\nHost: ${target.authority}\r\n` +
      `${authorization === undefined ? '' : `Authorization: ${authorization}\r\n`}Range: bytes=`;
    const onread = {
      buffer: readBuffer,
      callback: (bytes: number): boolean => this.#read(readBuffer, bytes),
    };
    const to = { host: target.host, port: target.port, noDelay: true, onread };
    const connected = (): void => events.free(null);
    if (target.tls)
      this.#socket = connectTls(
        {
          ...to,
          ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
          rejectUnauthorized: !target.insecure,
        },
        connected,
      );
    else this.#socket = connectPlain(to, connected);
    this.#socket.on('error', (error) => this.#lose(error.message));
    this.#socket.on('end', () => this.#lose('closed by the server'));
    this.#socket.on('close', () => this.#lose('closed by the server'));
  }

  /** The object's size, by the last answer that told it. */
  get totalBytes(): number | null {
    const total = /\r\ncontent-range: *bytes \d+-\d+\/(\d+)/i.exec(this.#head ?? '')?.[1];
    return total === undefined ? null : Number(total);
  }

  /** Asks for `lengthBytes` from `offsetBytes` on. */
  read(offsetBytes: number, lengthBytes: number): void {
    this.#reading = true;
    this.#head = null;
    this.#partialHead = '';
    this.#offsetBytes = offsetBytes;
    this.#wantBytes = lengthBytes;
    this.#matches = true;
    this.#problem = null;
    this.#socket.write(
      `${this.#requestStart}${offsetBytes}-${offsetBytes + lengthBytes - 1}\r\n\r\n`,
      'latin1',
    );
  }

  /** Ends it without a word. */
  destroy(): void {
    this.#gone = true;
    this.#socket.destroy();
  }

  #read(buffer: Buffer, bytes: number): boolean {
    if (!this.#reading) {
      this.#lose('bytes without a request');
      return false;
    }
    const bodyAt = this.#head === null ? this.#readHead(buffer, bytes) : 0;
    if (bodyAt >= 0 && !this.#gone) this.#readBody(buffer.subarray(bodyAt, bytes));
    return !this.#gone;
  }

  /** Where the body starts in this read, or -1 when the head goes on. */
  #readHead(buffer: Buffer, bytes: number): number {
    const before = this.#partialHead.length;
    // In nearly every case the head comes in one piece and only it is made a string.
    const endAt = before === 0 ? buffer.subarray(0, bytes).indexOf('\r\n\r\n', 0, 'latin1') : -1;
    const text =
      before === 0 && endAt >= 0
        ? buffer.toString('latin1', 0, endAt)
        : this.#partialHead + buffer.toString('latin1', 0, Math.min(bytes, HEAD_BYTES_MAX));
    const end = endAt >= 0 ? endAt : text.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#partialHead = text;
      if (text.length > HEAD_BYTES_MAX) this.#lose('an answer without an end to its head');
      return -1;
    }
    const head = text.slice(0, end);
    this.#head = head;
    this.#judge(head);
    return end + 4 - before;
  }

  #judge(head: string): void {
    const status = head.slice(9, 12);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.#lose(`an answer of unknown length (status ${status})`);
      return;
    }
    this.#leftBytes = Number(length);
    if (status !== '206') this.#problem = `status ${status}`;
    else if (this.#leftBytes !== this.#wantBytes)
      this.#problem = `${length} bytes for ${this.#wantBytes}`;
    else if (!new RegExp(`\\r\\ncontent-range: *bytes ${this.#offsetBytes}-`, 'i').test(head))
      this.#problem = 'another range than was asked for';
  }

  #readBody(bytes: Buffer): void {
    if (bytes.length > this.#leftBytes) {
      this.#lose('more body than announced');
      return;
    }
    if (bytes.length > 0 && this.#problem === null) {
      if (!this.#events.body(bytes, this.#offsetBytes)) this.#matches = false;
      this.#offsetBytes += bytes.length;
    }
    this.#leftBytes -= bytes.length;
    if (this.#leftBytes > 0) return;
    this.#reading = false;
    this.#events.free(
      this.#problem === null
        ? { ok: true, matches: this.#matches }
        : { ok: false, problem: this.#problem },
    );
  }

  #lose(problem: string): void {
    if (this.#gone) return;
    this.destroy();
    this.#events.lost(this.#reading || this.#head === null ? problem : null);
  }
}
