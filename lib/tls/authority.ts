import 'reflect-metadata';
import { webcrypto, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/** A certificate and its private key, both PEM (the key in PKCS #8). */
export interface KeyedCertificate {
  certificate: string;
  key: string;
}

const DAY_MS = 86_400_000;
/** ECDSA on P-256: understood by TLS 1.2 and 1.3 clients alike, boringssl's and OpenSSL's. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Clocks of nodes differ, so a certificate is valid from a little before its creation. */
const BACKDATE_MS = 3_600_000;

x509.cryptoProvider.set(webcrypto as never);

/** Creates a certificate authority, valid for `days` from `wallMs`. */
export async function makeAuthority(
  commonName: string,
  days: number,
  wallMs: number,
  backdateMs = BACKDATE_MS,
): Promise<KeyedCertificate> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: nameOf(commonName),
    notBefore: new Date(wallMs - backdateMs),
    notAfter: new Date(wallMs + days * DAY_MS),
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
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

/**
 * Issues a server certificate for `hosts` (DNS names, wildcards among them, and IP addresses),
 * valid for `days` from `wallMs`.
 */
export async function issueLeaf(
  authority: KeyedCertificate,
  hosts: readonly string[],
  days: number,
  wallMs: number,
  backdateMs = BACKDATE_MS,
): Promise<KeyedCertificate> {
  const keys = await generateKeys();
  const issuer = new x509.X509Certificate(authority.certificate);
  const signingKey = await importKey(authority.key);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: nameOf(hosts[0] ?? 'shoal'),
    issuer: issuer.subject,
    notBefore: new Date(wallMs - backdateMs),
    notAfter: new Date(Math.min(wallMs + days * DAY_MS, issuer.notAfter.getTime())),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

/** Hosts a certificate is for, and when it ends (wall time, ms). */
export function readLeaf(certificate: string): { hosts: string[]; notAfterMs: number } {
  const parsed = new x509.X509Certificate(certificate);
  const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  return { hosts: names.map((name) => name.value), notAfterMs: parsed.notAfter.getTime() };
}

function nameOf(commonName: string): string {
  return `CN=${commonName.replace(/[,+"\\<>;=]/g, '')}, O=Shoal`;
}

/** 16 random bytes, positive (RFC 5280 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x01;
  return bytes.toString('hex');
}

function generateKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(
    { name: ALGORITHM.name, namedCurve: ALGORITHM.namedCurve },
    true,
    ['sign', 'verify'],
  ) as Promise<CryptoKeyPair>;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  return `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`;
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(pem),
    { name: ALGORITHM.name, namedCurve: ALGORITHM.namedCurve },
    false,
    ['sign'],
  );
}
type CryptoKeyPair = webcrypto.CryptoKeyPair;
