import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseHead } from '../../lib/io/response-head.ts';

const parse = (text: string): ReturnType<typeof parseHead> =>
  parseHead(Buffer.from(text, 'latin1'));

describe('io/response-head', () => {
  it('reads status, headers and lengths', () => {
    const text =
      'HTTP/1.1 206 Partial Content\r\nContent-Length: 12\r\nShoal-Total:  34 ' +
      '\r\nConnection: Close\r\n\r\n';
    assert.deepEqual(parse(`${text}body`), {
      status: 206,
      headers: { 'content-length': '12', 'shoal-total': '34', connection: 'Close' },
      contentLength: 12,
      close: true,
      headBytes: text.length,
    });
  });

  it('asks for more until the empty line has come, wherever the head is cut', () => {
    const text = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
    for (let cut = 0; cut < text.length; cut++) assert.equal(parse(text.slice(0, cut)), 'more');
    assert.notEqual(parse(text), 'more');
  });

  const bad: [string, string][] = [
    ['another protocol', 'SSH-2.0-x\r\n\r\n'],
    ['HTTP/2 in clear', 'HTTP/2 200\r\nContent-Length: 0\r\n\r\n'],
    ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['a chunked body', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    [
      'a chunked body with a length',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n',
    ],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
    ['two lengths in one', 'HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n'],
    ['a length past all numbers', 'HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n'],
    ['a line without a colon', 'HTTP/1.1 200 OK\r\nContent-Length 5\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n'],
    ['a bare line feed', 'HTTP/1.1 200 OK\r\nContent-Length: 0\nX: y\r\n\r\n'],
    ['a bare carriage return', 'HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n'],
    ['a NUL', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['a blank before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n'],
    ['a blank before a name', 'HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a line without a name', 'HTTP/1.1 200 OK\r\n: 5\r\n\r\n'],
  ];
  for (const [what, text] of bad) it(`refuses ${what}`, () => assert.equal(parse(text), 'bad'));

  it('takes 204 without a length', () => {
    const head = parse('HTTP/1.1 204 No Content\r\n\r\n');
    assert.ok(typeof head === 'object' && head.contentLength === 0);
  });

  it('survives whatever comes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom('', 'HTTP/1.1 200 OK\r\n'),
        (bytes, start) => {
          const head = parseHead(
            Buffer.concat([Buffer.from(start), bytes, Buffer.from('\r\n\r\n')]),
          );
          return typeof head === 'string' || Number.isSafeInteger(head.contentLength);
        },
      ),
    );
  });
});
