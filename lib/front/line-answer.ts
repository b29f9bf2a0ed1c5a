import type { HttpResponse } from 'uWebSockets.js';
import type { Clock } from '../clock.ts';
import { LINE_TEST_BYTES } from '../limits.ts';
import { LINE_ANSWER_MS, LINE_ANSWERS_MAX } from './limits.ts';
import { statusLine } from './responses.ts';

/** What is written at once, of no meaning. */
const ZEROS = new Uint8Array(256 * 1024);

/** Answers nodes that test their lines; bounded in number and in time. */
export class LineAnswers {
  readonly #after: Clock['after'];
  #underWay = 0;

  constructor(after: Clock['after']) {
    this.#after = after;
  }

  /** Sends LINE_TEST_BYTES; false: too many are under way. */
  begin(res: HttpResponse): boolean {
    if (this.#underWay >= LINE_ANSWERS_MAX) return false;
    this.#underWay++;
    let isOver = false;
    const timer = this.#after(LINE_ANSWER_MS, () => {
      if (!isOver) res.close(); // runs onAborted
    });
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      this.#underWay--;
      timer.cancel();
    };
    const write = (fromBytes: number): boolean => {
      for (let at = fromBytes; ; at += ZEROS.length) {
        const [hasRoom, isDone] = res.tryEnd(
          ZEROS.subarray(0, LINE_TEST_BYTES - at),
          LINE_TEST_BYTES,
        );
        if (isDone) over();
        if (isDone || !hasRoom) return isDone;
      }
    };
    res.onAborted(over);
    res.onWritable((sentBytes) => write(sentBytes));
    res.cork(() => {
      res.writeStatus(statusLine(200));
      res.writeHeader('Content-Type', 'application/octet-stream');
      write(0);
    });
    return true;
  }
}
