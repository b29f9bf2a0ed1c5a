import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { OriginClient } from '../../lib/origin/client.ts';
import { parseRange, resolveRange } from '../../lib/registry/range.ts';
import { pattern, RecordingSink } from './origin-server.ts';

const BLOB = pattern(50_000);
const PART_BYTES = 10_000;

/** What is unusual about an answer; `body` and the two headers are those of a usual one. */
interface Answer {
  status: string;
  length: string;
  contentRange: string | null;
  body: Buffer;
}
type Form = (usual: Answer) => { head: string[]; body?: Buffer; newline?: string; ends?: boolean };

const usual = ({ status, length, contentRange }: Answer, ...more: string[]): string[] => [
  `HTTP/1.1 ${status} OK`,
  `Content-Length: ${length}`,
  ...(contentRange === null ? [] : [`Content-Range: ${contentRange}`]),
  ...more,
];
/** `bytes 1-2/3` in another notation. */
const ranged = (change: (contentRange: string) => string): Form => {
  return (it) => ({
    head: usual({ ...it, contentRange: it.contentRange && change(it.contentRange) }),
  });
};
const header = (line: string): Form => {
  return (it) => ({ head: usual(it, line) });
};
const chunked: (size: (bytes: number) => string, trailer?: string) => Form = (size, trailer) => {
  return (it) => ({
    head: [
      ...usual(it).filter((line) => !/^content-length/i.test(line)),
      'Transfer-Encoding: Chunked',
    ],
    body: Buffer.concat([
      Buffer.from(`${size(it.body.length)}\r\n`),
      it.body,
      Buffer.from(`\r\n0\r\n${trailer ?? ''}\r\n`),
    ]),
  });
};

/** undici refuses these when it has given out their head: the next request takes them. */
const FORMS_OF_BODIES: Record<string, Form> = {
  'blanks after a length': (it) => ({ head: usual({ ...it, length: `${it.length}  ` }) }),
  'blanks after the size of a chunk': chunked((bytes) => `${bytes.toString(16)} `),
};

/** The clients of runtimes take each of these. */
const FORMS: Record<string, Form> = {
  'header names in capitals': (it) => ({
    head: usual(it).map((line, at) =>
      at === 0 ? line : line.replace(/^[^:]+/, (name) => name.toUpperCase()),
    ),
  }),
  'no reason phrase': (it) => ({ head: [`HTTP/1.1 ${it.status}`, ...usual(it).slice(1)] }),
  'blanks before a length': (it) => ({ head: usual({ ...it, length: `   ${it.length}` }) }),
  'a tab before a length': (it) => ({ head: usual({ ...it, length: `\t${it.length}` }) }),
  'HTTP/1.0': (it) => ({
    head: [`HTTP/1.0 ${it.status} OK`, ...usual(it).slice(1)],
    ends: true,
  }),
  'HTTP/1.0 without a length': (it) => ({
    head: [
      `HTTP/1.0 ${it.status} OK`,
      ...(it.contentRange === null ? [] : [`Content-Range: ${it.contentRange}`]),
    ],
    ends: true,
  }),
  'a connection closed without a word': (it) => ({ head: usual(it), ends: true }),
  'Connection: close': (it) => ({ head: usual(it, 'Connection: close'), ends: true }),
  'lines that end without CR': (it) => ({ head: usual(it), newline: '\n' }),
  'a folded line': header('X-Note: one\r\n two'),
  'a control character': header('X-Note: a\x01b'),
  'bytes that are no ASCII': header('X-Note: M\xc3\xbcller \xfc'),
  'an empty value': header('X-Note:'),
  'a header of 30 KiB': header(`X-Note: ${'a'.repeat(30 * 1024)}`),
  'a head of 100 KiB': (it) => ({
    head: usual(
      it,
      ...Array.from({ length: 100 }, (_, at) => `Set-Cookie: c${at}=${'a'.repeat(1024)}`),
    ),
  }),
  'more bytes than announced': (it) => ({
    head: usual(it),
    body: Buffer.concat([it.body, Buffer.from('nobody announced these')]),
  }),
  'interim answers': (it) => ({
    head: ['HTTP/1.1 100 Continue', '', 'HTTP/1.1 103 Early Hints', 'Link: </x>', '', ...usual(it)],
  }),
  'chunks with extensions and a trailer': chunked(
    (bytes) => `${bytes.toString(16)};a=b`,
    'X: 1\r\n',
  ),
  'chunks in capitals': chunked((bytes) => bytes.toString(16).toUpperCase()),
  'a length beside chunks': (it) => ({
    ...chunked((bytes) => bytes.toString(16))(it),
    head: usual(it, 'Transfer-Encoding: chunked'),
  }),
  'Content-Range with =': ranged((text) => text.replace(' ', '=')),
  'Content-Range in capitals': ranged((text) => text.toUpperCase()),
  'Content-Range with zeros': ranged((text) => text.replace(' ', ' 00')),
  'Content-Range of another unit': ranged((text) => text.replace('bytes', 'octets')),
  'Content-Range that contradicts the length': ranged((text) => text.replace('9/', '8/')),
  'Content-Range of other bytes': ranged(() => 'bytes 0-0/50000'),
  'Content-Range that says nothing': ranged(() => 'none'),
  '200 for 206': (it) => ({ head: usual({ ...it, status: '200' }) }),
  '203 for 200': (it) => ({ head: usual({ ...it, status: it.status.replace('200', '203') }) }),
};

describe('origin: answers as they come over the wire', () => {
  for (const [what, form] of Object.entries({ ...FORMS, ...FORMS_OF_BODIES }))
    it(`reads parts and the whole with ${what}`, async () => {
      const server = createServer((socket) => {
        socket.on('error', () => undefined).setEncoding('latin1');
        socket.on('data', (request: string) => {
          const range = /^range: *(.*)\r$/im.exec(request)?.[1];
          const span = resolveRange(parseRange(range), BLOB.length);
          const body = BLOB.subarray(span.startBytes, span.endBytes);
          const {
            head,
            body: sent = body,
            newline = '\r\n',
            ends = false,
          } = form({
            status: String(span.status),
            length: String(body.length),
            contentRange: span.contentRange ?? null,
            body,
          });
          socket.write(Buffer.from([...head, '', ''].join(newline), 'latin1'));
          socket.write(sent);
          if (ends) socket.end();
        });
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      const origin = new OriginClient({ allow: [host], registries: [] });
      try {
        const digest = `sha256:${'0'.repeat(64)}`;
        const target = { url: `http://${host}/b`, upstreamHost: host, authorization: null, digest };
        for (const [offsetBytes, lengthBytes] of [
          [0, PART_BYTES],
          [PART_BYTES, PART_BYTES],
          [2 * PART_BYTES, PART_BYTES],
          [0, BLOB.length],
        ] as const) {
          const totalBytes = offsetBytes === 0 ? null : BLOB.length;
          const want = { offsetBytes, lengthBytes, totalBytes };
          if (offsetBytes === 0 && what in FORMS_OF_BODIES)
            await origin.readRange(target, want, new RecordingSink()).catch(() => undefined);
          const sink = new RecordingSink();
          await origin.readRange(target, want, sink);
          assert.ok(sink.bytes.equals(BLOB.subarray(offsetBytes, offsetBytes + lengthBytes)));
        }
      } finally {
        await origin.close();
        server.close();
      }
    });
});
