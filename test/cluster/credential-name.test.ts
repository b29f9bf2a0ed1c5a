import assert from 'node:assert/strict';
import { CredentialNames } from '../../lib/cluster/credential-name.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { CREDENTIAL_NAMES_WAITING_MAX } from '../../lib/cluster/limits.ts';

const SECRET = Buffer.from('a secret of thirty-two characters');
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const TOKEN = `Bearer ${'a1'.repeat(40)}`;

describe('cluster/credential-name', () => {
  const names = (secret = SECRET): CredentialNames =>
    new CredentialNames(new ClusterSecret(secret));

  it('is equal on all nodes with the secret and differs by credential and secret', async () => {
    const [here, there, elsewhere] = [
      names(),
      names(),
      names(Buffer.from('another secret of as many characters')),
    ];
    for (const credential of [basic('alice:wonder'), TOKEN]) {
      assert.match((await here.of(credential))!, /^[0-9a-f]{64}$/);
      assert.equal(await here.of(credential), await there.of(credential));
      assert.notEqual(await here.of(credential), await elsewhere.of(credential));
    }
    assert.notEqual(await here.of(basic('alice:wonder')), await here.of(basic('alice:wonder2')));
    assert.deepEqual([await here.of(null), await here.of('')], ['anonymous', 'anonymous']);
  });

  it('is slow for passwords, fast for tokens, and computed once', async () => {
    const at = names();
    const timed = async (credential: string): Promise<number> => {
      const startMs = performance.now();
      await at.of(credential);
      return performance.now() - startMs;
    };
    const [slowMs, againMs, tokenMs] = [
      await timed(basic('alice:wonder')),
      await timed(basic('alice:wonder')),
      await timed(TOKEN),
    ];
    assert.ok(
      slowMs > 20 * againMs && slowMs > 20 * tokenMs,
      `${slowMs} ms, again ${againMs}, a token ${tokenMs}`,
    );
    assert.notEqual(
      await at.of('Bearer short'),
      new ClusterSecret(SECRET).opaqueName('token', 'Bearer short'),
      'a short token is as good as a password',
    );
  });

  it('returns null when too many computations are queued', async () => {
    const at = names();
    const waiting = Array.from({ length: CREDENTIAL_NAMES_WAITING_MAX }, () =>
      at.of(basic('alice:wonder')),
    );
    assert.equal(await at.of(basic('bob:builder')), null);
    assert.equal(new Set(await Promise.all(waiting)).size, 1);
    assert.notEqual(await at.of(basic('bob:builder')), null);
  });
});
