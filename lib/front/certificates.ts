import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { splitHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { ShoalError } from '../errors.ts';
import { PROXY_CA_DAYS, PROXY_LEAF_DAYS, PROXY_LEAF_RENEW_MS } from './limits.ts';

/**
 * Where the proxy port's certificate and key are: those of the config, or a leaf for the P2P hosts
 * and loopback, of a CA of this node's own, made once under `certDir` (`ca.crt` is what clients are
 * told to trust). Throws CONFIG_INVALID.
 */
export async function certificateFiles(
  config: Config['ProxyConfig'],
  clock: Clock,
): Promise<{ certFile: string; keyFile: string }> {
  const { certFile, keyFile, certDir } = config;
  if (certFile !== '' && keyFile !== '') return { certFile, keyFile };
  try {
    return await ownFiles(certDir, hostsOf(config), clock.wallMs());
  } catch (thrown) {
    throw new ShoalError(
      'CONFIG_INVALID',
      `ProxyConfig.certDir: ${JSON.stringify(certDir)} is not allowed; allowed: a directory to keep certificates in (${(thrown as Error).message})`,
    );
  }
}

/**
 * The certificate and its key as they are now, PEM, an own one renewed if that is due; to be
 * compared. Throws CONFIG_INVALID, or what reading a file throws.
 */
export async function certificateText(
  config: Config['ProxyConfig'],
  clock: Clock,
): Promise<string> {
  const { certFile, keyFile } = await certificateFiles(config, clock);
  return `${await readFile(certFile, 'utf8')}${await readFile(keyFile, 'utf8')}`;
}

/** The names clients may call the proxy by. */
function hostsOf(config: Config['ProxyConfig']): string[] {
  const p2pHosts = config.registries.flatMap((entry) => splitHostPort(entry.p2pHost)?.host ?? []);
  const own = ['0.0.0.0', '::'].includes(config.host) ? [] : [config.host];
  return [...new Set(['localhost', '127.0.0.1', '::1', ...own, ...p2pHosts].map(oneForm))];
}

/** An IPv6 address has many forms; a certificate gives back one. */
function oneForm(host: string): string {
  return isIPv6(host) ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host;
}

async function ownFiles(
  dir: string,
  hosts: string[],
  wallMs: number,
): Promise<{ certFile: string; keyFile: string }> {
  // Loaded only here: most nodes never make a certificate, and it costs 100 ms of their start.
  const { issueLeaf, makeAuthority, readLeaf } = await import('../tls/authority.ts');
  const files = { certFile: join(dir, 'proxy.crt'), keyFile: join(dir, 'proxy.key') };
  await mkdir(dir, { recursive: true, mode: 0o700 });
  let authority = await readPair(join(dir, 'ca.crt'), join(dir, 'ca.key'));
  const leaf = await readPair(files.certFile, files.keyFile);
  if (authority !== null && leaf !== null) {
    const { hosts: known, notAfterMs } = readLeaf(leaf.certificate);
    const names = new Set(known.map(oneForm));
    if (notAfterMs - wallMs > PROXY_LEAF_RENEW_MS && hosts.every((host) => names.has(host)))
      return files;
  }
  if (
    authority === null ||
    readLeaf(authority.certificate).notAfterMs - wallMs < PROXY_LEAF_RENEW_MS
  ) {
    authority = await makeAuthority('Shoal node CA', PROXY_CA_DAYS, wallMs);
    await writePair(join(dir, 'ca.crt'), join(dir, 'ca.key'), authority);
  }
  await writePair(
    files.certFile,
    files.keyFile,
    await issueLeaf(authority, hosts, PROXY_LEAF_DAYS, wallMs),
  );
  return files;
}

async function readPair(
  certFile: string,
  keyFile: string,
): Promise<{ certificate: string; key: string } | null> {
  try {
    return { certificate: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') };
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw thrown;
  }
}

/** Key first, each in one step: a crash in between leaves no certificate without its key. */
async function writePair(
  certFile: string,
  keyFile: string,
  pair: { certificate: string; key: string },
): Promise<void> {
  for (const [file, text, mode] of [
    [keyFile, pair.key, 0o600],
    [certFile, pair.certificate, 0o644],
  ] as const) {
    await writeFile(`${file}.new`, text, { mode });
    await rename(`${file}.new`, file);
  }
}
