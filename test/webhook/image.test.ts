import assert from 'node:assert/strict';
import fc from 'fast-check';
import { imageAt, parseImage } from '../../lib/webhook/image.ts';

const sha = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('image references', () => {
  const parsed: [image: string, host: string, repository: string, suffix: string][] = [
    ['nginx', 'docker.io', 'library/nginx', ''],
    ['nginx:1.27', 'docker.io', 'library/nginx', ':1.27'],
    ['bitnami/nginx', 'docker.io', 'bitnami/nginx', ''],
    [`nginx@${sha}`, 'docker.io', 'library/nginx', `@${sha}`],
    ['docker.io/nginx', 'docker.io', 'library/nginx', ''],
    ['index.docker.io/library/nginx:1', 'docker.io', 'library/nginx', ':1'],
    ['localhost/app', 'localhost', 'app', ''],
    ['localhost:5000/a/b/c:t', 'localhost:5000', 'a/b/c', ':t'],
    ['Registry.Example.COM/app:v1', 'registry.example.com', 'app', ':v1'],
    ['registry.example.com:5000/app', 'registry.example.com:5000', 'app', ''],
    [`registry.example.com/app:v1@${sha}`, 'registry.example.com', 'app', `:v1@${sha}`],
    ['10.0.0.1:5000/app', '10.0.0.1:5000', 'app', ''],
    ['[fd00::1]:5000/app:x', '[fd00::1]:5000', 'app', ':x'],
    [
      'registry.example.com/a__b/c-d/e.f:T_1.2-3',
      'registry.example.com',
      'a__b/c-d/e.f',
      ':T_1.2-3',
    ],
  ];
  for (const [image, host, repository, suffix] of parsed) {
    it(`takes ${image.slice(0, 60)} apart`, () =>
      assert.deepEqual(parseImage(image), { host, repository, suffix }));
  }

  const refused = [
    '',
    ' ',
    '/',
    ':tag',
    'nginx:',
    'nginx@',
    'nginx@sha256:abc',
    'nginx:ta g',
    'Nginx',
    'a//b',
    '/nginx',
    'nginx/',
    'registry.example.com/',
    'registry.example.com/App',
    'registry.example.com/a___b',
    'registry.example.com/-a',
    'registré.example.com/app',
    'registry.example.com/äpp',
    '例え.jp/app',
    '-bad.example.com/app',
    'registry.example.com:port/app',
    'http://registry.example.com/app',
    'registry.example.com/app?x=1',
    `registry.example.com/${'a'.repeat(300)}`,
    'a'.repeat(5000),
    'nginx\n',
    'nginx:1\u0000',
  ];
  for (const image of refused) {
    it(`takes ${JSON.stringify(image.slice(0, 40))} for no reference`, () =>
      assert.equal(parseImage(image), null));
  }

  it('round-trips any reference with a host', () => {
    const label = fc.stringMatching(/^[a-z0-9]{1,10}$/);
    const parts = fc.tuple(
      fc.array(label, { minLength: 2, maxLength: 4 }),
      fc.array(label, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('', ':v1', `@${sha}`, `:v1@${sha}`),
    );
    fc.assert(
      fc.property(parts, ([labels, path, suffix]) => {
        const image = `${labels.join('.')}/${path.join('/')}${suffix}`;
        const reference = parseImage(image);
        assert.ok(reference !== null);
        assert.equal(imageAt(reference.host, reference), image);
      }),
    );
  });

  it('parses any text in bounded time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => void parseImage(text)),
    );
    const startMs = performance.now();
    for (const piece of ['a-', 'a.', '_', '-', 'a/', ':', '@', '0']) parseImage(piece.repeat(500));
    assert.ok(performance.now() - startMs < 200);
  });

  it('does not build a name longer than runtimes accept', () => {
    const reference = parseImage(`r.example.com/${'a'.repeat(230)}:v1`);
    assert.ok(reference !== null);
    assert.equal(imageAt('a-much-longer-host-name.distributed.example.com:65001', reference), null);
    assert.equal(imageAt('r2.example.com', reference), `r2.example.com/${'a'.repeat(230)}:v1`);
  });
});
