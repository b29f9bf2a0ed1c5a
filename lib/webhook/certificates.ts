import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { issueLeaf, type KeyedCertificate, makeAuthority, readLeaf } from '../tls/authority.ts';
import {
  AUTHORITY_RENEW_BEFORE_MS,
  AUTHORITY_SETTLE_MS,
  AUTHORITY_VALID_DAYS,
  CERTIFICATE_BACKDATE_MS,
  LEAF_RENEW_BEFORE_MS,
  LEAF_VALID_DAYS,
} from './limits.ts';

/**
 * The webhook's certificates: its authorities, newest first, and the leaf that one of them signed.
 */
export interface CertificateSet {
  readonly authorities: readonly KeyedCertificate[];
  readonly leaf: KeyedCertificate;
}

/** Which certificate to renew before it is due. */
export type ForcedRenewal = 'leaf' | 'authority' | null;

/** The newest authority, and the previous one while its leaves may still be in use. */
const AUTHORITIES_KEPT = 2;

/**
 * Returns the set that should be in use at `nowMs`: `present` itself if nothing is due. A new
 * authority first only joins the bundle. It signs leaves after AUTHORITY_SETTLE_MS, when every API
 * server trusts it, so no step breaks a connection. `names` are the DNS names and IP addresses of
 * the leaf.
 */
export async function renewedCertificates(
  present: CertificateSet | null,
  names: readonly string[],
  nowMs: number,
  force: ForcedRenewal = null,
): Promise<CertificateSet> {
  if (present === null) {
    const authority = await newAuthority(nowMs);
    return { authorities: [authority], leaf: await newLeaf(authority, names, nowMs) };
  }
  const newest = present.authorities[0]!;
  if (force === 'authority' || endMs(newest) - nowMs < AUTHORITY_RENEW_BEFORE_MS) {
    const authorities = [await newAuthority(nowMs), ...present.authorities].slice(
      0,
      AUTHORITIES_KEPT,
    );
    return await renewedCertificates({ authorities, leaf: present.leaf }, names, nowMs);
  }
  const settled = present.authorities.findIndex(
    (authority) => nowMs - madeMs(authority) >= AUTHORITY_SETTLE_MS,
  );
  const signerAt = settled === -1 ? present.authorities.length - 1 : settled;
  const isDue =
    force === 'leaf' ||
    endMs(present.leaf) - nowMs < LEAF_RENEW_BEFORE_MS ||
    !coversNames(present.leaf, names);
  // A leaf signed by a newer authority comes from a replica whose clock is ahead. Replacing it
  // would make the two replicas overwrite each other in a loop.
  const signed = await Promise.all(
    present.authorities
      .slice(0, signerAt + 1)
      .map((authority) => isSignedBy(present.leaf, authority)),
  );
  if (!isDue && signed.includes(true)) return present;
  return {
    authorities: present.authorities,
    leaf: await newLeaf(present.authorities[signerAt]!, names, nowMs),
  };
}

/** The CA bundle for the API server: every authority, concatenated PEM. */
export function caBundle(set: CertificateSet): string {
  return set.authorities.map(({ certificate }) => `${certificate.trim()}\n`).join('');
}

/** The set as the data of a Secret (base64). */
export function toSecretData(set: CertificateSet): Record<string, string> {
  const entries = [
    ['tls.crt', set.leaf.certificate],
    ['tls.key', set.leaf.key],
  ];
  for (const [index, { certificate, key }] of set.authorities.entries())
    entries.push([`ca-${index}.crt`, certificate], [`ca-${index}.key`, key]);
  return Object.fromEntries(
    entries.map(([name, pem]) => [name, Buffer.from(pem!).toString('base64')]),
  );
}

/**
 * Reads the output of `toSecretData`. Null when a part is missing or is not a certificate; the
 * caller then creates a new set.
 */
export function fromSecretData(data: Record<string, string> | undefined): CertificateSet | null {
  const pair = (certName: string, keyName: string): KeyedCertificate | null => {
    const [certificate, key] = [data?.[certName], data?.[keyName]].map((text) =>
      text === undefined ? '' : Buffer.from(text, 'base64').toString('utf8'),
    );
    try {
      const parsed = new x509.X509Certificate(certificate!);
      return parsed.notAfter.getTime() > 0 && key!.includes('PRIVATE KEY')
        ? { certificate: certificate!, key: key! }
        : null;
    } catch {
      return null;
    }
  };
  const leaf = pair('tls.crt', 'tls.key');
  const authorities = Array.from({ length: AUTHORITIES_KEPT }, (_, index) =>
    pair(`ca-${index}.crt`, `ca-${index}.key`),
  ).filter((authority) => authority !== null);
  return leaf === null || authorities.length === 0 ? null : { authorities, leaf };
}

/** End of validity, in ms since the epoch. */
export function endMs({ certificate }: KeyedCertificate): number {
  return readLeaf(certificate).notAfterMs;
}

function madeMs({ certificate }: KeyedCertificate): number {
  return new x509.X509Certificate(certificate).notBefore.getTime() + CERTIFICATE_BACKDATE_MS;
}

/** Each authority has a subject of its own: two trusted ones are distinguishable as issuers. */
function newAuthority(nowMs: number): Promise<KeyedCertificate> {
  return makeAuthority(
    `shoal-webhook-authority-${nowMs}`,
    AUTHORITY_VALID_DAYS,
    nowMs,
    CERTIFICATE_BACKDATE_MS,
  );
}

function newLeaf(
  authority: KeyedCertificate,
  names: readonly string[],
  nowMs: number,
): Promise<KeyedCertificate> {
  return issueLeaf(authority, names, LEAF_VALID_DAYS, nowMs, CERTIFICATE_BACKDATE_MS);
}

function coversNames({ certificate }: KeyedCertificate, names: readonly string[]): boolean {
  const { hosts } = readLeaf(certificate);
  return names.every((name) => hosts.includes(name));
}

async function isSignedBy(leaf: KeyedCertificate, authority: KeyedCertificate): Promise<boolean> {
  const { publicKey } = new x509.X509Certificate(authority.certificate);
  return await new x509.X509Certificate(leaf.certificate).verify({
    publicKey,
    signatureOnly: true,
  });
}
