import assert from 'node:assert/strict';
import { HEADER_BYTES, decodeHeader, decodeTableHead } from '../../lib/cache/header.ts';
import { parseHostPort, parseUpstream } from '../../lib/config/address.ts';
import { parseByteSize } from '../../lib/config/byte-size.ts';
import { parseConfig } from '../../lib/config/load.ts';
import { parseHead } from '../../lib/io/response-head.ts';
import { parseChallenges } from '../../lib/registry/challenge.ts';
import { parseDockerConfig } from '../../lib/registry/docker-config.ts';
import { linkThrough } from '../../lib/registry/link.ts';
import { manifestsOf } from '../../lib/registry/manifest.ts';
import { admits, isSchema1 } from '../../lib/registry/media.ts';
import { isDigest, isRepository, isTag } from '../../lib/registry/names.ts';
import { parseContentRange, parseRange, resolveRange } from '../../lib/registry/range.ts';
import { classify } from '../../lib/registry/route.ts';
import { joinUrl, splitUrl } from '../../lib/registry/url.ts';
import { lastingChallenge } from '../../lib/registry/words.ts';
import { readHosts } from '../../lib/runtimes/hosts-toml.ts';
import { readP2p } from '../../lib/runtimes/overlaybd.ts';
import { Envelope } from '../../lib/wire/envelope.ts';
import { parseFetch, parseHolding } from '../../lib/wire/fetch.ts';
import { parseHolderNames, parseHolders, parseOffers } from '../../lib/wire/holders.ts';
import { parseMembers, unpackChange } from '../../lib/wire/members.ts';
import { parsePread, parsePreadAnswer, parsePreadHeaders } from '../../lib/wire/pread.ts';
import { parseRecall, parseWords } from '../../lib/wire/recall.ts';
import { parseOrigin } from '../../lib/wire/sealed-origin.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { parseStat, parseStatAnswer } from '../../lib/wire/stat.ts';
import { parseTelling, unpackSummaries } from '../../lib/wire/summary.ts';
import { parseEdges, parseTree } from '../../lib/wire/tree.ts';
import { parseVersion } from '../../lib/wire/version.ts';

/**
 * One parser of text that comes from outside. It may throw a ShoalError and nothing else; `run` may
 * hold what it returns against a rule.
 */
export interface Target {
  name: string;
  /** Microseconds that an input takes, about; see `fuzz`. */
  costUs: number;
  /** Valid inputs to begin with. */
  seeds: readonly string[];
  run(input: string): void;
}

const HEX = 'ab'.repeat(32);
const DIGEST = `sha256:${HEX}`;
const NODE = '10.0.0.2:65002';
const BLOB_URL = `https://r.example/v2/app/blobs/${DIGEST}`;
const ROUTE = {
  prefix: 'accelerator',
  registries: [{ upstream: 'https://r.example', p2pHost: 'mirror.example:65001' }],
  allow: ['*.aliyuncs.com'],
};
const secret = new ClusterSecret(Buffer.alloc(32, 7));
const envelope = new Envelope({ secret, self: NODE, wallMs: () => 1_700_000_000_000 });
const signed = envelope.headers(NODE, '/rpc/stat/x/0', { requestId: 'a'.repeat(16) });

/** A path and its query, split at the first `?`. */
const split = (input: string): [path: string, query: string] => {
  const at = input.indexOf('?');
  return at < 0 ? [input, ''] : [input.slice(0, at), input.slice(at + 1)];
};
const latin1 = (input: string): Buffer => Buffer.from(input, 'latin1');
const headersOf = (input: string): Record<string, string> =>
  Object.fromEntries(input.split('\n').map((line) => line.split(': ') as [string, string]));
const QUERIES = [
  `/rpc/pread/${DIGEST}/7?from=0&node=${NODE}&role=owner&hops=1&load=2&hold=1000`,
  `/rpc/stat/${DIGEST}/7?node=${NODE}&parent=${NODE}&report=done`,
  `/rpc/fetch/${DIGEST}?node=${NODE}`,
  `/rpc/holders/${DIGEST}?node=${NODE}`,
  `/rpc/members?node=${NODE}&have=${HEX}&version=3&hold=1000`,
  `/rpc/recall/${HEX},${HEX}`,
  `/rpc/tree/${DIGEST}/3`,
];
const ANSWERS = [
  `{"parents":["${NODE}"],"checksum":"${HEX}","totalBytes":9000000}`,
  '{"kind":"busy","retryMs":50}',
  '{"code":"ORIGIN_REFUSED","message":"no","status":401}',
  `{"totalBytes":9000000,"lengthBytes":2097152,"checksum":"${HEX}"}`,
  '{"shards":5,"held":3,"error":null}',
  `{"node":"${NODE}","keys":["${DIGEST}"]}`,
  `["${NODE}"]`,
  `{"url":"${BLOB_URL}","upstreamHost":"r.example","authorization":"Bearer t"}`,
  `{"edges":[["${NODE}","${NODE}"]]}`,
];
const parseAnswers = (text: string): void => {
  parseHolding(text);
  parseOffers(text);
  parseHolderNames(text);
  parseWords(text);
  parseOrigin(text);
  parseEdges(text);
  parseTelling(text);
};

