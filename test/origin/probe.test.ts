import assert from 'node:assert/strict';
import { failure, OriginBench, target, want } from './origin-bench.ts';
import {
  answer,
  pattern,
  RecordingSink,
  serveAsObjectStore,
  serveRanges,
} from './origin-server.ts';

const BLOB = pattern(100_000);

describe('OriginClient.probe', () => {
  const { serve, client } = new OriginBench();

  it('gets one byte, and the size', async () => {
    const server = await serve(serveAsObjectStore(BLOB));
    assert.deepEqual(await client([server.host]).probe(target(server)), {
      totalBytes: BLOB.length,
      ranges: 'parts',
    });
    assert.equal(server.seen[0]!.method, 'GET');
    assert.equal(server.seen[0]!.headers.range, 'bytes=0-0');
  });

  it('leaves the rest of a whole object, and counts an empty one as open', async () => {
    const server = await serve((_request, response) => answer(response, 200, BLOB));
    assert.deepEqual(await client([server.host]).probe(target(server)), {
      totalBytes: BLOB.length,
      ranges: 'whole',
    });
    const empty = await serve(serveRanges(Buffer.alloc(0)));
    assert.deepEqual(await client([empty.host]).probe(target(empty)), {
      totalBytes: 0,
      ranges: 'unknown',
    });
  });

  it('proves the right also where the origin does not tell the size', async () => {
    const server = await serve((_request, response) => void response.writeHead(200).end(BLOB));
    assert.deepEqual(await client([server.host]).probe(target(server)), {
      totalBytes: null,
      ranges: 'whole',
    });
  });

  it('asks the registry each time, whatever was learnt before', async () => {
    const store = await serve(serveAsObjectStore(BLOB));
    let open = true;
    const registry = await serve((_request, response) =>
      open
        ? answer(response, 307, '', { location: `${store.url}/o` })
        : answer(response, 401, 'no'),
    );
    const origin = client([registry.host, store.host]);
    await origin.readRange(target(registry), want(0, 10), new RecordingSink());
    await origin.probe(target(registry));
    open = false;
    assert.equal((await failure(origin.probe(target(registry)))).status, 401);
    assert.equal(registry.seen.length, 3);
  });
});
