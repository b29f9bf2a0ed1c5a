import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import {
  AUTHORITY_RENEW_BEFORE_MS,
  AUTHORITY_SETTLE_MS,
  AUTHORITY_VALID_MS,
  CERTIFICATE_BACKDATE_MS,
  LEAF_RENEW_BEFORE_MS,
  LEAF_VALID_MS,
} from './limits.ts';

/** A certificate and its private key, PEM. */
export interface KeyedCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * The webhook's certificates: its authorities, newest first, and the leaf that one of them signed.
 */
export interface CertificateSet {
  readonly authorities: readonly KeyedCertificate[];
  readonly leaf: KeyedCertificate;
}

/** Which certificate to renew before it is due. */
export type ForcedRenewal = 'leaf' | 'authority' | null;

/** ECDSA on P-256 with SHA-256: every TLS stack of the last ten years supports it. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
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
    const authority = await makeAuthority(nowMs);
    return { authorities: [authority], leaf: await makeLeaf(authority, names, nowMs) };
  }
  const newest = present.authorities[0]!;
  if (force === 'authority' || endMs(newest) - nowMs < AUTHORITY_RENEW_BEFORE_MS) {
    const authorities = [await makeAuthority(nowMs), ...present.authorities].slice(
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
    leaf: await makeLeaf(present.authorities[signerAt]!, names, nowMs),
  };
}

/** The CA bundle for the API server: every authority, concatenated PEM. */
export function caBundle(set: CertificateSet): string {
  return set.authorities.map(({ cert }) => `${cert.trim()}\n`).join('');
}

/** The set as the data of a Secret (base64). */
export function toSecretData(set: CertificateSet): Record<string, string> {
  const entries = [
    ['tls.crt', set.leaf.cert],
    ['tls.key', set.leaf.key],
  ];
  for (const [index, { cert, key }] of set.authorities.entries())
    entries.push([`ca-${index}.crt`, cert], [`ca-${index}.key`, key]);
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
    const [cert, key] = [data?.[certName], data?.[keyName]].map((text) =>
      text === undefined ? '' : Buffer.from(text, 'base64').toString('utf8'),
    );
    try {
      const parsed = new x509.X509Certificate(cert!);
      return parsed.notAfter.getTime() > 0 && key!.includes('PRIVATE KEY')
        ? { cert: cert!, key: key! }
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
export function endMs({ cert }: KeyedCertificate): number {
  return new x509.X509Certificate(cert).notAfter.getTime();
}

function madeMs({ cert }: KeyedCertificate): number {
  return new x509.X509Certificate(cert).notBefore.getTime() + CERTIFICATE_BACKDATE_MS;
}

async function makeAuthority(nowMs: number): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    // Each authority has its own subject, so that two trusted authorities are distinguishable as
    // issuers.
    name: `CN=shoal-webhook-authority-${nowMs}`,
    serialNumber: serialNumber(),
    ...validity(nowMs, AUTHORITY_VALID_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: certificate.toString('pem'), key: await exportKey(keys.privateKey) };
}

async function makeLeaf(
  authority: KeyedCertificate,
  names: readonly string[],
  nowMs: number,
): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const issuer = new x509.X509Certificate(authority.cert);
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(authority.key),
    ALGORITHM,
    false,
    ['sign'],
  );
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=shoal-webhook',
    issuer: issuer.subject,
    serialNumber: serialNumber(),
    ...validity(nowMs, LEAF_VALID_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({
          type: isAddress(value) ? ('ip' as const) : ('dns' as const),
          value,
        })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { cert: certificate.toString('pem'), key: await exportKey(keys.privateKey) };
}

function validity(nowMs: number, validMs: number): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(nowMs - CERTIFICATE_BACKDATE_MS),
    notAfter: new Date(nowMs + validMs),
  };
}

function coversNames({ cert }: KeyedCertificate, names: readonly string[]): boolean {
  const extension = new x509.X509Certificate(cert).getExtension(
    x509.SubjectAlternativeNameExtension,
  );
  const covered = new Set(extension?.names.items.map(({ value }) => value));
  return names.every((name) => covered.has(name));
}

async function isSignedBy(leaf: KeyedCertificate, authority: KeyedCertificate): Promise<boolean> {
  const { publicKey } = new x509.X509Certificate(authority.cert);
  return await new x509.X509Certificate(leaf.cert).verify({ publicKey, signatureOnly: true });
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** 16 random bytes, positive and without a leading zero (RFC 5280, section 4.1.2.2). */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

function isAddress(name: string): boolean {
  return /^[0-9.]+$/.test(name) || name.includes(':');
}
