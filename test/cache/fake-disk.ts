import { setImmediate as turn } from 'node:timers/promises';
import { HEADER_BYTES } from '../../lib/cache/header.ts';
import type {
  HeaderJob,
  ReadJob,
  ReadOutcome,
  SlabIo,
  WriteJob,
  WriteOutcome,
} from '../../lib/cache/slab-io.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import { PAGE_BYTES } from '../../lib/limits.ts';

/** The checksum of a shard whose content goes by a name. */
export function checksumOfContent(content: string): Uint8Array {
  return checksumOf(Buffer.from(content));
}

interface Operation {
  /** Does one more piece; true when that was the last. */
  step(): boolean;
  settle(): void;
}

/**
 * A disk and an arena that hold names instead of bytes: page 3 of the content "x" is "x#3". Every
 * page and header entry remembers what it has held, oldest first, so that a test can ask what a
 * machine that lost power would find.
 */
export class FakeDisk implements SlabIo {
  readonly pages = new Map<number, string[]>();
  readonly headers = new Map<number, Uint8Array[]>();
  readonly slots = new Map<number, { generation: number; content: string }>();
  readonly log: string[] = [];
  /** Operations wait for `advance` instead of being done at once. */
  stepwise = false;
  fail: { read?: Error; write?: Error; header?: Error } = {};
  #operations: Operation[] = [];

  get waiting(): number {
    return this.#operations.length;
  }

  /**
   * Does one piece of the waiting operation picked by `random`, and lets what waited for it run on.
   */
  async advance(random: () => number): Promise<void> {
    await turn();
    if (this.#operations.length === 0) return;
    const at = Math.floor(random() * this.#operations.length);
    const operation = this.#operations[at]!;
    if (operation.step()) {
      this.#operations.splice(at, 1);
      operation.settle();
    }
    await turn();
  }

  /** Lets everything that waits, and what that leads to, come to its end. */
  async finish(): Promise<void> {
    await turn();
    while (this.waiting > 0) await this.advance(() => 0);
  }

  read(job: ReadJob): Promise<ReadOutcome> {
    const { fileOffsetBytes, lengthBytes, slot, checksum } = job;
    this.log.push(`read ${checksum === null ? 'unchecked' : 'checked'}`);
    const first = fileOffsetBytes / PAGE_BYTES;
    const count = Math.ceil(lengthBytes / PAGE_BYTES);
    const tokens: string[] = [];
    return this.#operate(
      'read',
      () => {
        tokens.push(this.pages.get(first + tokens.length)?.at(-1) ?? '?');
        return tokens.length === count;
      },
      () => {
        const content = tokens[0]!.slice(0, tokens[0]!.lastIndexOf('#'));
        const whole = tokens.every((token, page) => token === `${content}#${page}`);
        this.slots.set(slot, {
          generation: this.slots.get(slot)?.generation ?? 0,
          content: whole ? content : 'torn',
        });
        return checksum === null ||
          (whole && Buffer.compare(checksumOfContent(content), checksum) === 0)
          ? 'ok'
          : 'corrupt';
      },
    );
  }

  write(job: WriteJob): Promise<WriteOutcome> {
    const { fileOffsetBytes, lengthBytes, slot, generation } = job;
    const source = this.slots.get(slot);
    if (source?.generation !== generation) return Promise.resolve('gone');
    this.log.push('write');
    const { content } = source;
    const first = fileOffsetBytes / PAGE_BYTES;
    const count = Math.ceil(lengthBytes / PAGE_BYTES);
    let page = 0;
    return this.#operate(
      'write',
      () => {
        const history = this.pages.get(first + page) ?? [];
        this.pages.set(first + page, history);
        history.push(`${content}#${page++}`);
        return page === count;
      },
      () => 'written',
    );
  }

  writeHeader(job: HeaderJob): Promise<void> {
    this.log.push('header');
    return this.#operate(
      'header',
      () => {
        const history = this.headers.get(job.entry) ?? [];
        this.headers.set(job.entry, history);
        history.push(job.bytes);
        return true;
      },
      () => undefined,
    );
  }

  /**
   * The disk after the process was killed (`pick` takes the last of each history) or the machine
   * lost power.
   */
  survivor(pick: (held: number) => number): FakeDisk {
    const after = new FakeDisk();
    for (const [page, history] of this.pages)
      after.pages.set(page, [history[pick(history.length)] ?? '?']);
    for (const [entry, history] of this.headers) {
      const bytes = history[pick(history.length)];
      if (bytes !== undefined) after.headers.set(entry, [bytes]);
    }
    return after;
  }

  table(entryCount: number): Buffer {
    const table = Buffer.alloc(entryCount * HEADER_BYTES);
    for (const [entry, history] of this.headers) table.set(history.at(-1)!, entry * HEADER_BYTES);
    return table;
  }

  #operate<T>(kind: 'read' | 'write' | 'header', step: () => boolean, result: () => T): Promise<T> {
    const failure = this.fail[kind];
    if (failure !== undefined) return Promise.reject(failure);
    if (!this.stepwise) {
      while (!step());
      return Promise.resolve(result());
    }
    return new Promise((resolve) => {
      this.#operations.push({ step, settle: () => resolve(result()) });
    });
  }
}
