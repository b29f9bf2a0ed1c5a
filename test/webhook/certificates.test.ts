import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { X509Certificate } from 'node:crypto';
import {
  AUTHORITY_RENEW_BEFORE_MS,
  AUTHORITY_SETTLE_MS,
  AUTHORITY_VALID_DAYS,
  LEAF_RENEW_BEFORE_MS,
  LEAF_VALID_DAYS,
} from '../../lib/webhook/limits.ts';
import {
  caBundle,
  type CertificateSet,
  endMs,
  fromSecretData,
  renewedCertificates,
  toSecretData,
} from '../../lib/webhook/certificates.ts';

const NAMES = ['shoal-webhook.shoal.svc', '127.0.0.1'];
const NOW = Date.now();
const DAY_MS = 86_400_000;

const signedBy = (set: CertificateSet, index: number): boolean =>
  new X509Certificate(set.leaf.certificate).checkIssued(
    new X509Certificate(set.authorities[index]!.certificate),
  ) &&
  new X509Certificate(set.leaf.certificate).verify(
    new X509Certificate(set.authorities[index]!.certificate).publicKey,
  );

describe('the webhook certificate', () => {
  let made: CertificateSet;
  before(async () => {
    made = await renewedCertificates(null, NAMES, NOW);
  });

  it('is accepted by a TLS client that trusts only the bundle', async () => {
    const server = createServer(
      { cert: made.leaf.certificate, key: made.leaf.key },
      (_, response) => response.end('ok'),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const asked = request({
      port,
      host: '127.0.0.1',
      ca: caBundle(made),
      servername: NAMES[0],
      agent: false,
    }).end();
    const [response] = (await once(asked, 'response')) as [
      { statusCode: number; resume: () => void },
    ];
    assert.equal(response.statusCode, 200);
    response.resume();
    server.close();
    const leaf = new X509Certificate(made.leaf.certificate);
    assert.deepEqual(
      [
        leaf.checkHost('shoal-webhook.shoal.svc') !== undefined,
        leaf.checkIP('127.0.0.1') !== undefined,
        leaf.checkHost('other') === undefined,
      ],
      [true, true, true],
    );
    assert.deepEqual(
      [leaf.ca, new X509Certificate(made.authorities[0]!.certificate).ca],
      [false, true],
    );
  });

  it('is unchanged while nothing is due', async () => {
    assert.equal(await renewedCertificates(made, NAMES, NOW + AUTHORITY_SETTLE_MS), made);
    assert.equal(
      await renewedCertificates(
        made,
        NAMES,
        NOW + LEAF_VALID_DAYS * DAY_MS - LEAF_RENEW_BEFORE_MS - 1_000,
      ),
      made,
    );
  });

  it('renews its leaf well before the end, by the same authority', async () => {
    const later = NOW + LEAF_VALID_DAYS * DAY_MS - LEAF_RENEW_BEFORE_MS + 1_000;
    const renewed = await renewedCertificates(made, NAMES, later);
    assert.notEqual(renewed.leaf.certificate, made.leaf.certificate);
    assert.equal(caBundle(renewed), caBundle(made));
    assert.ok(endMs(renewed.leaf) > later + LEAF_RENEW_BEFORE_MS);
    assert.ok(signedBy(renewed, 0));
  });

  it('renews its leaf when its names change', async () => {
    const renewed = await renewedCertificates(made, [...NAMES, 'another.example.com'], NOW);
    assert.ok(new X509Certificate(renewed.leaf.certificate).checkHost('another.example.com'));
  });

  it('renews its authority in two steps: trusted first, signing later', async () => {
    const later = NOW + AUTHORITY_VALID_DAYS * DAY_MS - AUTHORITY_RENEW_BEFORE_MS + 1_000;
    const current = await renewedCertificates(made, NAMES, later - 2_000);
    const joined = await renewedCertificates(current, NAMES, later);
    assert.equal(joined.authorities.length, 2);
    assert.equal(joined.authorities[1], current.authorities[0]);
    assert.equal(
      joined.leaf.certificate,
      current.leaf.certificate,
      'the leaf in use is trusted by old and new bundle',
    );
    const early = await renewedCertificates(joined, NAMES, later + AUTHORITY_SETTLE_MS - 1_000);
    assert.equal(early, joined);
    const settled = await renewedCertificates(joined, NAMES, later + AUTHORITY_SETTLE_MS);
    assert.ok(signedBy(settled, 0) && !signedBy(settled, 1));
    assert.equal(caBundle(settled), caBundle(joined));
  });

  it('is not overwritten back and forth by replicas whose clocks differ', async () => {
    const joined = await renewedCertificates(made, NAMES, NOW + 1_000, 'authority');
    const ahead = await renewedCertificates(joined, NAMES, NOW + 1_000 + AUTHORITY_SETTLE_MS);
    assert.ok(
      signedBy(ahead, 0),
      'the replica whose clock is ahead goes over to the new authority',
    );
    assert.equal(
      await renewedCertificates(ahead, NAMES, NOW + 2_000),
      ahead,
      'and the other leaves it at that',
    );
  });

  it('is renewed when asked to', async () => {
    assert.notEqual(
      (await renewedCertificates(made, NAMES, NOW, 'leaf')).leaf.certificate,
      made.leaf.certificate,
    );
    const twice = await renewedCertificates(
      await renewedCertificates(made, NAMES, NOW, 'authority'),
      NAMES,
      NOW,
      'authority',
    );
    assert.equal(twice.authorities.length, 2, 'no bundle grows without end');
    assert.ok(
      [0, 1].some((index) => signedBy(twice, index)),
      'and the leaf is never left without its authority',
    );
  });

  it('round-trips through a Secret; a damaged Secret counts as none', () => {
    const data = toSecretData(made);
    assert.deepEqual(fromSecretData(data), made);
    for (const damage of [
      undefined,
      {},
      { ...data, 'tls.crt': 'eA==' },
      { ...data, 'tls.key': '' },
      { ...data, 'ca-0.crt': 'bm8=' },
    ])
      assert.equal(fromSecretData(damage), null);
  });
});
