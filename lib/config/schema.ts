import { resolve } from 'node:path';
import * as z from 'zod';
import {
  CONFIG_ARENA_BYTES_MAX,
  CONFIG_ARENA_BYTES_MIN,
  CONFIG_CAPACITY_BYTES_MAX,
  CONFIG_CAPACITY_BYTES_MIN,
  UPSTREAMS_MAX,
} from './limits.ts';
import { answeringHost } from '../docker-hub.ts';
import { parseByteSize } from './byte-size.ts';
import { ANY_REGISTRY } from './any-registry.ts';
import {
  isHost,
  parseHostPort,
  parseMirror,
  parsePort,
  parseUpstream,
  splitHostPort,
} from './address.ts';

/*
 * The config file (docs/SPEC.md 3). Each key has one sentence that says what is allowed. It is the
 * error message for every invalid value, whichever check failed.
 */

const text = (error: string, accepts: (value: string) => boolean) =>
  z.string({ error }).refine(accepts, { error });
const flag = () => z.boolean({ error: 'true or false' });

function integer(min: number, max: number, note = '') {
  const error = `a whole number from ${min} to ${max}${note}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A size in bytes: a number, or text with a unit (`4GiB`, `4GB`). */
function byteSize(min: number, max: number) {
  const error = `a whole number from ${min} to ${max} bytes, or with a unit, as in 4GiB or 4GB`;
  return z
    .union([z.int(), z.string()], { error })
    .transform((value) => (typeof value === 'number' ? value : (parseByteSize(value) ?? -1)))
    .pipe(z.int({ error }).min(min, { error }).max(max, { error }));
}

function amount(min: number, max: number, note: string) {
  const error = `a number from ${min} to ${max}${note}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
}

const choice = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: `one of ${values.join(', ')}` });
const port = () => integer(0, 65_535, ' (0: any free port)');
/** Relative paths are resolved once, against the working directory at start. */
const path = () =>
  text('a path', (value) => value.length > 0 && !value.includes('\0')).transform((value) =>
    resolve(value),
  );
const optionalPath = () =>
  text('a path, or "" for none', (value) => !value.includes('\0')).transform((value) =>
    value === '' ? '' : resolve(value),
  );
const hostPorts = (what: string) => {
  const error = `${what} as host:port or [IPv6]:port`;
  return z.array(
    text(error, (value) => parseHostPort(value) !== null),
    { error: `a list of ${what} as host:port or [IPv6]:port` },
  );
};

/** Paths of the HTTP server itself; a prefix must not have these names. */
const RESERVED_SEGMENTS = new Set(['v2', 'shoal', 'metrics', 'status', 'healthz', 'readyz']);
const isPrefix = (value: string): boolean =>
  /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value) && !RESERVED_SEGMENTS.has(value);

function isAllowGlob(value: string): boolean {
  if (value.startsWith('[')) return splitHostPort(value) !== null;
  const [host, portText, ...rest] = value.split(':');
  if (rest.length > 0 || (portText !== undefined && parsePort(portText) === null)) return false;
  return host !== undefined && /^[a-z0-9*?_.-]+$/i.test(host);
}

const hostGlobs = () =>
  z.array(
    text(
      'a host glob, optionally with :port, as in *.example.com or 10.0.0.1:5000',
      isAllowGlob,
    ).transform((value) => value.toLowerCase()),
    { error: 'a list of host globs' },
  );

/** `*`, or the host (with or without port) by which clients name the registry at this proxy. */
const isP2pHost = (value: string): boolean => value === '*' || splitHostPort(value) !== null;

const isProxyUrl = (value: string): boolean =>
  URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);

