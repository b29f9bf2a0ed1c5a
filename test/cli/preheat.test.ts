import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../lib/clock.ts';
import {
  namedImage,
  ownPlatform,
  parsePlatform,
  planPreheat,
} from '../../lib/commands/preheat-image.ts';
import { readLayer } from '../../lib/commands/preheat-layer.ts';
import type { BlobSource } from '../../lib/commands/preheat-layer.ts';
import { runPreheat } from '../../lib/commands/preheat.ts';
import type { PreheatOptions, PreheatResult } from '../../lib/commands/preheat.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import { ShoalError } from '../../lib/errors.ts';
import type { ErrorCode } from '../../lib/errors.ts';
import { PREHEAT_FRUITLESS_MAX } from '../../lib/commands/limits.ts';

const digestOf = (bytes: string | Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const DIGEST = digestOf('x');

describe('preheat: what to read', () => {
  const names: [string, [registry: string, repository: string, reference: string]][] = [
    ['nginx', ['docker.io', 'library/nginx', 'latest']],
    ['registry.example:5000/a/b:v1', ['registry.example:5000', 'a/b', 'v1']],
    [`quay.io/a/b@${DIGEST}`, ['quay.io', 'a/b', DIGEST]],
    [`localhost/a:v1@${DIGEST}`, ['localhost', 'a', DIGEST]],
  ];
  for (const [name, [registry, repository, reference]] of names) {
    it(name, () => assert.deepEqual(namedImage(name), { name, registry, repository, reference }));
  }
  for (const name of [
    '',
    'a/B',
    'a b',
    'registry.example/',
    'x@sha256:12',
    `x@sha512:${'0'.repeat(128)}`,
  ]) {
    it(`not ${JSON.stringify(name)}`, () =>
      assert.throws(() => namedImage(name), { code: 'USAGE' }));
  }

  it('platforms', () => {
    assert.deepEqual(parsePlatform('linux/arm/v7'), {
      os: 'linux',
      architecture: 'arm',
      variant: 'v7',
    });
    assert.deepEqual(parsePlatform('windows/amd64'), {
      os: 'windows',
      architecture: 'amd64',
      variant: null,
    });
    for (const text of ['linux', 'linux/', '/amd64', 'a/b/c/d', 'Linux/amd64'])
      assert.equal(parsePlatform(text), null);
    assert.deepEqual(
      [ownPlatform('x64').architecture, ownPlatform('arm64').architecture],
      ['amd64', 'arm64'],
    );
  });

  const manifest = (name: string): { bytes: Buffer; digest: string } => {
    const bytes = Buffer.from(
      JSON.stringify({
        config: { digest: digestOf(`config ${name}`), size: 1 },
        layers: [
          { digest: digestOf('shared'), size: 5 },
          { digest: digestOf(name), size: 9 },
        ],
      }),
    );
    return { bytes, digest: digestOf(bytes) };
  };
  const [amd, arm, attestation] = [manifest('amd'), manifest('arm'), manifest('attestation')];
  const index = Buffer.from(
    JSON.stringify({
      manifests: [
        { digest: arm.digest, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        { digest: amd.digest, platform: { os: 'linux', architecture: 'amd64' } },
        { digest: attestation.digest, platform: { os: 'unknown', architecture: 'unknown' } },
      ],
    }),
  );
  const stored = new Map<string, Buffer>([
    ['latest', index],
    [amd.digest, amd.bytes],
    [arm.digest, arm.bytes],
    [attestation.digest, attestation.bytes],
  ]);
  const fetch = async (
    reference: string,
  ): Promise<{ digest: string; mediaType: string; bytes: Buffer }> => {
    const bytes = stored.get(reference)!;
    return { digest: digestOf(bytes), mediaType: '', bytes };
  };

  it('one platform of an index, all of them, or an image without an index', async () => {
    const one = await planPreheat(fetch, 'latest', {
      os: 'linux',
      architecture: 'arm64',
      variant: null,
    });
    assert.deepEqual(
      [one.digest, one.platforms, one.blobs.map((blob) => blob.digest)],
      [
        digestOf(index),
        ['linux/arm64/v8'],
        [digestOf('config arm'), digestOf('shared'), digestOf('arm')],
      ],
    );
    const all = await planPreheat(fetch, 'latest', null);
    assert.deepEqual([all.platforms, all.blobs.length], [['linux/arm64/v8', 'linux/amd64'], 5]);
    const direct = await planPreheat(fetch, amd.digest, {
      os: 'linux',
      architecture: 's390x',
      variant: null,
    });
    assert.deepEqual([direct.platforms, direct.blobs.length], [[], 3]);
  });

  it('lists the available platforms', async () => {
    const wanted = { os: 'linux', architecture: 'arm64', variant: 'v9' };
    await assert.rejects(planPreheat(fetch, 'latest', wanted), {
      code: 'ORIGIN_REFUSED',
      message: 'not for linux/arm64/v9; there is: linux/arm64/v8, linux/amd64',
    });
  });
});

describe('preheat: one layer', () => {
  const content = Buffer.from('0123456789');
  const blob = { digest: digestOf(content), sizeBytes: content.length };

  /** Answers read by read: bytes, then what it fails with. */
  async function readThrough(
    answers: [bytes: number, failure: ErrorCode | null, status?: number][],
  ): Promise<{ starts: number[]; waitedMs: number; bytes: number; error: ShoalError | null }> {
    const clock = new ManualClock();
    const starts: number[] = [];
    let bytes = 0;
    const source: BlobSource = {
      async *read(_repository, _digest, startBytes) {
        const [length, failure, status] = answers[starts.length] ?? [content.length, null];
        starts.push(startBytes);
        if (length > 0) yield content.subarray(startBytes, startBytes + length);
        if (failure !== null)
          throw new ShoalError(failure, 'as told', status === undefined ? {} : { status });
      },
    };
    let over = false;
    let error: ShoalError | null = null;
    void readLayer(source, 'a/b', blob, clock, (length) => (bytes += length))
      .catch((thrown: unknown) => (error = ShoalError.from(thrown)))
      .finally(() => (over = true));
    for (let turns = 0; !over && turns < 10_000; turns++) {
      await new Promise((give) => setImmediate(give));
      if (!over) clock.advance(10);
    }
    assert.ok(over);
    return { starts, waitedMs: clock.nowMs(), bytes, error };
  }

  it('continues from the last byte', async () => {
    assert.deepEqual(
      (({ starts, bytes, error }) => ({ starts, bytes, error }))(
        await readThrough([
          [3, 'ORIGIN_BROKEN'],
          [4, 'ORIGIN_UNREACHABLE'],
          [3, null],
        ]),
      ),
      { starts: [0, 3, 7], bytes: 10, error: null },
    );
  });

  it('continues after a short body; a break after the last byte is a success', async () => {
    assert.deepEqual((await readThrough([[9, null]])).starts, [0, 9]);
    const { starts, error } = await readThrough([[10, 'ORIGIN_BROKEN']]);
    assert.deepEqual([starts, error], [[0], null]);
  });

  it('gives up after a bounded number of attempts without progress, with backoff', async () => {
    const nothing: [number, ErrorCode, number][] = Array.from(
      { length: PREHEAT_FRUITLESS_MAX + 3 },
      () => [0, 'ORIGIN_REFUSED', 503],
    );
    const { starts, error, waitedMs } = await readThrough(nothing);
    assert.equal(starts.length, PREHEAT_FRUITLESS_MAX);
    assert.equal(error?.status, 503);
    assert.ok(waitedMs >= 500 + 1_000 + 2_000 + 4_000, `${waitedMs}`);
    // One byte starts the count anew.
    const again = await readThrough([
      ...nothing.slice(0, PREHEAT_FRUITLESS_MAX - 1),
      [1, 'ORIGIN_BROKEN'],
      ...nothing,
    ]);
    assert.equal(again.starts.length, 2 * PREHEAT_FRUITLESS_MAX);
  });

  it('does not retry a refusal', async () => {
    for (const status of [401, 403, 404])
      assert.deepEqual((await readThrough([[0, 'ORIGIN_REFUSED', status]])).starts, [0]);
  });

  it('refuses wrong bytes', async () => {
    const wrong: BlobSource = {
      read: async function* () {
        yield Buffer.from('0123456780');
      },
    };
    await assert.rejects(
      readLayer(wrong, 'a/b', blob, new ManualClock(), () => undefined),
      { code: 'DIGEST_MISMATCH' },
    );
  });
});

describe('shoal preheat', () => {
  let registry: DemoRegistry;
  let image: string;
  let out = '';
  let err = '';
  const output = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
  };
  const preheat = (
    images: string[],
    options: Partial<PreheatOptions>,
    password = '',
  ): Promise<number> => {
    [out, err] = ['', ''];
    return runPreheat(
      images,
      { via: registry.url, json: true, ...options },
      output,
      async () => password,
    );
  };
  const report = (): { ok: boolean; via: string; bytes: number; images: PreheatResult[] } =>
    JSON.parse(out.trimEnd().split('\n').at(-1)!) as never;

  before(async () => {
    registry = await DemoRegistry.start(
      await makeSampleImage('preheat', [3_000_000, 500_000, 1_000]),
    );
    image = `${new URL(registry.url).host}/shoal/sample`;
  });
  after(() => registry.close());

  it('reads every blob of a private image and reports it', async () => {
    const { username, password } = registry.credentials;
    const code = await preheat([image], { user: username, passwordStdin: true }, `${password}\n`);
    assert.equal(err.includes('FAILED'), false);
    assert.equal(code, 0);
    const { ok, via, bytes, images } = report();
    assert.deepEqual(
      [ok, via, images[0]!.blobs, images[0]!.ok, images[0]!.problems],
      [true, registry.url, 4, true, []],
    );
    assert.equal(bytes, registry.traffic.blobs.bytes);
    assert.equal((out + err).includes(password), false);
  });

  it('uses stored docker or podman credentials if no user is given', async () => {
    const { username, password } = registry.credentials;
    const dir = mkdtempSync(join(tmpdir(), 'shoal-auth-'));
    const file = join(dir, 'auth.json');
    const auth = Buffer.from(`${username}:${password}`).toString('base64');
    writeFileSync(file, JSON.stringify({ auths: { [new URL(registry.url).host]: { auth } } }));
    const before = process.env['REGISTRY_AUTH_FILE'];
    process.env['REGISTRY_AUTH_FILE'] = file;
    try {
      assert.equal(await preheat([image], {}), 0, out + err);
    } finally {
      if (before === undefined) delete process.env['REGISTRY_AUTH_FILE'];
      else process.env['REGISTRY_AUTH_FILE'] = before;
      rmSync(dir, { recursive: true });
    }
    assert.equal((out + err).includes(password), false);
  });

  it('fails with the reason if the password is missing, and reads nothing', async () => {
    const sentBytes = registry.traffic.blobs.bytes;
    assert.equal(await preheat([image], {}), 1);
    assert.match(report().images[0]!.problems[0]!, /\/token answered 401$/);
    assert.equal(await preheat([image], { user: 'demo', passwordStdin: true }, 'wrong'), 1);
    assert.equal(registry.traffic.blobs.bytes, sentBytes);
    assert.equal((out + err).includes('wrong'), false);
  });

  it('continues with the other images if one does not exist', async () => {
    const { username, password } = registry.credentials;
    assert.equal(
      await preheat([`${image}:none`, image], { user: username, passwordStdin: true }, password),
      1,
    );
    assert.deepEqual(
      report().images.map(({ ok }) => ok),
      [false, true],
    );
    assert.match(err, /:none: http.* answered 404\n/);
  });

  it('exits with 1 and the reason if the node does not answer', async () => {
    assert.equal(await preheat(['registry.example/a'], { via: 'http://127.0.0.1:1' }), 1);
    assert.match(report().images[0]!.problems[0]!, /^http:\/\/127\.0\.0\.1:1 cannot be reached: /);
  });

  const misuses: [string[], Partial<PreheatOptions>, RegExp][] = [
    [['a b'], {}, /is no image name/],
    [['a'], { via: 'localhost:65001' }, /^--via/],
    [['a'], { via: 'http://user:secret@h' }, /^--via: (?!.*secret)/],
    [['a'], { platform: 'linux' }, /^--platform/],
    [['a'], { platform: 'linux/amd64', allPlatforms: true }, /exclude each other/],
    [['a'], { user: 'x' }, /go together/],
    [['a'], { passwordStdin: true }, /go together/],
    [['a', 'quay.io/b'], { user: 'x', passwordStdin: true }, /one registry only/],
  ];
  for (const [images, options, message] of misuses) {
    it(`misuse: ${JSON.stringify([images, options])}`, () =>
      assert.rejects(preheat(images, options), { code: 'USAGE', message }));
  }
});

describe('preheat: a node that closes the connection early', () => {
  const content = Buffer.alloc(300_000, 'shoal');
  const digest = digestOf(content);
  const manifest = Buffer.from(
    JSON.stringify({ config: { digest, size: content.length }, layers: [] }),
  );
  const requests: string[] = [];
  let server: Server;
  let knowsRanges = true;

  before((done) => {
    server = createServer(answer).listen(0, '127.0.0.1', done);
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => void requests.splice(0));

  function answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.url!.includes('/manifests/')) return void response.end(manifest);
    const { range } = request.headers;
    requests.push(`${request.url} ${range}`);
    const start = knowsRanges && range !== undefined ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': content.length - start,
      ...(start > 0
        ? { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }
        : {}),
    });
    if (requests.length > 1) return void response.end(content.subarray(start));
    response.write(content.subarray(start, 100_000), () => response.destroy());
  }

  for (const known of [true, false]) {
    it(`is asked ${known ? 'for the rest by a range' : 'for all, without ranges'}`, async () => {
      knowsRanges = known;
      let out = '';
      const via = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const code = await runPreheat(
        ['registry.example/a/b'],
        { via, json: true },
        { out: (text) => void (out += text), err: () => undefined },
      );
      assert.equal(code, 0, out);
      assert.equal((JSON.parse(out) as { bytes: number }).bytes, content.length);
      assert.equal(requests.length, 2);
      assert.equal(requests[0], `/v2/a/b/blobs/${digest}?ns=registry.example undefined`);
      assert.match(requests[1]!, /\?ns=registry\.example bytes=[1-9]\d*-$/);
    });
  }
});
