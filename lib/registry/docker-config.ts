/**
 * What proves who somebody is at a registry. With an `identityToken` (OAuth 2 refresh token) token
 * servers take that, and there is no password.
 */
export interface Credentials {
  username: string;
  password: string;
  identityToken?: string;
}

interface StoredEntry {
  /** Docker Hub is `docker.io`, whatever the file calls it. */
  host: string;
  /** The repositories that the entry is for begin with this path; empty: all. */
  path: string;
  credentials: Credentials;
}

/** A file of credentials as docker (config.json, .dockercfg) and podman (auth.json) write it. */
export interface DockerConfig {
  entries: readonly StoredEntry[];
  /** Programs `docker-credential-<name>`, by host. */
  helpers: ReadonlyMap<string, string>;
  /** The program for all other hosts. */
  store: string | null;
}

const HUB_NAMES = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);
const HELPER_NAME = /^[A-Za-z0-9._-]+$/;

/** The name under which credentials for a registry (`host[:port]`) are kept. */
export function storedName(host: string): string {
  const name = host.toLowerCase();
  return HUB_NAMES.has(name) ? 'docker.io' : name;
}

/** Reads the text of such a file. Throws an Error that says what is wrong, and quotes nothing. */
export function parseDockerConfig(text: string): DockerConfig {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  const config = recordOf(parsed, 'it is not a JSON object');
  // .dockercfg has the entries at the top.
  const isLegacy = !['auths', 'credHelpers', 'credsStore'].some((key) => key in config);
  const auths = isLegacy
    ? Object.fromEntries(Object.entries(config).filter(([, value]) => isRecord(value)))
    : recordOf(config['auths'] ?? {}, 'its "auths" is not an object');
  const helpers = recordOf(config['credHelpers'] ?? {}, 'its "credHelpers" is not an object');
  return {
    entries: Object.entries(auths).flatMap(([key, entry]) => entriesOf(key, entry)),
    helpers: new Map(
      Object.entries(helpers).map(([host, name]) => [storedName(host), helperName(name)]),
    ),
    store:
      config['credsStore'] === undefined || config['credsStore'] === ''
        ? null
        : helperName(config['credsStore']),
  };
}

/**
 * The credentials that a file itself holds for a repository: of several entries for a host the one
 * with the longest path, as podman does.
 */
export function credentialsFor(
  { entries }: Pick<DockerConfig, 'entries'>,
  host: string,
  repository: string,
): Credentials | null {
  const name = storedName(host);
  const fitting = entries.filter(
    (entry) =>
      entry.host === name && (entry.path === '' || `${repository}/`.startsWith(`${entry.path}/`)),
  );
  fitting.sort((one, other) => other.path.length - one.path.length);
  return fitting[0]?.credentials ?? null;
}

/** What a helper has said of a host: a user named `<token>` is an identity token. */
export function helperCredentials(username: string, secret: string): Credentials {
  return username === '<token>'
    ? { username, password: '', identityToken: secret }
    : { username, password: secret };
}

function entriesOf(key: string, value: unknown): StoredEntry[] {
  if (!isRecord(value)) return [];
  const credentials = credentialsIn(value);
  if (credentials === null) return [];
  // docker writes URLs (`https://index.docker.io/v1/`), podman names (`quay.io/team`).
  const [, scheme, host = '', path = ''] = /^(https?:\/\/)?([^/]+)\/?(.*?)\/*$/i.exec(key) ?? [];
  const isName = scheme === undefined && !/^v[12]$/.test(path);
  return host === '' ? [] : [{ host: storedName(host), path: isName ? path : '', credentials }];
}

function credentialsIn(entry: Record<string, unknown>): Credentials | null {
  const text = (name: string): string => {
    const value = entry[name];
    return typeof value === 'string' ? value : '';
  };
  let [username, password] = [text('username'), text('password')];
  if (text('auth') !== '') {
    // docker pads with zero bytes in some versions.
    const decoded = Buffer.from(text('auth'), 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = decoded.indexOf(':');
    if (colon > 0) [username, password] = [decoded.slice(0, colon), decoded.slice(colon + 1)];
  }
  const identityToken = text('identitytoken');
  if (identityToken !== '') return { username, password, identityToken };
  return username === '' || password === '' ? null : { username, password };
}

function helperName(name: unknown): string {
  if (typeof name !== 'string' || !HELPER_NAME.test(name))
    throw new Error('it names a credential helper that is none');
  return name;
}

function recordOf(value: unknown, problem: string): Record<string, unknown> {
  if (!isRecord(value)) throw new Error(problem);
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
