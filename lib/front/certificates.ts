import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { splitHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { ShoalError } from '../errors.ts';
import { PROXY_CA_DAYS, PROXY_LEAF_DAYS, PROXY_LEAF_RENEW_MS } from './limits.ts';

/**
 * Paths of the proxy port's certificate and key: those of the config, or a certificate for the P2P
 * hosts and loopback issued by a CA of this node, which is created once under `certDir` (clients
 * trust its `ca.crt`). Throws CONFIG_INVALID.
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
      `ProxyConfig.certDir: ${JSON.stringify(certDir)} is not allowed; allowed: a ` +
        `directory to keep certificates in (${(thrown as Error).message})`,
    );
  }
}

/**
 * The current certificate and key, PEM, to compare with the ones in use. A certificate of this
 * node's CA is renewed first if that is due. Throws CONFIG_INVALID, or the error of reading a file.
 */
export async function certificateText(
  config: Config['ProxyConfig'],
  clock: Clock,
): Promise<string> {
  const { certFile, keyFile } = await certificateFiles(config, clock);
  return `${await readFile(certFile, 'utf8')}${await readFile(keyFile, 'utf8')}`;
}

/** The host names under which clients reach the proxy. */
function hostsOf(config: Config['ProxyConfig']): string[] {
  const p2pHosts = config.registries.flatMap((entry) => splitHostPort(entry.p2pHost)?.host ?? []);
  const own = ['0.0.0.0', '::'].includes(config.host) ? [] : [config.host];
  return [...new Set(['localhost', '127.0.0.1', '::1', ...own, ...p2pHosts].map(oneForm))];
}

/** An IPv6 address has many spellings; a certificate returns one. */
function oneForm(host: string): string {
  return isIPv6(host) ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host;
}

async function ownFiles(
  dir: string,
  hosts: string[],
  wallMs: number,
): Promise<{ certFile: string; keyFile: string }> {
  // Loaded on demand: most nodes never create a certificate, and loading costs 100 ms at start.
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

/**
 * Writes the key first, each file atomically: after a crash there is no certificate without its
 * key.
 */
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
