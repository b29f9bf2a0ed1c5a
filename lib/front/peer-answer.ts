import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import type { Clock, Timer } from '../clock.ts';
import { ShoalError, type ErrorCode } from '../errors.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { Tier } from '../telemetry/metrics-list.ts';
import { acceptRequestId } from '../telemetry/request-id.ts';
import type { Envelope, Opened } from '../wire/envelope.ts';
import {
  formatPreadAnswer,
  parsePread,
  preadHeaders,
  type PreadAnswer,
  type PreadQuery,
} from '../wire/pread.ts';
import { LINE_PATH } from '../wire/line.ts';
import { formatRefusal } from '../wire/refusal.ts';
import type { ShardRequest, ControlMessage } from '../workers/messages.ts';
import { TIERS } from './read-account.ts';
import { LineAnswers } from './line-answer.ts';
import { BodySender, type SenderTools } from './body-sender.ts';
import type { ControlLink } from './control-link.ts';
import { answer, statusLine } from './responses.ts';
import type { Upload, Uploads } from './uploads.ts';

interface PeerTools extends Omit<SenderTools, 'watermark'>, Pick<Clock, 'after'> {
  link: ControlLink;
  uploads: Uploads;
  envelope: Envelope;
  /** Whether requests are traced. */
  tracing: boolean;
  /** Set while the node drains: children are redirected elsewhere. */
  draining(): boolean;
  /** An answer starts; `over` ends it. */
  started(): void;
  /** An `rpc:pread` ended. */
  over(answer: {
    pathname: string;
    offsetBytes: number;
    sentBytes: number;
    failed: boolean;
    startMs: number;
  }): void;
  /** `bytes` of a shard were sent; the shard was found in `tier`. */
  sent(tier: Tier, bytes: number): void;
  /** The kind of answer to an `rpc:pread`. */
  answered(kind: 'data' | 'redirect' | 'busy' | 'miss'): void;
  /** A request was not signed for this node, or speaks another major version of the protocol. */
  refused(code: ErrorCode, message: string): void;
}

type OpenedRequest = Extract<Opened, { kind: 'opened' }>;

/** Registers the p2p port's requests on `app`; lib/wire defines them. */
export function servePeers(app: TemplatedApp, tools: PeerTools): void {
  const lines = new LineAnswers(tools.after);
  app.get('/rpc/*', (res, req) => {
    const path = req.getUrl();
    const query = req.getQuery() ?? '';
    const opened = tools.envelope.open({
      path: query === '' ? path : `${path}?${query}`,
      header: (name) => req.getHeader(name),
    });
    if (opened.kind === 'refused') {
      tools.refused(opened.code, opened.message);
      say(res, opened.status, formatRefusal(opened));
      return;
    }
    const traceparent = tools.tracing ? req.getHeader('traceparent') : '';
    if (path === LINE_PATH) {
      // A test must not delay shards, and would find a line slow that is shared with them.
      const mayBegin = !tools.draining() && tools.uploads.isIdle;
      if (!mayBegin || !lines.begin(res)) sayAnswer(res, { kind: 'busy', retryMs: 1_000 });
      return;
    }
    const answerTo = path.startsWith('/rpc/pread/') ? pread : rpc;
    answerTo(res, path, query, opened, tools, traceparent);
  });
  app.any('/*', (res: HttpResponse, _req: HttpRequest) =>
    sayBad(res, 404, 'nodes speak GET /rpc/*'),
  );
}

function pread(
  res: HttpResponse,
  path: string,
  query: string,
  { origin, requestId }: OpenedRequest,
  tools: PeerTools,
  traceparent: string,
): void {
  const request = parsePread(path, query);
  if (tools.draining()) sayAnswer(res, { kind: 'miss' });
  else if (request === null) sayBad(res, 400, 'not a valid request for a shard');
  else
    new PeerAnswer(
      res,
      {
        query: request,
        origin,
        requestId: acceptRequestId(requestId),
        ...(traceparent === '' ? {} : { traceparent }),
      },
      tools,
    );
}

