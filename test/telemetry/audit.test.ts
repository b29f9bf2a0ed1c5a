import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock, systemClock } from '../../lib/clock.ts';
import {
  AUDIT_BATCH_BYTES,
  AUDIT_FLUSH_MS,
  AUDIT_SINK_BYTES_MAX,
  LOG_REOPEN_MS,
} from '../../lib/telemetry/limits.ts';
import { AuditFile } from '../../lib/telemetry/audit-file.ts';
import { AuditSink } from '../../lib/telemetry/audit-sink.ts';
import { AuditProbe, auditStamp, auditThread } from '../../lib/telemetry/audit.ts';
import { Meter } from '../../lib/telemetry/counters.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import { AUDIT_LINE } from './audit-line.ts';
import { withFullDisk } from './full-disk-run.ts';
import { until } from './until.ts';

function probeFixture(post?: (batch: Uint8Array<ArrayBuffer>, lines: number) => void): {
  probe: AuditProbe;
  posts: { batch: string; lines: number }[];
  clock: ManualClock;
  board: MeterBoard;
  meter: Meter;
} {
  const clock = new ManualClock(new Date(2022, 7, 30, 15, 44, 52, 321).getTime());
  const board = new MeterBoard();
  const meter = new Meter(board.shared, 1, 'front');
  const posts: { batch: string; lines: number }[] = [];
  const probe = new AuditProbe({
    clock,
    meter,
    threadId: 7,
    post: post ?? ((batch, lines) => posts.push({ batch: Buffer.from(batch).toString(), lines })),
  });
  return { probe, posts, clock, board, meter };
}

describe('telemetry/audit', () => {
  it('writes the golden lines', () => {
    const golden = readFileSync(new URL('../golden/audit.log', import.meta.url), 'utf8')
      .trimEnd()
      .split('\n');
    const { probe, posts, clock } = probeFixture();
    const thread = auditThread(process.pid, 7);
    const paths = golden.map((line) => /pathname=([^\]]*)/.exec(line)![1]!);
    probe.line('download', paths[0]!, 125_829_120, 2_097_152, 267_172);
    clock.advance(3000);
    probe.line('http:pread', `${paths[1]!}?Signature=abc`, 127_467_520, 65_536, 20.6);
    probe.close();
    const lines = posts.flatMap(({ batch }) => batch.trimEnd().split('\n'));
    assert.deepEqual(
      lines,
      golden.map((line) => line.replace(/th=[0-9A-F]{16}/, `th=${thread}`)),
    );
  });

  it('matches the format for every operation, a failure with a negative size', () => {
    const { probe, posts } = probeFixture();
    for (const operation of [
      'http:pread',
      'rpc:stat',
      'rpc:pread',
      'download',
      'filewrite',
      'fileread',
    ] as const) {
      probe.line(operation, '/https://host/path', 0, -1, 12.5);
    }
    probe.flush();
    const lines = posts[0]!.batch.trimEnd().split('\n');
    assert.equal(lines.length, 6);
    for (const line of lines) assert.match(line, AUDIT_LINE);
  });

  it('writes numbers unchanged, and keeps a URL in its field even if it looks like its end', () => {
    const { probe, posts } = probeFixture();
    const numbers = [0, 1, 9, 10, 99, 100, 4_294_967_296, 20e9, Number.MAX_SAFE_INTEGER, -1, -100];
    for (const number of numbers)
      probe.line(
        'rpc:pread',
        '/h/x][size=1][latency=1]\u00fc',
        Math.abs(number),
        number,
        Math.abs(number),
      );
    probe.line('fileread', `/${'p'.repeat(2 * AUDIT_BATCH_BYTES)}`, 0, 1, 1);
    probe.flush();
    const lines = posts
      .map(({ batch }) => batch)
      .join('')
      .trimEnd()
      .split('\n');
    assert.equal(
      posts.reduce((sum, post) => sum + post.lines, 0),
      lines.length,
    );
    assert.equal(
      lines.at(-1)!.split('][')[0]!.length > 2 * AUDIT_BATCH_BYTES,
      true,
      'however long it is',
    );
    for (const [i, number] of numbers.entries()) {
      const fields = lines[i]!.slice(lines[i]!.indexOf('rpc:pread')).split('][');
      assert.deepEqual(fields, [
        'rpc:pread[pathname=/h/x]%5Bsize=1]%5Blatency=1]\u00fc',
        `offset=${Math.abs(number)}`,
        `size=${number}`,
        `latency=${Math.abs(number)}]`,
      ]);
    }
  });

  it('gives local time, and each thread of each process its own 16 digits', () => {
    assert.equal(auditStamp(new Date(2031, 0, 2, 3, 4, 5).getTime()), '2031/01/02 03:04:05');
    assert.match(auditThread(4_194_304, 65_535), /^[0-9A-F]{16}$/);
    assert.notEqual(auditThread(1, 0), auditThread(0, 1));
  });

  it('hands lines over when the batch is full or old enough, and not before', () => {
    const { probe, posts, clock } = probeFixture();
    probe.line('fileread', '/x', 0, 1, 1);
    clock.advance(AUDIT_FLUSH_MS - 1);
    assert.equal(posts.length, 0);
    clock.advance(1);
    assert.equal(posts.length, 1);
    assert.equal(posts[0]!.lines, 1);
    while (posts.length === 1) probe.line('fileread', '/x', 0, 1, 1);
    assert.ok(
      posts[1]!.batch.length > AUDIT_BATCH_BYTES - 300 &&
        posts[1]!.batch.length <= AUDIT_BATCH_BYTES,
    );
    assert.equal(posts[1]!.lines, posts[1]!.batch.trimEnd().split('\n').length);
    // The line that found no room in it waits for its own time.
    clock.advance(AUDIT_FLUSH_MS * 2);
    assert.deepEqual([posts.length, posts[2]!.lines], [3, 1]);
    clock.advance(AUDIT_FLUSH_MS * 2);
    assert.equal(posts.length, 3);
  });

  it('drops and counts lines while control takes none, and resumes when it does', () => {
    const { probe, posts, board, meter } = probeFixture();
    const sink = new AuditSink(new Meter(board.shared, 0, 'control'), {
      write: () => true,
      close: () => Promise.resolve(),
    });
    let lines = 0;
    while (board.counter('audit.dropped') === 0) {
      probe.line('http:pread', `/${'p'.repeat(2000)}`, 0, 1, 1);
      lines += 1;
    }
    const handedBytes = posts.reduce((sum, { batch }) => sum + batch.length, 0);
    assert.ok(
      handedBytes <= AUDIT_SINK_BYTES_MAX &&
        handedBytes > AUDIT_SINK_BYTES_MAX - 2 * AUDIT_BATCH_BYTES,
    );
    // One is held still: it found no room in the batch that was dropped.
    assert.equal(
      posts.reduce((sum, post) => sum + post.lines, 0) + board.counter('audit.dropped'),
      lines - 1,
    );
    for (const { batch, lines: taken } of posts) sink.accept(Buffer.from(batch), taken);
    assert.equal(board.counter('audit.written'), lines - 1 - board.counter('audit.dropped'));
    const before = posts.length;
    probe.flush();
    assert.equal(posts.length, before + 1);
    assert.equal(meter.row, 1);
  });

  it('costs a few microseconds a line at most', () => {
    const board = new MeterBoard();
    const meter = new Meter(board.shared, 1, 'front');
    const sink = new AuditSink(meter, { write: () => true, close: () => Promise.resolve() });
    const probe = new AuditProbe({
      clock: systemClock,
      meter,
      threadId: 1,
      post: (batch, lines) => sink.accept(batch, lines),
    });
    const pathname = `/https://host/docker/registry/v2/blobs/sha256/dd/${'d'.repeat(64)}/data`;
    const run = (lines: number): number => {
      const startMs = performance.now();
      for (let i = 0; i < lines; i++) probe.line('http:pread', pathname, i * 65_536, 65_536, 21);
      return ((performance.now() - startMs) * 1000) / lines;
    };
    run(20_000);
    const best = Math.min(...Array.from({ length: 5 }, () => run(20_000)));
    probe.close();
    assert.ok(best < 10, `${best.toFixed(2)} us a line`);
  });
});

