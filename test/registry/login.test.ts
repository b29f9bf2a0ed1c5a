import assert from 'node:assert/strict';
import { RegistryLogin, type Send } from '../../lib/registry/login.ts';

const REALM = 'https://tokens.example/token';
const BASIC = `Basic ${Buffer.from('u:p').toString('base64')}`;

interface Asked {
  url: string;
  authorization: string | undefined;
  form: string | undefined;
}

type Answer = { status: number; location?: string; body?: unknown };

/** A login whose token server gives these answers in turn. */
function login(answers: readonly Answer[], identityToken?: string) {
  const asked: Asked[] = [];
  const send: Send = async (url, { authorization }, form) => {
    const { status, location, body } = answers[asked.length]!;
    asked.push({ url: url.href, authorization, form: form?.toString() });
    const headers = location === undefined ? {} : { location };
    return {
      statusCode: status,
      headers,
      body: { json: async () => body, dump: async () => undefined },
    };
  };
  const credentials = {
    username: 'u',
    password: 'p',
    ...(identityToken === undefined ? {} : { identityToken }),
  };
  const session = new RegistryLogin(credentials, send);
  const challenge = { headers: { 'www-authenticate': `Bearer realm="${REALM}",service="s"` } };
  return { asked, session, answer: () => session.challenged(challenge, null, 'a/b', false) };
}

describe('registry/login', () => {
  it('takes the token that is not empty', async () => {
    for (const body of [{ token: 't' }, { access_token: 't' }, { token: '', access_token: 't' }]) {
      const { session, answer } = login([{ status: 200, body }]);
      assert.ok(await answer());
      assert.equal(session.authorization, 'Bearer t');
    }
    const { answer } = login([{ status: 200, body: { token: '', access_token: '' } }]);
    await assert.rejects(answer(), { code: 'ORIGIN_BROKEN' });
  });

  it('follows redirects of a token server; the password goes to its own origin only', async () => {
    const { asked, session, answer } = login([
      { status: 307, location: '/v2/token?x=1' },
      { status: 302, location: 'https://other.example/token' },
      { status: 200, body: { token: 't' } },
    ]);
    assert.ok(await answer());
    assert.equal(session.authorization, 'Bearer t');
    const [, second, third] = asked;
    assert.deepEqual(second, {
      url: 'https://tokens.example/v2/token?x=1',
      authorization: BASIC,
      form: undefined,
    });
    assert.deepEqual(third, {
      url: 'https://other.example/token',
      authorization: undefined,
      form: undefined,
    });
  });

  it('sends a form again to the same origin only, and follows no endless redirects', async () => {
    const location = '/elsewhere';
    const same = login(
      [
        { status: 308, location },
        { status: 200, body: { token: 't' } },
      ],
      'id',
    );
    assert.ok(await same.answer());
    assert.equal(same.asked[1]!.form, same.asked[0]!.form);
    for (const answers of [
      [{ status: 307, location: 'https://other.example/token' }],
      [{ status: 302, location }],
    ]) {
      const { answer } = login(answers, 'id');
      await assert.rejects(answer(), { code: 'ORIGIN_REFUSED' });
    }
    const endless = login(Array.from({ length: 9 }, () => ({ status: 302, location })));
    await assert.rejects(endless.answer(), { code: 'ORIGIN_REFUSED' });
  });
});
