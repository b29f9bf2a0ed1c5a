import { nextUpload } from '../swarm/upload-turns.ts';
import type { Clock, Timer } from '../clock.ts';
import {
  UPLINK_WINDOW_MS,
  UPLOAD_ALIVE_BYTES,
  UPLOAD_ALIVE_MS,
  UPLOAD_STUCK_MS,
} from './limits.ts';
import type { Turn, TurnWaiter } from './turn.ts';
import { Uplink } from './uplink.ts';

/**
 * The uplink's schedule: of the shards that this front sends to other nodes, those that are needed
 * first have the line, and the others wait (lib/swarm/upload-turns.ts). An upload that has no
 * bytes, or whose receiver takes none, does not count, so it does not delay others. An upload that
 * has begun and waits sends a little at intervals, so that its receiver does not take it for dead.
 */
export class Uploads {
  readonly #turn: Turn;
  readonly #clock: Pick<Clock, 'nowMs' | 'after'>;
  readonly #active = new Set<Upload>();
  readonly #uplink = new Uplink();
  #waiting: Upload[] = [];
  #timer: Timer | null = null;

  constructor(turn: Turn, clock: Pick<Clock, 'nowMs' | 'after'>) {
    this.#turn = turn;
    this.#clock = clock;
  }

  /** An upload of the shard at `order` of its blob, beside which `atOnce` shards may be sent. */
  begin(order: number, atOnce: number): Upload {
    return new Upload(this, order, atOnce);
  }

  get turn(): Turn {
    return this.#turn;
  }

  /** Whether no shard is being sent. */
  get isIdle(): boolean {
    return this.#active.size + this.#waiting.length === 0;
  }

  /** Whether the upload may write now. It counts as active from then on. */
  mayGo(upload: Upload): boolean {
    const nowMs = this.#clock.nowMs();
    if (!upload.isBeside && this.#isLaterThanOthers(upload, nowMs)) {
      // Those that come first are held up by their receivers, and the line is not full.
      if (!this.#uplink.hasRoom(nowMs)) return false;
      upload.isBeside = true;
    }
    if (this.#active.size === 0) this.#uplink.begin(nowMs);
    upload.wroteMs = nowMs;
    this.#active.add(upload);
    return true;
  }

  #isLaterThanOthers(upload: Upload, nowMs: number): boolean {
    const hasOthers =
      this.#waiting.length > 0 || this.#active.size > (this.#active.has(upload) ? 1 : 0);
    if (!hasOthers) return false;
    const others = [...this.#active, ...this.#waiting].filter(
      (other) => other !== upload && (other.isWaiting || nowMs - other.wroteMs < UPLOAD_STUCK_MS),
    );
    return nextUpload([upload, ...others], 0, upload.atOnce) !== 0;
  }

  /** `bytes` more were written, or fewer if negative. See Uplink.wrote. */
  wrote(bytes: number, isDrained: boolean): void {
    this.#uplink.wrote(bytes, this.#clock.nowMs(), isDrained);
  }

  /** How many of `bytes` the upload may send now: all, a sign of life, or none. */
  share(upload: Upload, bytes: number): number {
    if (this.mayGo(upload)) return bytes;
    const nowMs = this.#clock.nowMs();
    if (!upload.hasBegun || nowMs - upload.wroteMs < UPLOAD_ALIVE_MS) return 0;
    upload.wroteMs = nowMs;
    return Math.min(bytes, UPLOAD_ALIVE_BYTES);
  }

  wait(upload: Upload): void {
    this.#active.delete(upload);
    this.#waiting.push(upload);
    this.#timer ??= this.#clock.after(UPLINK_WINDOW_MS, this.#look);
  }

  /** The upload has nothing to send for now, or is over. */
  rest(upload: Upload): void {
    const wasActive = this.#active.delete(upload);
    const place = this.#waiting.indexOf(upload);
    if (place >= 0) this.#waiting.splice(place, 1);
    if ((wasActive || place >= 0) && this.#waiting.length > 0) queueMicrotask(this.#look);
  }

  /** Lets those go that may, the most needed first. */
  readonly #look = (): void => {
    this.#timer?.cancel();
    this.#timer = null;
    const waiting = this.#waiting.toSorted((one, other) => one.order - other.order);
    for (const upload of waiting) {
      const place = this.#waiting.indexOf(upload);
      if (place < 0) continue;
      this.#waiting.splice(place, 1);
      upload.turned();
    }
    if (this.#waiting.length > 0) this.#timer ??= this.#clock.after(UPLINK_WINDOW_MS, this.#look);
  };
}

/** One shard's way out: the turn that its sender takes its bytes from. */
export class Upload {
  readonly order: number;
  readonly atOnce: number;
  /** Whether it goes beside more needed ones, which do not fill the line. */
  isBeside = false;
  /** When it last could write, in ms; 0: never. */
  wroteMs = 0;
  readonly #uploads: Uploads;
  #waiter: TurnWaiter | null = null;
  /** Whether the socket's buffer has been full. */
  #wasFull = false;

  constructor(uploads: Uploads, order: number, atOnce: number) {
    this.#uploads = uploads;
    this.order = order;
    this.atOnce = atOnce;
  }

  get hasBegun(): boolean {
    return this.wroteMs > 0;
  }

  /** Whether it may begin now; if not, `waiter` is told when to ask again. */
  mayBegin(waiter: TurnWaiter): boolean {
    if (this.#uploads.mayGo(this)) return true;
    this.#waiter = waiter;
    this.#uploads.wait(this);
    return false;
  }

  get isWaiting(): boolean {
    return this.#waiter !== null;
  }

  /** See Turn.take. */
  take(bytes: number): number {
    const taken = this.#uploads.turn.take(this.#uploads.share(this, bytes));
    this.#uploads.wrote(taken, this.#wasFull);
    return taken;
  }

  giveBack(bytes: number): void {
    this.#uploads.wrote(-bytes, this.#wasFull);
    this.#uploads.turn.giveBack(bytes);
    if (bytes > 0) this.#wasFull = true;
  }

  /** Waits for other uploads, or for the next turn of the event loop. */
  wait(waiter: TurnWaiter): void {
    if (this.#uploads.mayGo(this)) return this.#uploads.turn.wait(waiter);
    this.#waiter = waiter;
    this.#uploads.wait(this);
  }

  turned(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.turned();
  }

  /** It waits for bytes of its own. */
  rest(): void {
    this.#uploads.rest(this);
  }

  end(): void {
    this.#waiter = null;
    this.#uploads.rest(this);
  }
}
