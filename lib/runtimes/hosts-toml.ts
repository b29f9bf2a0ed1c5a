import { isDeepStrictEqual } from 'node:util';
import { answeringHost } from '../docker-hub.ts';
import { ShoalError } from '../errors.ts';
import { isTable, parseToml, quoteToml } from './toml-text.ts';

/*
 * containerd's `certs.d/<registry>/hosts.toml` (containerd, docs/hosts.md). containerd tries the
 * hosts in file order, then `server`, which defaults to the registry itself.
 */

/** The host that is asked first for images of a registry. */
export interface Mirror {
  url: string;
  /** Path of the CA for an https mirror; null for the system's CAs. */
  ca: string | null;
}

/**
 * Certificates beside hosts.toml in Docker's layout. containerd reads them only while there is no
 * hosts.toml.
 */
export interface CertificateFiles {
  /** `*.crt` */
  cas: readonly string[];
  /** `*.cert` with its `*.key` ('' when both are in one file). */
  clients: readonly (readonly [cert: string, key: string])[];
}

/** What Shoal records in the file's head, so that `restore` can undo its changes. */
export interface HostsRecord {
  /** Whether a hosts.toml existed before; it is then in the backup. */
  kept: boolean;
  /**
   * Directories created for the file, relative to its own (`.`, `..`, `../..`), so that the record
   * holds wherever the host's disk is mounted. Outermost first.
   */
  made: readonly string[];
}

export interface HostsFile {
  /** Null for a file that Shoal did not write. */
  record: HostsRecord | null;
  server: string | null;
  /** In the order in which they are tried. */
  hosts: string[];
}

const MARK =
  '# Written by `shoal containerd configure`; `shoal containerd restore` puts back what ' +
  'was here before.';
