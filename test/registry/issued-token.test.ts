import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { issuedTo } from '../../lib/registry/issued-token.ts';
import { issueCertificate } from '../origin/certificate.ts';

const WALL_MS = 1_700_000_000_000;
const SECONDS = WALL_MS / 1000;
const REPOSITORY = 'team/app';

describe('registry/issued-token', () => {
  let issuer: Awaited<ReturnType<typeof issueCertificate>>;
  let stranger: typeof issuer;
  before(async () => {
    [issuer, stranger] = await Promise.all([
      issueCertificate('issuer'),
      issueCertificate('issuer'),
    ]);
  });

  const chainOf = ({ certPem }: typeof issuer): string[] => [
    certPem.replace(/-----[A-Z ]+-----|\s/g, ''),
  ];
  const claims = {
    iss: 'issuer',
    sub: 'alice',
    aud: 'registry',
    exp: SECONDS + 300,
    nbf: SECONDS - 10,
    iat: SECONDS,
    access: [{ type: 'repository', name: REPOSITORY, actions: ['pull'] }],
  };

  function token(
    change: { header?: object; claims?: object; signer?: typeof issuer } = {},
  ): string {
    const header = { typ: 'JWT', alg: 'ES256', x5c: chainOf(issuer), ...change.header };
    const signed = [header, { ...claims, jti: String(Math.random()), ...change.claims }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(signed), {
      key: createPrivateKey((change.signer ?? issuer).keyPem),
      dsaEncoding: 'ieee-p1363',
    });
    return `Bearer ${signed}.${signature.toString('base64url')}`;
  }
  const read = (
    authorization: string,
    repository = REPOSITORY,
    wallMs = WALL_MS,
  ): Promise<string[] | null> => issuedTo(authorization, repository, wallMs);

  it('is one for all tokens of a client; differs by client, audience, issuer and key', async () => {
    const known = await read(token());
    assert.deepEqual(known?.slice(1), ['issuer', '"registry"', 'alice']);
    assert.deepEqual(
      await read(token({ claims: { exp: SECONDS + 900, iat: SECONDS - 1 } })),
      known,
    );
    for (const other of [
      token({ claims: { sub: 'bob' } }),
      token({ claims: { aud: 'other' } }),
      token({ claims: { aud: ['registry', 'other'] } }),
      token({ claims: { iss: 'other' } }),
      token({ header: { x5c: chainOf(stranger) }, signer: stranger }),
    ]) {
      const named = await read(other);
      assert.notEqual(named, null);
      assert.notDeepEqual(named, known);
    }
  });

  it('refuses a token with a wrong signature, time or repository', async () => {
    const whole = token();
    const [header, payload, signature] = whole.slice('Bearer '.length).split('.') as [
      string,
      string,
      string,
    ];
    const altered = Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url');
    const shared = { typ: 'JWT', alg: 'HS256', x5c: chainOf(issuer) };
    const hmacInput = [shared, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const noAlgorithm = { typ: 'JWT', alg: 'none', x5c: chainOf(issuer) };
    const unsigned = Buffer.from(JSON.stringify(noAlgorithm)).toString('base64url');
    const wrong: Record<string, string> = {
      altered: `Bearer ${header}.${altered}.${signature}`,
      cut: `Bearer ${header}.${payload}.`,
      'another key': token({ signer: stranger }),
      'no key': token({ header: { x5c: undefined } }),
      'a key that is none': token({ header: { x5c: ['AAAA'] } }),
      'no algorithm': `Bearer ${unsigned}.${payload}.`,
      'the certificate as a shared key':
        'Bearer ' +
        `${hmacInput}.` +
        createHmac('sha256', issuer.certPem).update(hmacInput).digest('base64url'),
      expired: token({ claims: { exp: SECONDS - 1 } }),
      'for ever': token({ claims: { exp: undefined } }),
      'not yet': token({ claims: { nbf: SECONDS + 60 } }),
      'of nobody': token({ claims: { sub: undefined } }),
      'to push': token({
        claims: { access: [{ type: 'repository', name: REPOSITORY, actions: ['push'] }] },
      }),
      'another repository': token({
        claims: { access: [{ type: 'repository', name: 'team/other', actions: ['pull'] }] },
      }),
      'the catalog': token({
        claims: { access: [{ type: 'registry', name: REPOSITORY, actions: ['pull'] }] },
      }),
      nothing: token({ claims: { access: [null, 1] } }),
      opaque: 'Bearer abcdef',
      basic: whole.replace('Bearer', 'Basic'),
    };
    for (const [what, authorization] of Object.entries(wrong))
      assert.equal(await read(authorization), null, what);
    assert.equal(await read(whole, 'team/application'), null);
    assert.equal(await read(whole, REPOSITORY, WALL_MS + 301_000), null);
    assert.notEqual(
      await read(
        token({
          claims: {
            access: [
              { type: 'repository', name: 'x', actions: [] },
              { type: 'repository', name: REPOSITORY, actions: ['push', '*'] },
            ],
          },
        }),
      ),
      null,
    );
  });
});
