import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../lib/clock.ts';
import {
  loadTrace,
  parseTrace,
  rangesOf,
  readRanges,
  saveTrace,
  type RangeSource,
} from '../../lib/commands/preheat-trace.ts';
import { traceName } from '../../lib/registry/identity.ts';
import { runPreheat, type PreheatOptions } from '../../lib/commands/preheat.ts';
import { ShoalError } from '../../lib/errors.ts';
import { PREHEAT_FRUITLESS_MAX } from '../../lib/commands/limits.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

const [ONE, TWO] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string];
const READS = {
  blobs: [
    { digest: ONE, sizeBytes: 3 * SHARD_BYTES - 5 },
    { digest: TWO, sizeBytes: 10 },
  ],
  reads: [
    [0, 2],
    [1, 0],
    [0, 0],
  ] as [number, number][],
};
const RECORDED = {
  ...READS,
  salt: 's',
  blobs: [ONE, TWO].map((digest) => ({ name: traceName(digest, 's') })),
};
const FILE = {
  format: 'shoal-trace',
  version: 1,
  recordedAt: '2026-01-01T00:00:00.000Z',
  shardBytes: SHARD_BYTES,
  ...READS,
};

describe('preheat --trace', () => {
  let dir: string;
  before(async () => (dir = await mkdtemp(join(tmpdir(), 'shoal-trace-'))));
  after(() => rm(dir, { recursive: true }));

  it('is read back as it was written', async () => {
    const file = join(dir, 'trace.json');
    await saveTrace(file, RECORDED, Date.parse(FILE.recordedAt));
    const saved = { ...FILE, version: 2, ...RECORDED };
    assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), saved);
    assert.deepEqual(await loadTrace(file), saved);
  });

  const damaged: [name: string, text: string, message: RegExp][] = [
    ['no JSON', 'x', /^f: not JSON, so no trace$/],
    ['something else', '[]', /^f: not a trace of this version: /],
    ['a later version', JSON.stringify({ ...FILE, version: 3 }), /^f: version: /],
    [
      'more than there should be',
      JSON.stringify({ ...FILE, url: 'https://x/?Signature=y' }),
      /^f: not a trace of this version: Unrecognized key: "url"$/,
    ],
    ['another size of shards', JSON.stringify({ ...FILE, shardBytes: 1 }), /^f: shardBytes: /],
    [
      'a path for a digest',
      JSON.stringify({ ...FILE, blobs: [{ digest: '../x', sizeBytes: 1 }] }),
      /^f: blobs\.0\.digest: a sha256 digest$/,
    ],
    [
      'a blob that is not there',
      JSON.stringify({
        ...FILE,
        reads: [
          [0, 0],
          [2, 0],
        ],
      }),
      /^f: reads\.1: there is no blob 2$/,
    ],
    [
      'a shard that is not there',
      JSON.stringify({ ...FILE, reads: [[0, 3]] }),
      /^f: reads\.0: blob 0 has no shard 3$/,
    ],
    [
      'a shard before the first',
      JSON.stringify({ ...FILE, reads: [[0, -1]] }),
      /^f: reads\.0\.1: /,
    ],
  ];
  for (const [name, text, message] of damaged)
    it(`not ${name}`, () =>
      assert.throws(() => parseTrace(text, 'f'), { code: 'FILE_UNUSABLE', message }));

  it('reports a missing file', () =>
    assert.rejects(loadTrace(join(dir, 'none')), {
      code: 'FILE_UNUSABLE',
      message: /none: no such file$/,
    }));

  it('identifies the blobs of an image by names that only its manifest reveals', () => {
    const file = { ...FILE, version: 2, ...RECORDED };
    assert.doesNotMatch(JSON.stringify(file), /sha256|aaaa|bbbb/);
    const blob = { digest: TWO, sizeBytes: 10 };
    assert.deepEqual(rangesOf(parseTrace(JSON.stringify(file), 'f'), [blob]), [
      { blob, startBytes: 0, endBytes: 10 },
    ]);
    assert.deepEqual(
      rangesOf(parseTrace(JSON.stringify(file), 'f'), [{ digest: ONE, sizeBytes: 5 }]).length,
      1,
      'no further than the blob',
    );
  });

  it('selects only blobs of the image, in its order, up to their ends', () => {
    const trace = parseTrace(JSON.stringify(FILE), 'f');
    assert.deepEqual(
      rangesOf(trace, [{ digest: ONE, sizeBytes: 3 * SHARD_BYTES - 5 }]).map(
        ({ startBytes, endBytes }) => [startBytes, endBytes],
      ),
      [
        [2 * SHARD_BYTES, 3 * SHARD_BYTES - 5],
        [0, SHARD_BYTES],
      ],
    );
    assert.deepEqual(
      rangesOf(trace, [{ digest: ONE, sizeBytes: 1 }]),
      [],
      'not those of another size',
    );
  });

  describe('reading', () => {
    const ranges = [
      [0, 10],
      [20, 30],
      [5, 8],
    ].map(([startBytes, endBytes]) => ({
      blob: { digest: ONE, sizeBytes: 100 },
      startBytes: startBytes!,
      endBytes: endBytes!,
    }));

    async function run(
      answer: (startBytes: number, endBytes: number, times: number) => number | ShoalError,
    ): Promise<{ asked: string[]; bytes: number; problems: string[] }> {
      const clock = new ManualClock();
      const asked: string[] = [];
      let [bytes, over] = [0, false];
      const source: RangeSource = {
        async *readRange(_repository, _digest, startBytes, endBytes) {
          asked.push(`${startBytes}-${endBytes}`);
          const said = answer(startBytes, endBytes, asked.length);
          if (said instanceof ShoalError) throw said;
          yield new Uint8Array(said);
        },
      };
      const reading = readRanges(source, 'a/b', ranges, clock, (more) => (bytes += more)).finally(
        () => (over = true),
      );
      for (let turns = 0; !over && turns < 10_000; turns++) {
        await new Promise((resolve) => setImmediate(resolve));
        if (!over) clock.advance(100);
      }
      return { asked, bytes, problems: [...(await reading).values()] };
    }

    it('asks for each range, in order', async () => {
      assert.deepEqual(await run((start, end) => end - start), {
        asked: ['0-10', '20-30', '5-8'],
        bytes: 23,
        problems: [],
      });
    });

    it('requests the rest of a body that ends early', async () => {
      const { asked, bytes } = await run((start, end, times) => (times === 1 ? 4 : end - start));
      assert.deepEqual([asked.at(-1), bytes], ['4-10', 23]);
    });

    it('gives up on a blob after a bounded number of attempts, or at a refusal', async () => {
      const none = await run(() => new ShoalError('ORIGIN_REFUSED', 'gone', { status: 404 }));
      assert.deepEqual([none.asked.length, none.problems], [3, ['gone']]);
      const never = await run(() => new ShoalError('ORIGIN_UNREACHABLE', 'away'));
      assert.deepEqual([never.asked.length, never.problems], [3 * PREHEAT_FRUITLESS_MAX, ['away']]);
    });
  });

  const misuses: [string[], Partial<PreheatOptions>, RegExp][] = [
    [[], {}, /^IMAGE is missing/],
    [['a'], { trace: 'f', nodes: 'all' }, /exclude each other$/],
    [['a'], { record: 'f' }, /^--record goes with --via and --seconds only/],
    [['a'], { seconds: 5 }, /^--seconds: allowed with --record only$/],
  ];
  for (const [images, options, message] of misuses) {
    it(`misuse: ${JSON.stringify([images, options])}`, () =>
      assert.rejects(
        runPreheat(
          images,
          { via: 'http://h:1', ...options },
          { out: () => undefined, err: () => undefined },
        ),
        { code: 'USAGE', message },
      ));
  }
});