/** Headers that requests to an upstream have anyway, or that belong to one connection. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'host',
  'range',
  'authorization',
  'accept',
  'accept-encoding',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
  'keep-alive',
  'expect',
]);
const isFreeHeaderName = (value: string): boolean =>
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value) && !OWN_HEADERS.has(value.toLowerCase());

const UPSTREAM_ALLOWED = 'an http or https URL of a registry, without path, query or credentials';
const upstreamUrl = () =>
  text(UPSTREAM_ALLOWED, (value) => parseUpstream(value) !== null).transform((value) => {
    const url = parseUpstream(value);
    if (url === null) return '';
    const { protocol, host } = new URL(url);
    return `${protocol}//${answeringHost(host)}`;
  });

const MIRROR_ALLOWED =
  'an http or https URL of a mirror, without query or credentials; with /v2/NAME if it has the ' +
  "registry's repositories under NAME";
const mirrorUrl = () =>
  text(MIRROR_ALLOWED, (value) => parseMirror(value) !== null).transform((value) => {
    const { protocol, host, pathname } = new URL(parseMirror(value) ?? 'http://none');
    return `${protocol}//${answeringHost(host)}${pathname === '/' ? '' : pathname}`;
  });

const registry = z.strictObject(
  {
    p2pHost: text('host or host:port, or "*" for the default upstream', isP2pHost)
      .transform((value) => value.toLowerCase())
      .default('*'),
    upstream: z.union([z.literal(ANY_REGISTRY), upstreamUrl()], {
      error: `${UPSTREAM_ALLOWED}, or "*" with hosts`,
    }),
    hosts: hostGlobs().optional(),
    upstreams: z
      .array(mirrorUrl(), { error: 'a list of URLs of mirrors' })
      .max(UPSTREAMS_MAX, { error: `at most ${UPSTREAMS_MAX} mirrors` })
      .refine((urls) => new Set(urls).size === urls.length, { error: 'each mirror once' })
      .optional(),
    storage: hostGlobs().optional(),
    caFile: optionalPath().optional(),
    clientCertFile: optionalPath().optional(),
    clientKeyFile: optionalPath().optional(),
    credentialsFile: optionalPath().optional(),
    insecureSkipVerify: flag().optional(),
    proxy: text('an http or https URL of a proxy', isProxyUrl).optional(),
    headers: z
      .record(
        text('a header name that Shoal does not set itself', isFreeHeaderName),
        text('a header value of one line', (value) => /^[\t\x20-\x7e]*$/.test(value)),
        { error: 'a map of header names and values' },
      )
      .optional(),
  },
  { error: 'an entry {p2pHost, upstream, ...}' },
);

/** Keys of an entry of `registries`. */
export const registryKeys: readonly string[] = Object.keys(registry.shape);

const registries = z
  .array(registry, { error: 'a list of entries {p2pHost, upstream, ...}' })
  .refine(
    (entries) => {
      const named = entries.filter(({ upstream }) => upstream !== ANY_REGISTRY);
      return new Set(named.map(({ p2pHost }) => p2pHost)).size === named.length;
    },
    { error: 'each p2pHost once, and at most one default upstream (p2pHost left out or "*")' },
  );

const deploy = z.strictObject({
  mode: choice(['agent', 'root'])
    .default('agent')
    .describe('Role of the node; the commands `shoal agent` and `shoal root` override it.'),
  node: text(
    'an IP address or host name, or "" for $NODE_IP, else the first IPv4 of this machine',
    (value) => value === '' || isHost(value),
  )
    .default('')
    .describe('Address other nodes dial.'),
  logDir: path().default('/dadi-p2p/log').describe('Where log files go.'),
  logLevel: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Lowest level that is logged.'),
  logAudit: flag().default(false).describe('Writes the audit log: one line per operation.'),
  logAuditMode: choice(['stdout', 'file'])
    .default('stdout')
    .describe('Where the audit log goes; `file`: `<logDir>/audit.log`, rotated.'),
});

const proxy = z.strictObject({
  host: text('an IP address or host name to listen on', isHost)
    .default('127.0.0.1')
    .describe('Address the proxy port listens on.'),
  port: port()
    .default(65_001)
    .describe('Proxy port: container runtimes and overlaybd connect here.'),
  tls: flag().default(false).describe('Serves TLS 1.2 and 1.3 on the proxy port.'),
  certFile: optionalPath()
    .default('')
    .describe('Certificate chain for TLS, PEM; without it the node creates its own.'),
  keyFile: optionalPath().default('').describe('Private key of `certFile`, PEM.'),
  certDir: path()
    .default('/dadi-p2p/certs')
    .describe('Directory for the CA and certificate that the node creates.'),
  prefix: text(
    'one path segment of letters, digits, ".", "_" and "-", not one the server uses (v2, ' +
      'metrics, ...)',
    isPrefix,
  )
    .default('accelerator')
    .describe('First path segment of on-demand loading: `/<prefix>/<absolute URL>`.'),
  registries: registries
    .default([])
    .describe(
      'Registries behind this proxy: `p2pHost` as clients name it (left out or `*`: the ' +
        'default), `upstream` its URL, `upstreams` mirrors of it, `storage` host globs of its ' +
        "object storage, whose bytes count as the registry's. docs/SPEC.md 3 lists all keys.",
    ),
  allow: hostGlobs()
    .default(['*.aliyuncs.com'])
    .describe('Hosts that may be dialled in addition to the registries and their storage.'),
  firstByteTimeout: amount(1, 600, ' s')
    .default(20)
    .describe(
      "How long an upstream's first byte is waited for, and if above 20 the next bytes of a " +
        'body, too; raise it for pull-through caches that are silent while they fetch.',
    ),
  accessCheck: choice(['strict', 'off'])
    .default('strict')
    .describe(
      '`strict`: a cached blob only for clients the registry accepts; `off`: for everyone.',
    ),
  accessTtl: amount(0, 86_400, ' s')
    .default(60)
    .describe('How long a proven right to read is remembered.'),
  accessStaleTtl: amount(0, 604_800, ' s (0: off)')
    .default(3_600)
    .describe('How long rights and tags are still valid while the registry is down.'),
  proxyConcurrencyLimit: integer(1, 65_536)
    .default(128)
    .describe('Layers downloading at once; more wait in order.'),
  throttleLimitMB: amount(0, 1_000_000, ' MB/s (0: no limit)')
    .default(512)
    .describe('Downstream throughput limit, in 10^6 bytes/s.'),
});

