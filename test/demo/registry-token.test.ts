import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { TokenIssuer } from '../../lib/demo/registry-token.ts';

describe('the embedded token server', () => {
  const clock = new ManualClock();
  const issuer = new TokenIssuer(clock);
  const { username, password } = issuer.credentials;
  const basic = (user: string, pass: string): string =>
    `Basic ${Buffer.from(`${user}:${pass}`).toString('base64')}`;
  const bearer = (scope: string | null): string =>
    `Bearer ${issuer.issue(basic(username, password), scope)!.token}`;

  it('refuses unknown clients', () => {
    for (const authorization of [
      undefined,
      '',
      basic(username, ''),
      basic(username, `${password}x`),
      basic('other', password),
    ]) {
      assert.equal(issuer.issue(authorization, 'repository:a:pull'), null);
    }
  });

  it('grants only the requested repository', () => {
    const token = bearer('repository:a/b:push,pull');
    assert(issuer.accepts(token, 'a/b'));
    assert(issuer.accepts(token, null));
    assert(!issuer.accepts(token, 'a'));
    assert(!issuer.accepts(bearer('repository:a:push'), 'a'));
    assert(!issuer.accepts(bearer(null), 'a'));
  });

  it('refuses tokens of other signers and of other registries', () => {
    const token = bearer('repository:a:pull');
    const forged =
      'Bearer ' +
      `${Buffer.from(JSON.stringify(['a', 9e15])).toString('base64url')}.${token.split('.')[1]}`;
    for (const authorization of [undefined, 'Bearer', 'Bearer x.y', forged, token.slice(0, -1)])
      assert(!issuer.accepts(authorization, 'a'));
    assert(!new TokenIssuer(clock).accepts(token, 'a'));
  });

  it('expires a token at the announced time', () => {
    const { token, expiresInSeconds } = issuer.issue(
      basic(username, password),
      'repository:a:pull',
    )!;
    clock.advance(expiresInSeconds * 1_000 - 1);
    assert(issuer.accepts(`Bearer ${token}`, 'a'));
    clock.advance(1);
    assert(!issuer.accepts(`Bearer ${token}`, 'a'));
  });
});