/** Requests other than for bytes: control answers them. */
function rpc(
  res: HttpResponse,
  path: string,
  query: string,
  { origin, words, requestId }: OpenedRequest,
  tools: PeerTools,
  traceparent: string,
): void {
  let gone = false;
  res.onAborted(() => (gone = true));
  tools.link.rpc(
    {
      path,
      query,
      origin,
      words,
      requestId: acceptRequestId(requestId),
      ...(traceparent === '' ? {} : { traceparent }),
    },
    (message) => {
      if (!gone && message.kind === 'answer')
        res.cork(() => answer(res, message.status, message.headers, message.body));
    },
  );
}

function say(res: HttpResponse, status: number, body: object): void {
  answer(res, status, { 'Content-Type': 'application/json' }, JSON.stringify(body));
}

function sayAnswer(res: HttpResponse, verdict: PreadAnswer): void {
  const { status, body } = formatPreadAnswer(verdict);
  say(res, status, body);
}

function sayBad(res: HttpResponse, status: 400 | 404, message: string): void {
  say(res, status, formatRefusal(new ShoalError('BAD_REQUEST', message).toWire()));
}

/**
 * The answer to one request for the rest of a shard.
 *
 *   asked -> peer (redirect | busy | miss) | refused: answered at once
 *         \-> granted -> bytes and its turn, within holdMs -> head -> body to the shard's end
 *                                        \-> not yet: "busy", so that the other side knows we live
 */
class PeerAnswer {
  readonly #res: HttpResponse;
  readonly #pread: PreadQuery;
  readonly #tools: PeerTools;
  readonly #startMs: number;
  readonly #request: Omit<ShardRequest, 'kind' | 'id'>;
  #ask: number;
  readonly #holdTimer: Timer;
  #place: { slot: number; generation: number } | null = null;
  #checksum: string | null = null;
  #cold = false;
  #pathname: string;
  #sender: BodySender | null = null;
  #upload: Upload | null = null;
  #sentBytes = 0;
  /** Those that control knows of. */
  #toldBytes = 0;
  /** Whether the shard was seen whole in its slot. */
  #isWhole = false;
  #over = false;

