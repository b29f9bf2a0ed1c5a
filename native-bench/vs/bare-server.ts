import { App, SSLApp, type HttpResponse } from 'uWebSockets.js';
import { Arena } from '../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { Pattern } from '../pread/pattern.ts';

/*
 * The least that a front built as ours could cost: uWebSockets.js, an arena that holds the object
 * of `seed`, and nothing in between: no routing, no access, no pins, no counters. Answers ranges
 * `a-b` only. `node bare-server.ts PORT SEED BYTES [CERT KEY]`.
 */
const [port, seed, totalBytes] = process.argv.slice(2, 5).map(Number) as [number, number, number];
const [certFile, keyFile] = process.argv.slice(5);
const arena = Arena.create(Math.ceil(totalBytes / SHARD_BYTES) * SHARD_BYTES);
const buffer = arena.shared.memory.buffer;
const pattern = new Pattern(seed);
const object = Buffer.from(buffer, 0, totalBytes);
pattern.fill(object, 0);

const app =
  certFile === undefined || keyFile === undefined
    ? App()
    : SSLApp({ cert_file_name: certFile, key_file_name: keyFile });
app.get('/*', (res, req) => {
  const [from = 0, to = totalBytes - 1] = req
    .getHeader('range')
    .slice('bytes='.length)
    .split('-')
    .filter((part) => part !== '')
    .map(Number);
  res.writeStatus(`206 Partial Content\r\nContent-Range: bytes ${from}-${to}/${totalBytes}`);
  const [, whole] = res.tryEnd(new Uint8Array(buffer, from, to + 1 - from), to + 1 - from);
  if (!whole) goOn(res, from, to + 1 - from);
});

function goOn(res: HttpResponse, from: number, bodyBytes: number): void {
  res.onAborted(() => undefined);
  res.onWritable(
    (sentBytes) =>
      res.tryEnd(new Uint8Array(buffer, from + sentBytes, bodyBytes - sentBytes), bodyBytes)[0],
  );
}

app.listen('127.0.0.1', port, (socket) => {
  if (socket === false) throw new Error(`cannot listen on port ${port}`);
});
