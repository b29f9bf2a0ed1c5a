import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { withMirror, withoutMirror } from '../../lib/runtimes/docker-daemon.ts';
import { DockerFile } from '../../lib/runtimes/docker-file.ts';
import { dropInFor, dropInName, isDropIn } from '../../lib/runtimes/podman-registries.ts';
import { parseToml } from '../../lib/runtimes/toml-text.ts';
import { ownFolder, snapshot } from './folder.ts';
import { jsonTexts, objectsWithout, read } from './layouts.ts';

const MIRROR = 'http://127.0.0.1:65001';

describe("Docker's daemon.json", () => {
  const folder = ownFolder();
  const edits: [what: string, before: string | null, after: string][] = [
    ['no file', null, `{\n  "registry-mirrors": ["${MIRROR}"]\n}\n`],
    [
      'no mirrors',
      '{\n\t"debug": true\n}\n',
      `{\n\t"debug": true,\n\t"registry-mirrors": ["${MIRROR}"]\n}\n`,
    ],
    [
      'one',
      '{"registry-mirrors": ["https://m.example"]}',
      `{"registry-mirrors": ["${MIRROR}", "https://m.example"]}`,
    ],
    [
      'several, a line each',
      '{\r\n  "registry-mirrors": [\r\n    "a",\r\n    "b"\r\n  ]\r\n}',
      `{\r\n  "registry-mirrors": [\r\n    "${MIRROR}",\r\n    "a",\r\n    "b"\r\n  ]\r\n}`,
    ],
    ['an empty list', '{"registry-mirrors": []}', `{"registry-mirrors": ["${MIRROR}"]}`],
  ];
  for (const [what, before, after] of edits) {
    it(`${what}: in, again, and out`, () => {
      assert.equal(withMirror(before, MIRROR), after);
      assert.equal(withMirror(after, MIRROR), after);
      assert.equal(withoutMirror(after, MIRROR, before), before);
    });
  }

  it('adds the mirror first in any document, changes nothing else, and removes it again', () => {
    const documents = fc
      .tuple(
        objectsWithout('registry-mirrors'),
        fc.option(fc.array(fc.webUrl(), { maxLength: 4 }), { nil: undefined }),
      )
      .map(([rest, mirrors]) =>
        mirrors === undefined ? rest : { ...rest, 'registry-mirrors': mirrors },
      );
    fc.assert(
      fc.property(jsonTexts(documents), (text) => {
        const on = withMirror(text, MIRROR);
        const old = (read(text)['registry-mirrors'] ?? []) as string[];
        assert.deepEqual(read(on), { ...read(text), 'registry-mirrors': [MIRROR, ...old] });
        assert.equal(withoutMirror(on, MIRROR, text), text);
        // Without the way back by comparison: the mirror is found and taken out.
        const left = read(withoutMirror(`${on} `, MIRROR, null) ?? '{}');
        assert.deepEqual(
          { 'registry-mirrors': [], ...left },
          { ...read(text), 'registry-mirrors': old },
        );
      }),
    );
  });

  it('refuses what it cannot add to', () => {
    for (const text of ['{"registry-mirrors": "x"}', '[]', '{'])
      assert.throws(() => withMirror(text, MIRROR), { code: 'FILE_UNUSABLE' });
  });

  it('on the disk: creates and removes, or changes and restores', () => {
    const path = join(folder(), 'daemon.json');
    const file = new DockerFile(path);
    assert.equal(file.restore(MIRROR), false);
    assert.equal(file.configure(MIRROR), true);
    assert.equal(file.configure(MIRROR), false);
    assert.equal(file.restore(MIRROR), true);
    assert.deepEqual(snapshot(folder()), []);
    writeFileSync(path, '{"debug":true}', { mode: 0o600 });
    const before = snapshot(folder());
    file.configure(MIRROR);
    assert.equal(readFileSync(`${path}.shoal-backup`, 'utf8'), '{"debug":true}');
    file.restore(MIRROR);
    assert.deepEqual(snapshot(folder()), before);
    writeFileSync(path, '{,}');
    assert.throws(() => file.configure(MIRROR), {
      message: `${path}: not JSON: value expected (line 1, column 2); nothing was changed`,
    });
    assert.equal(existsSync(`${path}.shoal-backup`), false);
  });
});

describe("Podman's registries.conf.d", () => {
  it('asks the mirror first, then the registry', () => {
    const text = dropInFor('registry.example:5000', MIRROR);
    const registry = {
      prefix: 'registry.example:5000',
      location: 'registry.example:5000',
      mirror: [{ location: '127.0.0.1:65001', insecure: true }],
    };
    assert.deepEqual(parseToml(text), { registry: [registry] });
    assert.deepEqual(parseToml(dropInFor('a.example', 'https://node.example')), {
      registry: [
        { prefix: 'a.example', location: 'a.example', mirror: [{ location: 'node.example' }] },
      ],
    });
    assert.deepEqual([isDropIn(text), isDropIn(`# mine\n${text}`)], [true, false]);
    assert.deepEqual(
      [dropInName('registry.example:5000'), dropInName('[::1]:5000')],
      ['50-shoal-registry.example_5000.conf', '50-shoal-___1__5000.conf'],
    );
  });
});