  constructor(res: HttpResponse, request: Omit<ShardRequest, 'kind' | 'id'>, tools: PeerTools) {
    this.#res = res;
    const pread = request.query;
    this.#request = request;
    this.#pread = pread;
    this.#pathname = `/${pread.key}`;
    this.#tools = tools;
    this.#startMs = tools.nowMs();
    res.onAborted(() => this.#finish(true));
    tools.started();
    this.#holdTimer = tools.after(pread.holdMs, () => this.#busy());
    this.#ask = tools.link.ask(request, (message) => this.#heard(message));
  }

  /** Waits for the shard's length and the first byte past what the child has. */
  look(): boolean {
    if (this.#over || this.#place === null) return false;
    const { arena } = this.#tools;
    const { slot, generation } = this.#place;
    const lengthBytes = arena.length(slot);
    const ready =
      lengthBytes >= 0 &&
      (this.#watermark(slot) > this.#pread.fromBytes || this.#pread.fromBytes >= lengthBytes);
    const totalBytes = arena.total(slot);
    if (arena.generation(slot) !== generation) {
      // The doorbell may ring before control's message says why the shard was dropped. The child is
      // told the reason, or "busy" if no message comes.
      this.#place = null;
      return false;
    }
    if (!ready) return true;
    // A head promises bytes: it waits for the upload's turn. Until then "busy" is the answer.
    if (this.#pread.fromBytes >= lengthBytes || this.#upload!.mayBegin(this))
      this.#begin(lengthBytes, totalBytes);
    return false;
  }

  /** It may be this upload's turn. */
  turned(): void {
    if (this.#sender === null && this.look()) this.#tools.followers.add(this);
  }

  /**
   * Up to where the child may be sent the slot. A child that reads from a parent checks the shard
   * against the owner's checksum, so it may have whatever has arrived, unless it wants only what
   * this node has checked itself.
   */
  #watermark(slot: number): number {
    const { arena } = this.#tools;
    if (this.#pread.role !== 'parent') return arena.owned(slot);
    return this.#pread.checked === true ? arena.released(slot) : arena.received(slot);
  }

  #heard(message: ControlMessage): void {
    if (this.#over) return;
    if (message.kind === 'granted') {
      this.#place = { slot: message.slot, generation: message.generation };
      if (this.#sender !== null) return this.#sender.placed(this.#pread.shard, this.#place);
      this.#checksum = message.checksum;
      this.#cold = message.cold;
      this.#upload = this.#tools.uploads.begin(this.#pread.shard, message.uploadsAtOnce ?? 1);
      this.#pathname = message.pathname ?? this.#pathname;
      if (this.look()) this.#tools.followers.add(this);
    } else if (message.kind === 'peer') {
      const verdict = message.answer;
      if (this.#sender !== null) return this.#close();
      this.#tools.answered(verdict.kind);
      this.#end(verdict);
    } else if (message.kind === 'refused') {
      if (this.#sender !== null) this.#close();
      else this.#end({ kind: 'refused', error: message.error });
    }
  }

  #begin(lengthBytes: number, totalBytes: number): void {
    const { shard, fromBytes } = this.#pread;
    if (fromBytes > lengthBytes) {
      this.#finish(true);
      this.#res.cork(() =>
        sayBad(this.#res, 400, `byte ${fromBytes} of a shard of ${lengthBytes} bytes`),
      );
      return;
    }
    this.#holdTimer.cancel();
    this.#tools.answered('data');
    this.#res.cork(() => {
      this.#res.writeStatus(statusLine(200));
      this.#res.writeHeader('Content-Type', 'application/octet-stream');
      for (const [name, value] of this.#headers(totalBytes)) this.#res.writeHeader(name, value);
      if (fromBytes === lengthBytes) {
        this.#res.end('');
        this.#finish(false);
        return;
      }
      const startBytes = shard * SHARD_BYTES;
      this.#sender = new BodySender(
        this.#res,
        { ...this.#tools, turn: this.#upload!, watermark: (slot) => this.#watermark(slot) },
        {
          place: () => this.#held(),
          sent: (bytes, _shard, slot) => this.#sent(bytes, slot),
          starved: () => this.#upload!.rest(),
          done: () => this.#finish(false),
        },
        startBytes + fromBytes,
        startBytes + lengthBytes,
      );
      this.#sender.pump();
    });
  }

  #headers(totalBytes: number): [string, string][] {
    const isChecked = this.#pread.role === 'parent' && this.#pread.checked === true;
    return preadHeaders(totalBytes, this.#checksum, isChecked);
  }

  /**
   * The place while it is valid. If memory ran short and the slot of a whole shard was reassigned,
   * control gets the shard again, but only once for the bytes already sent; otherwise the
   * connection is closed and the child asks another node.
   */
  #held(): { slot: number; generation: number } | null {
    const place = this.#place!;
    if (this.#tools.arena.generation(place.slot) === place.generation) return place;
    if (this.#isWhole && this.#sentBytes > this.#toldBytes) this.#again();
    else queueMicrotask(() => this.#close());
    return null;
  }

  /** Asks control as for a parent: the place in the tree was decided with the first request. */
  #again(): void {
    const { link } = this.#tools;
    this.#endAsk(false);
    const query: PreadQuery = { ...this.#pread, role: 'parent' };
    this.#ask = link.ask({ ...this.#request, query }, (message) => this.#heard(message));
  }

  #endAsk(whole: boolean): void {
    this.#tools.link.close(this.#ask, whole, this.#sentBytes - this.#toldBytes);
    this.#toldBytes = this.#sentBytes;
  }

  #sent(bytes: number, slot: number): void {
    this.#sentBytes += bytes;
    const { arena } = this.#tools;
    this.#isWhole ||= arena.released(slot) >= arena.length(slot);
    this.#tools.sent(this.#cold ? TIERS[arena.source(slot)] : 'arena', bytes);
  }

  #busy(): void {
    this.#tools.answered('busy');
    if (this.#sender === null) this.#end({ kind: 'busy', retryMs: 1 });
  }

  #end(verdict: PreadAnswer): void {
    if (this.#over) return;
    this.#finish(verdict.kind === 'refused');
    this.#res.cork(() => sayAnswer(this.#res, verdict));
  }

  #close(): void {
    if (!this.#over) this.#res.close(); // runs onAborted, which finishes
  }

  #finish(failed: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#holdTimer.cancel();
    this.#sender?.stop();
    this.#upload?.end();
    this.#tools.followers.delete(this);
    this.#endAsk(this.#sender !== null && !failed);
    const { shard, fromBytes } = this.#pread;
    this.#tools.over({
      pathname: this.#pathname,
      offsetBytes: shard * SHARD_BYTES + fromBytes,
      sentBytes: this.#sentBytes,
      failed,
      startMs: this.#startMs,
    });
  }
}
