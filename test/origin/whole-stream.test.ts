import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ManualClock } from '../../lib/clock.ts';
import { ShoalError } from '../../lib/errors.ts';
import { STREAM_GAP_MS, STREAM_IDLE_MS, UNSIZED_BODY_BYTES_MAX } from '../../lib/origin/limits.ts';
import { WholeStream } from '../../lib/origin/whole-stream.ts';
import { pattern, RecordingSink } from './origin-server.ts';

const BODY = pattern(100);

describe('origin/whole-stream', () => {
  let clock: ManualClock;
  let flow: string[];
  let stream: WholeStream;

  function open(
    totalBytes: number | null,
    startBytes = 0,
    digest: string | null = null,
  ): WholeStream {
    stream = new WholeStream(
      {
        host: 'r.example',
        clock,
        gapMs: STREAM_GAP_MS,
        digest,
        flow: { pause: () => flow.push('pause'), resume: () => flow.push('resume') },
      },
      { startBytes, totalBytes },
    );
    return stream;
  }

  /** A read, and how it ended. */
  function read(fromBytes: number, endBytes: number) {
    const sink = new RecordingSink();
    const outcome = { sink, end: 'reading' };
    stream.read(fromBytes, endBytes, sink).then(
      () => (outcome.end = 'done'),
      (thrown: unknown) => (outcome.end = ShoalError.from(thrown).code),
    );
    return outcome;
  }

  beforeEach(() => {
    clock = new ManualClock();
    flow = [];
  });

  it('gives reads their parts in order, and pauses while nobody wants the next byte', async () => {
    open(100);
    const first = read(0, 40);
    stream.data(BODY.subarray(0, 60));
    await Promise.resolve();
    assert.deepEqual([first.end, flow], ['done', ['pause']]);
    assert.ok(first.sink.bytes.equals(BODY.subarray(0, 40)));
    const second = read(40, 100);
    assert.deepEqual(flow, ['pause', 'resume']);
    stream.data(BODY.subarray(60));
    await Promise.resolve();
    assert.equal(second.end, 'done');
    assert.ok(second.sink.bytes.equals(BODY.subarray(40)));
    assert.deepEqual(second.sink.heads, [{ totalBytes: 100, startBytes: 40, lengthBytes: 60 }]);
    assert.equal(stream.isDone(), true);
  });

  it('serves reads that overlap, each from its own offset', async () => {
    open(100);
    const reads = [read(0, 50), read(0, 20), read(30, 60)];
    stream.data(BODY.subarray(0, 70));
    await Promise.resolve();
    assert.deepEqual(
      reads.map(({ end, sink }) => [end, sink.bytes.length]),
      [
        ['done', 50],
        ['done', 20],
        ['done', 30],
      ],
    );
    assert.ok(reads[2]!.sink.bytes.equals(BODY.subarray(30, 60)));
  });

  it('cannot serve bytes it has passed', () => {
    open(100);
    read(0, 40);
    stream.data(BODY.subarray(0, 40));
    assert.deepEqual(
      [stream.serves(39), stream.serves(40), stream.serves(99)],
      [false, true, true],
    );
  });

  it('waits for the reads before a far one, and skips ahead only when none comes', async () => {
    open(100);
    const far = read(60, 80);
    stream.data(BODY.subarray(0, 50));
    clock.advance(STREAM_GAP_MS - 1);
    stream.isDone();
    const near = read(0, 30);
    await Promise.resolve();
    assert.deepEqual([near.end, far.end], ['done', 'reading']);
    clock.advance(STREAM_GAP_MS);
    stream.isDone();
    stream.data(BODY.subarray(50));
    await Promise.resolve();
    assert.equal(far.end, 'done');
    assert.ok(far.sink.bytes.equals(BODY.subarray(60, 80)));
  });

  it('drops a read nobody wants any more, and goes on for the others', async () => {
    open(100);
    const [left, stays] = [read(0, 50), read(0, 50)];
    left.sink.stop = true;
    stream.data(BODY.subarray(0, 50));
    await Promise.resolve();
    assert.deepEqual([left.end, stays.end], ['CANCELLED', 'done']);
    const waiting = read(50, 60);
    waiting.sink.stop = true;
    stream.isDone();
    await Promise.resolve();
    assert.equal(waiting.end, 'CANCELLED');
  });

  it('fails the reads of a body that is cut short, but not those already served', async () => {
    open(100);
    const [whole, cut] = [read(0, 40), read(40, 100)];
    stream.data(BODY.subarray(0, 70));
    stream.end(null);
    await Promise.resolve();
    assert.deepEqual([whole.end, cut.end, cut.sink.bytes.length], ['done', 'ORIGIN_BROKEN', 30]);
    assert.equal(stream.serves(70), false);
  });

  it('serves what no read had taken when the body ended, in any order', async () => {
    open(100);
    read(0, 40);
    stream.data(BODY.subarray(0, 60));
    stream.data(BODY.subarray(60));
    stream.end(null);
    assert.deepEqual(
      [stream.isKept, stream.serves(39), stream.serves(40), stream.serves(99)],
      [true, false, true, true],
    );
    const [last, next] = [read(90, 100), read(40, 90)];
    await Promise.resolve();
    assert.deepEqual([last.end, next.end], ['done', 'done']);
    assert.ok(last.sink.bytes.equals(BODY.subarray(90)));
    assert.ok(next.sink.bytes.equals(BODY.subarray(40, 90)));
    assert.equal(stream.isExpired, false);
    clock.advance(STREAM_IDLE_MS);
    assert.equal(stream.isExpired, true);
  });

  it('is done when nobody has used it for a while', () => {
    open(100);
    read(0, 10);
    stream.data(BODY.subarray(0, 20));
    clock.advance(STREAM_IDLE_MS - 1);
    assert.equal(stream.isDone(), false);
    clock.advance(1);
    assert.equal(stream.isDone(), true);
  });

  it('collects a body of unknown length, then serves every read of it', async () => {
    open(null);
    const reads = [read(0, 10), read(90, 200)];
    stream.data(BODY.subarray(0, 60));
    stream.data(BODY.subarray(60));
    assert.equal(reads[0]!.sink.heads.length, 0);
    stream.end(null);
    await Promise.resolve();
    assert.deepEqual(
      reads.map(({ end, sink }) => [end, sink.heads]),
      [
        ['done', [{ totalBytes: 100, startBytes: 0, lengthBytes: 10 }]],
        ['done', [{ totalBytes: 100, startBytes: 90, lengthBytes: 10 }]],
      ],
    );
    const late = read(20, 30);
    await Promise.resolve();
    assert.ok(late.end === 'done' && late.sink.bytes.equals(BODY.subarray(20, 30)));
    clock.advance(STREAM_IDLE_MS);
    assert.equal(stream.isExpired, true);
  });

  it('takes a collected body only if it has the digest of the object', async () => {
    const digest = `sha256:${createHash('sha256').update(BODY).digest('hex')}`;
    for (const [bodyBytes, end] of [
      [100, 'done'],
      [60, 'ORIGIN_BROKEN'],
    ] as const) {
      open(null, 0, digest);
      const one = read(0, 10);
      stream.data(BODY.subarray(0, bodyBytes));
      stream.end(null);
      await Promise.resolve();
      assert.deepEqual([one.end, stream.isKept], [end, end === 'done']);
    }
  });

  it('refuses to collect more than its bound', () => {
    open(null);
    const piece = Buffer.alloc(UNSIZED_BODY_BYTES_MAX / 4);
    for (let at = 0; at < 4; at++) stream.data(piece);
    assert.throws(() => stream.data(Buffer.alloc(1)), { code: 'ORIGIN_BROKEN' });
  });
});
