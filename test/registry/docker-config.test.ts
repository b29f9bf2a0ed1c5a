import assert from 'node:assert/strict';
import {
  credentialsFor,
  helperCredentials,
  parseDockerConfig,
} from '../../lib/registry/docker-config.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const found = (config: object, host: string, repository = 'a/b') =>
  credentialsFor(parseDockerConfig(JSON.stringify(config)), host, repository);

describe('registry/docker-config', () => {
  const auth = base64('u:p:q');
  const credentials = { username: 'u', password: 'p:q' };
  const cases: [what: string, auths: object, host: string][] = [
    ['a name', { 'r.example:5000': { auth } }, 'r.example:5000'],
    ['a URL', { 'https://r.example/v1/': { auth } }, 'r.example'],
    ['a name with the version of the API', { 'r.example/v2/': { auth } }, 'r.example'],
    ['another case', { 'R.example': { auth } }, 'r.EXAMPLE'],
    ["Docker Hub's old URL", { 'https://index.docker.io/v1/': { auth } }, 'registry-1.docker.io'],
    ["Docker Hub's name", { 'docker.io': { auth } }, 'docker.io'],
    ['user and password apart', { r: { username: 'u', password: 'p:q' } }, 'r'],
    ['padding by zero bytes', { r: { auth: base64('u:p:q\0\0') } }, 'r'],
  ];
  for (const [what, auths, host] of cases)
    it(`reads ${what}`, () => assert.deepEqual(found({ auths }, host), credentials));

  it('takes the entry with the longest path of a repository', () => {
    const auths = {
      'r.example': { auth: base64('all:1') },
      'r.example/team': { auth: base64('team:2') },
      'r.example/team/app': { auth: base64('app:3') },
    };
    const user = (repository: string) => found({ auths }, 'r.example', repository)?.username;
    assert.deepEqual(['team/app', 'team/application', 'team', 'other'].map(user), [
      'app',
      'team',
      'team',
      'all',
    ]);
    assert.equal(found({ auths }, 'r.example:5000'), null);
  });

  it('reads identity tokens, and old files with the entries at the top', () => {
    const token = { auth: base64('00000000:'), identitytoken: 'refresh' };
    assert.equal(found({ auths: { r: token } }, 'r')?.identityToken, 'refresh');
    assert.deepEqual(found({ r: { auth, email: 'x@example' } }, 'r'), credentials);
    assert.deepEqual(helperCredentials('<token>', 'refresh').identityToken, 'refresh');
    assert.deepEqual(helperCredentials('u', 'p'), { username: 'u', password: 'p' });
  });

  it('reads which helpers to ask', () => {
    const config = parseDockerConfig(
      '{"credsStore":"desktop","credHelpers":{"https://index.docker.io/v1/":"hub","r":"own"}}',
    );
    assert.equal(config.store, 'desktop');
    assert.equal(config.helpers.get('r'), 'own');
  });

  it('passes over entries without credentials', () => {
    for (const entry of [{}, { auth: '' }, { auth: base64('nocolon') }, null, 'x'])
      assert.equal(found({ auths: { r: entry } }, 'r'), null);
  });

  for (const [text, reason] of [
    ['{', 'it is not JSON'],
    ['[]', 'it is not a JSON object'],
    ['{"auths":[]}', 'its "auths" is not an object'],
    ['{"credsStore":"../x"}', 'it names a credential helper that is none'],
  ] as const)
    it(`refuses ${text}: ${reason}`, () =>
      assert.throws(() => parseDockerConfig(text), { message: reason }));
});