export const targets: readonly Target[] = [
  {
    name: 'wire-requests',
    costUs: 54,
    seeds: QUERIES,
    run(input) {
      const [path, query] = split(input);
      const pread = parsePread(path, query);
      if (pread !== null) assert.ok(Number.isSafeInteger(pread.shard) && pread.fromBytes >= 0);
      for (const parse of [parseStat, parseFetch, parseHolders, parseMembers]) parse(path, query);
      parseRecall(path);
      parseTree(path);
    },
  },
  { name: 'wire-bodies', costUs: 67, seeds: ANSWERS, run: parseAnswers },
  {
    name: 'wire-answers',
    costUs: 55,
    seeds: [307, 404, 424, 503].flatMap((status) => ANSWERS.map((text) => `${status} ${text}`)),
    run(input) {
      const status = Number(input.slice(0, 3)) || 0;
      for (const parse of [parsePreadAnswer, parseStatAnswer])
        try {
          const answer = parse(status, input.slice(4));
          if (answer.kind === 'busy') assert.ok(answer.retryMs >= 1 && answer.retryMs <= 60_000);
          if (answer.kind === 'redirect') for (const node of answer.parents) parseHostPort(node);
        } catch (thrown) {
          assert.equal((thrown as { code?: string }).code, 'PEER_BROKEN');
        }
    },
  },
  {
    name: 'wire-packed',
    costUs: 330,
    seeds: ['', 'q1bKTFGyMlSyUkpUqgUA', '1.2', '1.0'],
    run(input) {
      unpackSummaries(input);
      unpackChange(input);
      parseVersion(input);
      secret.open(input);
    },
  },
  {
    name: 'wire-envelope',
    costUs: 32,
    seeds: [
      Object.entries(signed)
        .map(([name, value]) => `${name}: ${value}`)
        .join('\n'),
    ],
    run(input) {
      const headers = headersOf(input);
      const header = (name: string): string => headers[name] ?? '';
      const opened = envelope.open({ path: '/rpc/stat/x/0', header });
      const isWhole = Object.entries(signed).every(
        ([name, value]) => name === 'host' || name.includes('request') || header(name) === value,
      );
      if (opened.kind === 'opened') assert.ok(isWhole, 'a changed request was accepted');
    },
  },
  {
    name: 'response-head',
    costUs: 23,
    seeds: [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nShoal-Total: 9\r\nConnection: close\r\n\r\nhello',
      `HTTP/1.1 307 X\r\nContent-Length: 0\r\nShoal-Checksum: ${HEX}\r\n\r\n`,
    ],
    run(input) {
      const head = parseHead(latin1(input));
      if (typeof head === 'string') return;
      assert.ok(Number.isSafeInteger(head.contentLength) && head.headBytes <= input.length);
      const { totalBytes } = parsePreadHeaders(head.headers);
      if (totalBytes !== null) assert.ok(Number.isSafeInteger(totalBytes) && totalBytes >= 0);
    },
  },
  {
    name: 'range',
    costUs: 6,
    seeds: ['bytes=0-0', 'bytes=5-', 'bytes=-7', 'bytes=0-1,4-5', 'bytes=9007199254740993-'],
    run(input) {
      const span = resolveRange(parseRange(input), 1_000);
      if ('startBytes' in span)
        assert.ok(
          span.startBytes >= 0 && span.endBytes >= span.startBytes && span.endBytes <= 1_000,
        );
    },
  },
  {
    name: 'content-range',
    costUs: 6,
    seeds: ['bytes 0-9/100', 'bytes */100', 'bytes 5-9/*'],
    run(input) {
      const range = parseContentRange(input);
      if (range?.startBytes != null)
        assert.ok(
          range.endBytes! > range.startBytes && range.endBytes! <= (range.totalBytes ?? 2e16),
        );
    },
  },
  {
    name: 'challenge',
    costUs: 26,
    seeds: [
      'Bearer realm="https://auth.example/token",service="r",scope="repository:app:pull"',
      'Basic realm=r, Bearer realm="a\\"b" , Negotiate abc==',
    ],
    run(input) {
      parseChallenges([input]);
      lastingChallenge(input);
    },
  },
  {
    name: 'manifest',
    costUs: 62,
    seeds: [
      `{"schemaVersion":2,"config":{"digest":"${DIGEST}","size":3},` +
        `"layers":[{"digest":"${DIGEST}","size":9}]}`,
      `{"manifests":[{"digest":"${DIGEST}",` +
        '"mediaType":"application/vnd.oci.image.manifest.v1+json"}]}',
    ],
    run(input) {
      for (const { digest } of manifestsOf(Buffer.from(input))) assert.ok(isDigest(digest));
      isSchema1('application/json', Buffer.from(input));
    },
  },
  {
    name: 'media',
    costUs: 16,
    seeds: ['application/json;q=0.5, */*', 'application/vnd.oci.image.index.v1+json'],
    run: (input) => void admits(input, 'application/json'),
  },
  {
    name: 'names',
    costUs: 8,
    seeds: ['library/nginx', 'v1.0', DIGEST, '10.0.0.2:5000', '[::1]:80', '4GiB'],
    run(input) {
      if (isRepository(input)) assert.match(input, /^[a-z0-9][a-z0-9._/-]*$/);
      if (isTag(input)) assert.ok(input.length <= 128);
      parseHostPort(input);
      parseUpstream(input);
      parseByteSize(input);
    },
  },
  {
    name: 'url',
    costUs: 47,
    seeds: [BLOB_URL, `http://b.oss.aliyuncs.com/x/sha256/ab/${HEX}/data?Expires=1&Signature=a%2F`],
    run(input) {
      const url = splitUrl(input);
      assert.deepEqual(splitUrl(joinUrl(url)), url);
    },
  },
  {
    name: 'route',
    costUs: 120,
    seeds: [
      `/v2/app/blobs/${DIGEST}?ns=r.example`,
      '/v2/app/manifests/v1',
      '/v2/app/tags/list?n=5',
      `/accelerator/http://b.oss.aliyuncs.com/x/sha256/ab/${HEX}/data?Expires=1`,
    ],
    run(input) {
      const [rawPath, query] = split(input);
      const route = classify(
        { method: 'GET', rawPath, query, host: 'mirror.example:65001' },
        ROUTE,
      );
      if (route.kind === 'relay') assert.equal(splitUrl(route.url).host, route.upstreamHost);
    },
  },
  {
    name: 'link',
    costUs: 11,
    seeds: ['</v2/app/tags/list?n=5&last=a>; rel="next"', '<https://r.example/v2/x>; rel=next'],
    run: (input) => void linkThrough(input, 'r.example', 'r.example'),
  },
  {
    name: 'config-overrides',
    costUs: 470,
    seeds: ['CacheConfig.capacity=4294967296', 'ProxyConfig.registries=[{"upstream":"https://r"}]'],
    run: (input) => void parseConfig({}, { sets: [input], env: { NODE_IP: '10.0.0.1' } }),
  },
  {
    name: 'hosts-toml',
    costUs: 110,
    seeds: [
      'server = "https://r.example"\n[host."http://127.0.0.1:65001"]\n  capabilities = ["pull"]\n',
    ],
    run: (input) => void readHosts(input),
  },
  {
    name: 'json-files',
    costUs: 130,
    seeds: [
      '{"p2pConfig":{"enable":true,"address":"http://127.0.0.1:65001/accelerator"}} // x',
      '{"auths":{"r.example":{"auth":"YTpi"}},"credHelpers":{"x":"y"}}',
    ],
    run(input) {
      try {
        parseDockerConfig(input);
      } catch (thrown) {
        // Its caller adds the name of the file.
        assert.match((thrown as Error).message, /^its?\b/);
      }
      readP2p(input);
    },
  },
  {
    name: 'cache-table',
    costUs: 21,
    seeds: ['\u0000'.repeat(HEADER_BYTES), 'SHRD'.padEnd(HEADER_BYTES, '\u0001')],
    run(input) {
      const page = Buffer.alloc(4096);
      page.write(input, 'latin1');
      decodeTableHead(page);
      const header = decodeHeader(page, 0);
      if (header !== undefined) assert.ok(header.lengthBytes <= header.extentBytes);
    },
  },
];
