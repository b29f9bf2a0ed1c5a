import assert from 'node:assert/strict';
import { ShoalError } from '../../lib/errors.ts';
import { AUTHORIZATION, failure, OriginBench, target, want } from './origin-bench.ts';
import {
  answer,
  pattern,
  RecordingSink,
  serveAsObjectStore,
  serveRanges,
} from './origin-server.ts';

const BLOB = pattern(100_000);

describe('OriginClient.readRange', () => {
  const { serve, client } = new OriginBench();

  it("reads a part, with the client's credential, unencoded", async () => {
    const server = await serve(serveRanges(BLOB));
    const sink = new RecordingSink();
    assert.deepEqual(
      await client([server.host]).readRange(target(server), want(1_000, 50_000), sink),
      { requests: 1 },
    );
    assert.deepEqual(sink.heads, [
      { totalBytes: BLOB.length, startBytes: 1_000, lengthBytes: 50_000 },
    ]);
    assert.ok(sink.bytes.equals(BLOB.subarray(1_000, 51_000)));
    const { method, headers } = server.seen[0]!;
    assert.equal(method, 'GET');
    assert.equal(headers.range, 'bytes=1000-50999');
    assert.equal(headers.authorization, AUTHORIZATION);
    assert.equal(headers['accept-encoding'], 'identity');
  });

  it('uses its connections again', async () => {
    const server = await serve(serveRanges(BLOB));
    const origin = client([server.host]);
    for (let at = 0; at < 20; at++)
      await origin.readRange(target(server), want(at * 10, 10), new RecordingSink());
    // The next request may be out before the connection of the last one counts as free again.
    assert.ok(server.connections <= 2, `${server.connections} connections`);
  });

  it('sends path and query as they are', async () => {
    const server = await serve(serveRanges(BLOB));
    await client([server.host]).readRange(
      target(server, '/a//b/../%2F%41?Signature=a%2Bb%3D&x=/?'),
      want(0, 1),
      new RecordingSink(),
    );
    assert.equal(server.seen[0]!.url, '/a//b/../%2F%41?Signature=a%2Bb%3D&x=/?');
  });

  it('reads an empty object, whichever way the server says so', async () => {
    for (const listener of [serveRanges(Buffer.alloc(0)), serveAsObjectStore(Buffer.alloc(0))]) {
      const server = await serve(listener);
      const sink = new RecordingSink();
      await client([server.host]).readRange(target(server), want(0, 100), sink);
      assert.deepEqual(sink.heads, [{ totalBytes: 0, startBytes: 0, lengthBytes: 0 }]);
      assert.equal(sink.bytes.length, 0);
    }
  });

  it('clamps to a known size, so that an object store keeps to the range', async () => {
    const server = await serve(serveAsObjectStore(BLOB));
    const sink = new RecordingSink();
    assert.deepEqual(
      await client([server.host]).readRange(
        target(server),
        want(90_000, 50_000, BLOB.length),
        sink,
      ),
      { requests: 1 },
    );
    assert.equal(server.seen[0]!.headers.range, 'bytes=90000-99999');
    assert.ok(sink.bytes.equals(BLOB.subarray(90_000)));
  });

  it('learns the size where an object store answers 200 past the end, and asks again', async () => {
    const server = await serve(serveAsObjectStore(BLOB));
    const sink = new RecordingSink();
    assert.deepEqual(
      await client([server.host]).readRange(target(server), want(90_000, 50_000), sink),
      { requests: 2 },
    );
    assert.deepEqual(sink.heads, [
      { totalBytes: BLOB.length, startBytes: 90_000, lengthBytes: 10_000 },
    ]);
    assert.ok(sink.bytes.equals(BLOB.subarray(90_000)));
    assert.equal(server.seen[1]!.headers.range, 'bytes=90000-99999');
  });

  it('takes a whole object asked for from its start, and no more of it than wanted', async () => {
    const server = await serve(serveAsObjectStore(BLOB));
    const sink = new RecordingSink();
    assert.deepEqual(
      await client([server.host]).readRange(target(server), want(0, 200_000), sink),
      { requests: 1 },
    );
    assert.ok(sink.bytes.equals(BLOB));
    const plain = await serve((_request, response) => answer(response, 200, BLOB));
    const start = new RecordingSink();
    await client([plain.host]).readRange(target(plain), want(0, 10), start);
    assert.ok(start.bytes.equals(BLOB.subarray(0, 10)));
    assert.deepEqual(start.heads, [{ totalBytes: BLOB.length, startBytes: 0, lengthBytes: 10 }]);
  });

  it('skips to the part wanted of a server without ranges', async () => {
    const server = await serve((_request, response) => answer(response, 200, BLOB));
    const sink = new RecordingSink();
    await client([server.host]).readRange(target(server), want(40_000, 20_000, BLOB.length), sink);
    assert.ok(sink.bytes.equals(BLOB.subarray(40_000, 60_000)));
  });

  it('reads a small object that does not say how long it is', async () => {
    const server = await serve((_request, response) => void response.writeHead(200).end(BLOB));
    const sink = new RecordingSink();
    await client([server.host]).readRange(target(server), want(0, 200_000), sink);
    assert.deepEqual(sink.heads, [
      { totalBytes: BLOB.length, startBytes: 0, lengthBytes: BLOB.length },
    ]);
    assert.ok(sink.bytes.equals(BLOB));
    const start = new RecordingSink();
    await client([server.host]).readRange(target(server), want(0, 1_000), start);
    assert.deepEqual(start.heads, [{ totalBytes: BLOB.length, startBytes: 0, lengthBytes: 1_000 }]);
    assert.ok(start.bytes.equals(BLOB.subarray(0, 1_000)));
  });

  it('says what lies past the end, without asking where the size is known', async () => {
    const server = await serve(serveRanges(BLOB));
    const origin = client([server.host]);
    const error = await failure(
      origin.readRange(target(server), want(BLOB.length, 10), new RecordingSink()),
    );
    assert.deepEqual(
      [error.code, error.status, error.headers['content-range']],
      ['RANGE_NOT_SATISFIABLE', 416, `bytes */${BLOB.length}`],
    );
    await failure(
      origin.readRange(target(server), want(BLOB.length, 10, BLOB.length), new RecordingSink()),
    );
    assert.equal(server.seen.length, 1);
  });

  for (const status of [401, 403, 404, 429, 500, 503]) {
    it(`passes a ${status} on with challenge and body`, async () => {
      const server = await serve((_request, response) =>
        answer(response, status, '{"errors":[]}', {
          'www-authenticate': 'Bearer realm="r"',
          'retry-after': '7',
          'content-type': 'application/json',
          'set-cookie': 'a=b',
        }),
      );
      const error = await failure(
        client([server.host]).readRange(target(server), want(0, 10), new RecordingSink()),
      );
      assert.deepEqual(
        [error.code, error.status, error.body],
        ['ORIGIN_REFUSED', status, '{"errors":[]}'],
      );
      assert.deepEqual(error.headers, {
        'www-authenticate': 'Bearer realm="r"',
        'retry-after': '7',
        'content-type': 'application/json',
      });
    });
  }

  it('cuts a long refusal', async () => {
    const server = await serve((_request, response) =>
      answer(response, 403, 'x'.repeat(1_000_000)),
    );
    const error = await failure(
      client([server.host]).readRange(target(server), want(0, 10), new RecordingSink()),
    );
    assert.equal(error.body?.length, 64 * 1024);
  });

  it('stops when nobody wants the rest, also where nothing comes', async () => {
    const server = await serve((_request, response) => {
      response.writeHead(206, { 'content-length': '100', 'content-range': 'bytes 0-99/100' });
      response.write('x');
    });
    const sink = new RecordingSink();
    const reading = client([server.host]).readRange(target(server), want(0, 100), sink);
    sink.data = () => (sink.stop = true);
    assert.equal((await failure(reading)).code, 'CANCELLED');
  });

  it('throws what the sink threw', async () => {
    const server = await serve(serveRanges(BLOB));
    const sink = new RecordingSink();
    sink.head = () => {
      throw new ShoalError('CHECKSUM_MISMATCH', 'no');
    };
    assert.equal(
      (await failure(client([server.host]).readRange(target(server), want(0, 10), sink))).code,
      'CHECKSUM_MISMATCH',
    );
  });
});