const p2p = z.strictObject({
  port: port().default(65_002).describe('P2P port: other nodes connect here.'),
  discovery: choice(['static', 'dns', 'kubernetes'])
    .default('static')
    .describe('How other nodes are found.'),
  peers: hostPorts('peers').default([]).describe('Static: the agents.'),
  roots: hostPorts('roots').default([]).describe('Static: the roots.'),
  service: text(
    'a service name (dns: host name; kubernetes: name or namespace/name), or ""',
    (value) => value === '' || /^(?:[a-z0-9-]+\/)?[a-z0-9_.-]+$/i.test(value),
  )
    .default('')
    .describe('dns, kubernetes: the headless service of the nodes.'),
  secretFile: optionalPath()
    .default('')
    .describe(
      'File with the secret that all nodes share; without it the P2P port listens on ' +
        'loopback only.',
    ),
});

const cache = z.strictObject({
  dir: path().default('/dadi-p2p/cache').describe('Where the disk cache is.'),
  capacity: byteSize(CONFIG_CAPACITY_BYTES_MIN, CONFIG_CAPACITY_BYTES_MAX)
    .default(4_294_967_296)
    .describe('Size of the disk cache.'),
  memory: byteSize(CONFIG_ARENA_BYTES_MIN, CONFIG_ARENA_BYTES_MAX)
    .default(268_435_456)
    .describe('Shared memory for shards.'),
  runtimeStore: text('auto, off or a path', (value) => value.length > 0 && !value.includes('\0'))
    .transform((value) => (value === 'auto' || value === 'off' ? value : resolve(value)))
    .default('auto')
    .describe(
      "The container runtime's content store, read in place instead of being cached " +
        "twice: `auto` looks for containerd's usual directories, `off`, or a path.",
    ),
  aioEnable: z
    .literal([0, 1], { error: '0 or 1' })
    .default(0)
    .describe(
      '1: reads bypass the page cache, too (O_DIRECT), for fast disks (ESSD PL2/PL3, NVMe).',
    ),
  checkReads: choice(['first', 'always'])
    .default('first')
    .describe(
      'When a shard on disk is checked against its checksum: at its first read after a ' +
        'start, or at every read.',
    ),
});

const exporter = z.strictObject({
  enable: flag().default(false).describe('Serves metrics, status and the live page.'),
  port: port().default(65_003).describe('Exporter port.'),
  standaloneExporterPort: flag().default(true).describe('false: on the proxy port instead.'),
});

/** The whole config: five sections, every key with its default, nothing else accepted. */
export const configSchema = z.strictObject({
  DeployConfig: deploy.prefault({}),
  ProxyConfig: proxy.prefault({}),
  P2PConfig: p2p.prefault({}),
  CacheConfig: cache.prefault({}),
  ExporterConfig: exporter.prefault({}),
});

type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;

/**
 * A valid config, deeply frozen by `loadConfig`. Sizes in bytes, TTLs in seconds, `throttleLimitMB`
 * in 10^6 bytes/s; `upstream` is an origin (`https://host[:port]`), `p2pHost` lower case, "*" for
 * the default upstream.
 */
export type Config = DeepReadonly<z.output<typeof configSchema>>;
export type RegistryEntry = Config['ProxyConfig']['registries'][number];
export type NodeMode = Config['DeployConfig']['mode'];