describe('telemetry/audit-file', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'shoal-audit-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('turns over by size, keeps so many old files and loses no line it took', async () => {
    const file = new AuditFile({
      directory,
      clock: systemClock,
      onState: (error) => assert.ifError(error),
      fileBytesMax: 4096,
      filesMax: 3,
    });
    const line = `${'x'.repeat(99)}\n`;
    for (let i = 0; i < 30; i++) {
      assert.equal(file.write(line.repeat(10)), true);
      await new Promise(setImmediate);
    }
    await file.close();
    const logs = readdirSync(directory).filter((name) => name.endsWith('.log'));
    assert.ok(logs.includes('audit.log'));
    assert.ok(logs.length >= 2 && logs.length <= 4, logs.join(' '));
    for (const name of logs) {
      for (const text of readFileSync(join(directory, name), 'utf8').split('\n'))
        assert.ok(text === '' || text.length === 99, name);
    }
  });

  it('appends to what a process before left', async () => {
    writeFileSync(join(directory, 'audit.log'), 'before\n');
    const file = new AuditFile({ directory, clock: systemClock, onState: () => {} });
    file.write('after\n');
    await file.close();
    assert.equal(readFileSync(join(directory, 'audit.log'), 'utf8'), 'before\nafter\n');
  });

  it('says once that the disk is full, and leaves what was cut off a line of its own', () => {
    assert.deepEqual(withFullDisk('audit', directory), {
      told: ['EFBIG', false, 'works', true],
      lines: [99, 99, 50, 'after', ''],
    });
  });

  it('drops lines while the file cannot be written, logs it once, and recovers', async () => {
    const clock = new ManualClock();
    const states: (Error | null)[] = [];
    const blocked = join(directory, 'logs');
    writeFileSync(blocked, 'a file where the directory should be');
    const file = new AuditFile({
      directory: blocked,
      clock,
      onState: (error) => states.push(error),
    });
    await until(() => states.length === 1, 'the failure');
    assert.equal(file.write('lost\n'), false);
    rmSync(blocked);
    clock.advance(LOG_REOPEN_MS);
    await until(() => states.length === 2, 'the recovery');
    assert.equal(states[1], null);
    assert.equal(file.write('kept\n'), true);
    await file.close();
    assert.equal(readFileSync(join(blocked, 'audit.log'), 'utf8'), 'kept\n');
  });
});
