import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Relay } from '../../native-bench/lab/relay.ts';

const LAB = fileURLToPath(new URL('../../native-bench/lab.ts', import.meta.url));

describe('bench: lab', () => {
  it('relays blobs through a chain, whole and in ranges, and fetches each piece once', async () => {
    const path = '/v2/a/blobs/one';
    const bytes = Buffer.alloc(5_000_000, 'shoal relay ');
    let asked = 0;
    const origin = createServer((request, response) => {
      asked++;
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!;
      const part = bytes.subarray(Number(from), Number(to) + 1);
      response.writeHead(206, { 'content-length': part.length }).end(part);
    }).listen(0, '127.0.0.1');
    await once(origin, 'listening');
    const source = (port: number) => ({ host: '127.0.0.1', port, authorization: 'none' });
    const blobs = [{ path, sizeBytes: bytes.length }];
    const first = await Relay.start(blobs, source((origin.address() as AddressInfo).port), 0);
    const second = await Relay.start(blobs, source(first.port), 0);
    try {
      const url = `http://127.0.0.1:${second.port}`;
      const [whole, part] = await Promise.all(
        [undefined, 'bytes=2097000-2098000'].map(async (range) => {
          const headers = new Headers(range === undefined ? {} : { range });
          const answer = await fetch(`${url}${path}?any`, { headers });
          return Buffer.from(await answer.arrayBuffer());
        }),
      );
      assert.ok(whole!.equals(bytes));
      assert.ok(part!.equals(bytes.subarray(2_097_000, 2_098_001)));
      assert.equal(asked, 3);
      assert.equal((await fetch(`${url}/other`)).status, 404);
    } finally {
      await second.close();
      await first.close();
      origin.closeAllConnections();
      origin.close();
    }
  });

  it('refuses options of shaped links without --link, as a misuse', async () => {
    const [code, words] = await new Promise<[unknown, string]>((give) =>
      execFile(process.execPath, [LAB, '--relay'], (error, _, stderr) =>
        give([error?.code, stderr]),
      ),
    );
    assert.equal(code, 2);
    assert.match(words, /'relay' needs --link/);
  });
});
