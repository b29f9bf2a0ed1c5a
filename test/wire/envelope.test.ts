import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Envelope, envelopeError, type Opened } from '../../lib/wire/envelope.ts';
import { formatRefusal } from '../../lib/wire/refusal.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { formatVersion, parseVersion, PROTOCOL_VERSION } from '../../lib/wire/version.ts';

const SECRET = new ClusterSecret(Buffer.alloc(32, 7));
const PATH = '/rpc/pread/sha256:00/1?from=0&node=a:1';
const A = '10.0.0.1:65002';
const B = '10.0.0.2:65002';
const ORIGIN = {
  url: 'https://r.example/b',
  upstreamHost: 'r.example',
  authorization: 'Bearer t',
  saidBytes: 17,
};

type Parts = ConstructorParameters<typeof Envelope>[0];
const of = (self: string, more: Partial<Parts> = {}): Envelope =>
  new Envelope({ secret: SECRET, self, wallMs: () => 1_700_000_000_000, ...more });
const open = (at: Envelope, headers: Record<string, string>, path = PATH): Opened =>
  at.open({ path, header: (name) => headers[name] ?? '' });

describe('wire/envelope', () => {
  it('carries what is enclosed, readable by the other node only', () => {
    const words = '{"a":1}';
    const headers = of(A).headers(B, PATH, { origin: ORIGIN, words, requestId: 'request-1' });
    assert.doesNotMatch(JSON.stringify(headers), /Bearer|r\.example/);
    assert.deepEqual(open(of(B), headers), {
      kind: 'opened',
      origin: ORIGIN,
      words,
      requestId: 'request-1',
    });
  });

  it('seals an origin once, and opens the same seal the same way each time', () => {
    const [sender, receiver] = [of(A), of(B)];
    const sealed = (origin: typeof ORIGIN): string =>
      sender.headers(B, PATH, { origin })['shoal-origin']!;
    assert.equal(sealed({ ...ORIGIN }), sealed(ORIGIN));
    assert.notEqual(sealed({ ...ORIGIN, authorization: 'Bearer u' }), sealed(ORIGIN));
    for (let opened = 0; opened < 2; opened++) {
      const { origin } = open(receiver, sender.headers(B, PATH, { origin: ORIGIN })) as {
        origin: typeof ORIGIN;
      };
      assert.deepEqual(origin, ORIGIN);
      origin.authorization = 'changed by who got it';
    }
  });

  it('refuses what was altered, captured from another node, or signed by a stranger', () => {
    const headers = of(A).headers(B, PATH, { origin: ORIGIN, words: '{}' });
    const other = of(A).headers(B, PATH, { origin: { ...ORIGIN, url: 'https://evil/' } });
    for (const [changed, path, code] of [
      [{ ...headers, 'shoal-origin': other['shoal-origin']! }, PATH, 'PEER_UNAUTHORIZED'],
      [{ ...headers, 'shoal-words': headers['shoal-origin']! }, PATH, 'PEER_UNAUTHORIZED'],
      [{ ...headers, host: A }, PATH, 'PEER_UNAUTHORIZED'],
      [{ ...headers, 'shoal-version': '1.9' }, PATH, 'PEER_UNAUTHORIZED'],
      [headers, `${PATH}&load=0`, 'PEER_UNAUTHORIZED'],
      [of(A).headers(A, PATH), PATH, 'PEER_ADDRESS'],
    ] as const) {
      const opened = open(of(B), changed, path);
      assert.equal(opened.kind === 'refused' && opened.code, code);
    }
    const stranger = of(A, { secret: new ClusterSecret(Buffer.alloc(32, 8)) });
    assert.equal(open(of(B), stranger.headers(B, PATH)).kind, 'refused');
  });

  it('tolerates another minor version and refuses another major one, both ways', () => {
    const { major, minor } = PROTOCOL_VERSION;
    const newerMinor = { version: { major, minor: minor + 3 } };
    const newerMajor = { version: { major: major + 1, minor: 0 } };
    assert.equal(open(of(B), of(A, newerMinor).headers(B, PATH)).kind, 'opened');
    assert.equal(open(of(B, newerMinor), of(A).headers(B, PATH)).kind, 'opened');
    for (const [from, to] of [
      [of(A, newerMajor), of(B)],
      [of(A), of(B, newerMajor)],
    ] as const) {
      const opened = open(to, from.headers(B, PATH));
      assert.ok(opened.kind === 'refused' && opened.code === 'PEER_VERSION');
      const error = envelopeError(B, opened.status, JSON.stringify(formatRefusal(opened)));
      assert.equal(error?.code, 'PEER_VERSION');
      assert.match(error.message, /speaks protocol \d+\.\d+.*speaks \d+\.\d+.*same major/);
    }
    assert.equal(open(of(B), {}).kind, 'refused', 'a node from before there were versions');
  });

  it('takes a seal with anything else in it for no way to the origin', () => {
    for (const text of [
      '',
      '{',
      'null',
      '5',
      '[]',
      '{}',
      JSON.stringify({ ...ORIGIN, url: 5 }),
      JSON.stringify({ ...ORIGIN, upstreamHost: null }),
      JSON.stringify({ ...ORIGIN, authorization: {} }),
      JSON.stringify({ ...ORIGIN, accept: 5 }),
      JSON.stringify({ ...ORIGIN, saidBytes: -1 }),
      JSON.stringify({ ...ORIGIN, saidBytes: '17' }),
    ]) {
      const sealed = SECRET.seal(text);
      const signed = new Envelope({
        secret: Object.assign(new ClusterSecret(Buffer.alloc(32, 7)), { seal: () => sealed }),
        self: A,
        wallMs: () => 1_700_000_000_000,
      }).headers(B, PATH, { origin: ORIGIN });
      const opened = open(of(B), signed);
      assert.ok(opened.kind === 'opened' && opened.origin === null, text);
    }
  });

  it('reads any other answer as not about the envelope, and survives any body', () => {
    assert.equal(envelopeError(B, 200, ''), null);
    assert.equal(envelopeError(B, 424, '{}'), null);
    fc.assert(
      fc.property(fc.string(), (body) => {
        const message = envelopeError(B, 401, body)?.message ?? '';
        return message.startsWith(B) && !/[\r\n]/.test(message);
      }),
    );
  });

  it('reads the versions it writes and no others', () => {
    assert.deepEqual(parseVersion(formatVersion(PROTOCOL_VERSION)), PROTOCOL_VERSION);
    for (const text of ['', '1', '1.', 'v1.0', '1.0.0', '-1.0', '1.0 ', '99999.0'])
      assert.equal(parseVersion(text), null, text);
  });
});
