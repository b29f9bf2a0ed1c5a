import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type SecureVersion } from 'node:tls';
import {
  issueLeaf,
  makeAuthority,
  readLeaf,
  type KeyedCertificate,
} from '../../lib/tls/authority.ts';

const DAY_MS = 86_400_000;
const HOSTS = ['localhost', '127.0.0.1', '::1', '*.shoal.svc'];

describe('tls/authority', () => {
  let authority: KeyedCertificate;
  let leaf: KeyedCertificate;
  before(async () => {
    authority = await makeAuthority('Test CA, "quoted"', 10, Date.now());
    leaf = await issueLeaf(authority, HOSTS, 5, Date.now());
  });

  /** Connects to a server with `pair`, trusting `ca`; the protocol spoken, or the error's code. */
  async function handshake(
    pair: KeyedCertificate,
    ca: string,
    servername: string,
    version: SecureVersion,
  ): Promise<string> {
    const server = createServer({ cert: pair.certificate, key: pair.key }, (socket) =>
      socket.on('error', () => undefined),
    ).listen(0, '127.0.0.1');
    server.on('tlsClientError', () => undefined);
    await once(server, 'listening');
    const client = connect({
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      ca,
      servername,
      minVersion: version,
      maxVersion: version,
    });
    try {
      await once(client, 'secureConnect');
      return client.getProtocol()!;
    } catch (thrown) {
      return (thrown as NodeJS.ErrnoException).code ?? String(thrown);
    } finally {
      client.destroy();
      server.close();
    }
  }

  it('is trusted under its CA, on TLS 1.2 and 1.3, by each of its names', async () => {
    assert.equal(await handshake(leaf, authority.certificate, 'localhost', 'TLSv1.2'), 'TLSv1.2');
    assert.equal(await handshake(leaf, authority.certificate, 'localhost', 'TLSv1.3'), 'TLSv1.3');
    assert.equal(await handshake(leaf, authority.certificate, 'a.shoal.svc', 'TLSv1.3'), 'TLSv1.3');
  });

  it('is trusted neither by another name, nor under another CA', async () => {
    assert.equal(
      await handshake(leaf, authority.certificate, 'other.example', 'TLSv1.3'),
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
    const stranger = await makeAuthority('Test CA, "quoted"', 10, Date.now());
    assert.match(
      await handshake(leaf, stranger.certificate, 'localhost', 'TLSv1.3'),
      /SIGNATURE|ISSUER|VERIFY/,
    );
  });

  it('is refused once it has ended', async () => {
    const old = await issueLeaf(authority, HOSTS, 5, Date.now() - 6 * DAY_MS);
    assert.equal(
      await handshake(old, authority.certificate, 'localhost', 'TLSv1.3'),
      'CERT_HAS_EXPIRED',
    );
  });

  it('may sign nothing itself', async () => {
    const forged = await issueLeaf(
      { certificate: leaf.certificate, key: leaf.key },
      ['localhost'],
      5,
      Date.now(),
    );
    assert.notEqual(
      await handshake(
        { certificate: forged.certificate + leaf.certificate, key: forged.key },
        authority.certificate,
        'localhost',
        'TLSv1.3',
      ),
      'TLSv1.3',
    );
    assert.equal(new X509Certificate(leaf.certificate).ca, false);
    assert.equal(new X509Certificate(authority.certificate).ca, true);
  });

  it('covers addresses as addresses', () => {
    const parsed = new X509Certificate(leaf.certificate);
    assert.equal(parsed.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(parsed.checkIP('::1'), '::1');
    assert.equal(parsed.checkHost('localhost'), 'localhost');
  });

  it('tells its hosts as they were given, and its end', () => {
    const { hosts, notAfterMs } = readLeaf(leaf.certificate);
    assert.deepEqual(hosts, HOSTS);
    assert.ok(Math.abs(notAfterMs - (Date.now() + 5 * DAY_MS)) < 60_000);
  });

  it('does not outlive its CA', async () => {
    const long = await issueLeaf(authority, HOSTS, 1_000, Date.now());
    assert.equal(readLeaf(long.certificate).notAfterMs, readLeaf(authority.certificate).notAfterMs);
  });

  it('gives no two certificates the same serial number, and none a negative one', async () => {
    const serials = await Promise.all(
      Array.from(
        { length: 5 },
        async () =>
          new X509Certificate((await issueLeaf(authority, ['a'], 1, Date.now())).certificate)
            .serialNumber,
      ),
    );
    assert.equal(new Set(serials).size, 5);
    assert.ok(
      serials.every((serial) => serial.length === 32 && Number.parseInt(serial[0]!, 16) < 8),
    );
  });
});