const KEPT = '# shoal: kept hosts.toml.shoal-backup';
const MADE = '# shoal: made ';
const HEAD = /^(?:# (?:Written by `shoal|shoal: ).*\r?\n)*\r?\n?/;

/**
 * The origin of a registry: what `server` names. Docker Hub's images carry a name it does not
 * answer at.
 */
export function serverOf(registry: string): string {
  const loopback = /^(?:localhost|127\.[\d.]+|\[::1\]):(?!443$)\d+$/.test(registry);
  return `${loopback ? 'http' : 'https'}://${answeringHost(registry)}`;
}

/** Reads a hosts.toml. Throws FILE_UNUSABLE when it is not TOML or not of that form. */
export function readHosts(text: string): HostsFile {
  const { server, host } = parseToml(text) as Partial<HostsToml>;
  if (server !== undefined && typeof server !== 'string')
    throw new ShoalError('FILE_UNUSABLE', '"server" is not a string');
  if (host !== undefined && !isTable(host))
    throw new ShoalError('FILE_UNUSABLE', '"host" is not a table');
  return { record: recordOf(text), server: server ?? null, hosts: Object.keys(host ?? {}) };
}

/**
 * The registry behind a P2P host of ACR's rule, `NAME.distributed.REGION[:port]` ->
 * `https://NAME.REGION`; null for any other host.
 */
export function registryBehind(host: string): string | null {
  const found = /^([a-z0-9_-]+)\.distributed\.([a-z0-9_.-]+?)\.?(?::\d+)?$/i.exec(host);
  return found === null ? null : `https://${found[1]!}.${found[2]!}`.toLowerCase();
}

/** containerd before 1.7 refuses a file without a `host` table. */
const NO_HOSTS = '[host]\n';

/** What a hosts.toml of Shoal's names. */
export interface HostsPlan {
  registry: string;
  /** Asked first; null: only the registry itself is asked. */
  mirror: Mirror | null;
  /** Asked last: the registry that the images are really in (`https://host[:port]`). */
  server: string;
}

/**
 * The hosts.toml for a plan. `before` is the content in use so far (null or empty: none); all of it
 * stays, its hosts as fallbacks after the mirror. `certificates` are named when there was none.
 * Null when the layout of `before` leaves no place for a mirror before its hosts. Throws
 * FILE_UNUSABLE when `before` is damaged.
 */
export function hostsWith(
  plan: HostsPlan,
  before: string | null,
  certificates: CertificateFiles,
  record: HostsRecord,
): string | null {
  const head = headOf(record);
  if (before === null || before.trim() === '') return freshHosts(plan, certificates, head);
  const newline = before.includes('\r\n') ? '\r\n' : '\n';
  const base = withServer(before, plan, newline);
  if (plan.mirror === null) {
    const table = parseToml(base)['host'] === undefined ? `\n${NO_HOSTS}` : '';
    return head.replaceAll('\n', newline) + base + table.replaceAll('\n', newline);
  }
  const old = parseHostsToml(base);
  const { url } = plan.mirror;
  const table = mirrorTable(plan.mirror);
  const wanted = { ...old, host: { [url]: parseHostsToml(table).host[url], ...old.host } };
  // A line that starts with a bracket may also be inside an array or a string, so the result is
  // parsed and compared.
  for (const at of tableStarts(base)) {
    const space = at === 0 || base[at - 1] === '\n' ? '' : newline;
    const tail = at === base.length ? '' : newline;
    const text =
      base.slice(0, at) + space + (table + tail).replaceAll(/\r?\n/g, newline) + base.slice(at);
    if (says(text, wanted)) return head.replaceAll('\n', newline) + text;
  }
  return null;
}

/** `text` with a `server` if it names none and the default would not be the plan's. */
function withServer(text: string, { registry, server }: HostsPlan, newline: string): string {
  if (parseHostsToml(text)['server'] !== undefined || server === serverOf(registry)) return text;
  return `server = ${quoteToml(server)}${newline}${newline}${text}`;
}

/** A hosts.toml without anything of another program. */
export function freshHosts(
  { registry, mirror, server }: HostsPlan,
  { cas, clients }: CertificateFiles,
  head: string,
): string {
  const lines = [
    // For `_default`, containerd must ask the registry of the image, so no server is named.
    ...(registry === '_default' ? [] : [`server = ${quoteToml(server)}`]),
    ...(cas.length === 0 ? [] : [`ca = [${cas.map(quoteToml).join(', ')}]`]),
    ...(clients.length === 0
      ? []
      : [`client = [${clients.map((pair) => `[${pair.map(quoteToml).join(', ')}]`).join(', ')}]`]),
  ];
  const tables = mirror === null ? NO_HOSTS : mirrorTable(mirror);
  const space = lines.length === 0 ? '' : '\n';
  return `${head}${lines.map((line) => `${line}\n`).join('')}${space}${tables}`;
}

/** The comment lines at the head of Shoal's file. */
export function headOf({ kept, made }: HostsRecord): string {
  const lines = [MARK, ...(kept ? [KEPT] : []), ...made.map((folder) => MADE + folder)];
  return `${lines.join('\n')}\n\n`;
}

function recordOf(text: string): HostsRecord | null {
  const lines = HEAD.exec(text)![0].split(/\r?\n/);
  if (!lines.includes(MARK)) return null;
  return {
    kept: lines.includes(KEPT),
    made: lines.filter((line) => line.startsWith(MADE)).map((line) => line.slice(MADE.length)),
  };
}

function mirrorTable({ url, ca }: Mirror): string {
  return (
    `[host.${quoteToml(url)}]\n  capabilities = ["pull", ` +
    `"resolve"]\n${ca === null ? '' : `  ca = ${quoteToml(ca)}\n`}`
  );
}

/** Offsets where a table may begin, in order, then the end of the text. */
function tableStarts(text: string): number[] {
  return [...[...text.matchAll(/^[ \t]*\[/gm)].map((match) => match.index), text.length];
}

interface HostsToml {
  [key: string]: unknown;
  host: Record<string, unknown>;
}

function parseHostsToml(text: string): HostsToml {
  return { host: {}, ...parseToml(text) };
}

function says(text: string, wanted: HostsToml): boolean {
  try {
    const got = parseHostsToml(text);
    return (
      isDeepStrictEqual(got, wanted) &&
      isDeepStrictEqual(Object.keys(got.host), Object.keys(wanted.host))
    );
  } catch {
    return false;
  }
}
