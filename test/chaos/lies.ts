import { SHARD_BYTES } from '../../lib/limits.ts';
import type { Random } from '../../native-bench/sim/random.ts';
import type { Raw, Tamper } from './http.ts';

const EMPTY = new Uint8Array(0);

function json(status: number, body: object, dripMs?: number): Raw {
  const text = Buffer.from(JSON.stringify(body));
  const head =
    `HTTP/1.1 ${status} Status\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${text.length}\r\n\r\n`;
  return { head, body: text, ...(dripMs === undefined ? {} : { dripMs }) };
}

const own = {
  instead: (): null => null,
  head: (_path: string, text: string) => text,
  body: (_path: string, bytes: Uint8Array): Uint8Array | null => bytes,
};
const isPread = (path: string): boolean => path.startsWith('/rpc/pread/');
const onPread = (raw: Raw): Partial<Tamper> => ({
  instead: (path) => (isPread(path) ? raw : null),
});

/** The ways in which a node may lie to others. */
const LIES: Record<string, (random: Random) => Partial<Tamper>> = {
  flippedBytes: (random) => ({
    body(path, bytes) {
      if (!isPread(path) || bytes.length === 0) return bytes;
      const lied = Uint8Array.from(bytes);
      lied[random.below(lied.length)]! ^= 1 << random.below(8);
      return lied;
    },
  }),
  zeros: () => ({
    body: (path, bytes) => (isPread(path) ? new Uint8Array(bytes.length) : bytes),
  }),
  noChecksum: () => ({
    head: (_path, text) => text.replace(/Shoal-Checksum: \w+\r\n/i, ''),
    body: (path, bytes) => (isPread(path) ? new Uint8Array(bytes.length) : bytes),
  }),
  wrongChecksum: () => ({
    head: (_path, text) => text.replace(/(Shoal-Checksum: )\w+/i, `$1${'ab'.repeat(32)}`),
  }),
  wrongTotal: (random) => {
    const total = random.below(2) === 0 ? 1 : 9_000_000_000;
    return { head: (_path, text) => text.replace(/(Shoal-Total: )\d+/i, `$1${total}`) };
  },
  shortLength: () => ({
    head: (_path, text) =>
      text.replace(
        /(Content-Length: )(\d+)/i,
        (_all, name, length) => `${name}${Math.max(0, Number(length) - 1)}`,
      ),
  }),
  silent: () => onPread('silent'),
  silentToAll: () => ({ instead: () => 'silent' }),
  stopsInTheMiddle: () => ({
    body: (path, bytes, offsetBytes) => (isPread(path) && offsetBytes > 0 ? null : bytes),
  }),
  drip: () =>
    onPread({
      head:
        `HTTP/1.1 200 OK\r\nShoal-Total: ${2 * SHARD_BYTES}\r\n` +
        `Content-Length: ${SHARD_BYTES}\r\n\r\n`,
      body: new Uint8Array(SHARD_BYTES),
      dripMs: 15,
    }),
  endlessHead: () =>
    onPread({ head: 'HTTP/1.1 200 OK\r\nA: ', body: Buffer.alloc(4_000, 97), dripMs: 10 }),
  busy: () => onPread(json(503, { retryMs: 1 })),
  busyForLong: () => onPread(json(503, { retryMs: 1e12 })),
  miss: () => onPread(json(404, {})),
  unauthorized: () => onPread(json(401, { code: 'PEER_UNAUTHORIZED', message: 'no' })),
  refused: () =>
    onPread(
      json(424, {
        error: {
          ...{ code: 'ORIGIN_REFUSED', message: 'the registry says no', status: 403 },
          headers: { 'www-authenticate': 'Bearer realm="https://evil.test"' },
        },
      }),
    ),
  redirectToItself: () =>
    onPread(
      json(307, {
        parents: ['10.0.0.1:65002', '10.0.0.2:65002'],
        checksum: null,
        totalBytes: null,
      }),
    ),
  redirectWithSize: () =>
    onPread(json(307, { parents: [], checksum: 'cd'.repeat(32), totalBytes: 12 })),
  garbage: () => onPread({ head: 'HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n', body: EMPTY }),
  wrongStat: () => ({
    instead: (path) =>
      path.startsWith('/rpc/stat/')
        ? json(200, { totalBytes: 12, lengthBytes: 12, checksum: 'ef'.repeat(32) })
        : null,
  }),
};

const LIE_NAMES = Object.keys(LIES);

export function liesOf(random: Random): Tamper & { name: string } {
  const name = LIE_NAMES[random.below(LIE_NAMES.length)]!;
  return { name, ...own, ...LIES[name]!(random) };
}
