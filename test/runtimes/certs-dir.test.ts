import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CertsDir } from '../../lib/runtimes/certs-dir.ts';
import { readHosts } from '../../lib/runtimes/hosts-toml.ts';
import { Crash, crashingDisk } from './broken-disk.ts';
import { ownFolder, snapshot } from './folder.ts';

const MIRROR = { url: 'http://127.0.0.1:65001', ca: null };
const REGISTRY = 'registry.example:5000';

describe('certs.d', () => {
  const folder = ownFolder();
  const root = (): string => join(folder(), 'etc/certs.d');
  const put = (registry: string, text: string, name = 'hosts.toml'): string => {
    mkdirSync(join(root(), registry), { recursive: true });
    writeFileSync(join(root(), registry, name), text);
    return join(root(), registry, name);
  };
  const hosts = (registry: string): string[] =>
    readHosts(readFileSync(join(root(), registry, 'hosts.toml'), 'utf8')).hosts;

  const before: [what: string, make: () => void][] = [
    ['nothing', () => undefined],
    ['an empty folder', () => mkdirSync(root(), { recursive: true })],
    ['another registry', () => void put('other.example', 'server = "https://other.example"\n')],
    ['a folder with certificates', () => void put(REGISTRY, 'PEM', 'ca.crt')],
    [
      'a hosts.toml',
      () => chmodSync(put(REGISTRY, '# mine\r\n[host."https://m.example"]\r\n'), 0o600),
    ],
    ['an empty hosts.toml', () => void put(REGISTRY, '')],
    [
      'one that nothing can be added to',
      () => void put(REGISTRY, 'host = { "https://m.example" = {} }\n'),
    ],
    [
      'one in the folder containerd looks for first',
      () => void put('registry.example_5000_', '[host."https://m.example"]\n'),
    ],
    [
      'a symlink',
      () => {
        const real = put(REGISTRY, '[host."https://m.example"]\n', 'real.toml');
        symlinkSync(real, join(root(), REGISTRY, 'hosts.toml'));
      },
    ],
    [
      'a folder that is a symlink',
      () => {
        put('shared', '[host."https://m.example"]\n');
        symlinkSync('shared', join(root(), REGISTRY));
      },
    ],
  ];
  for (const [what, make] of before) {
    it(`${what}: configured, configured again, restored, restored again`, () => {
      make();
      const original = snapshot(folder());
      const certs = new CertsDir(root());
      const change = certs.configure(REGISTRY, MIRROR);
      assert.equal(change.changed, true);
      assert.equal(change.by, 'shoal');
      assert.equal(change.hosts[0], MIRROR.url);
      assert.equal(
        [...change.hosts, ...change.dropped].includes('https://m.example'),
        what.includes('hosts.toml') ? what === 'a hosts.toml' : /one |symlink/.test(what),
      );
      const configured = snapshot(folder());
      assert.equal(certs.configure(REGISTRY, MIRROR).changed, false);
      assert.deepEqual(snapshot(folder()), configured);
      assert.equal(
        certs.configure(REGISTRY, { url: 'https://127.0.0.1:65001', ca: '/x.pem' }).hosts[0],
        'https://127.0.0.1:65001',
      );
      assert.equal(certs.restore(REGISTRY).changed, true);
      assert.deepEqual(snapshot(folder()), original);
      assert.equal(certs.restore(REGISTRY).changed, false);
      assert.deepEqual(snapshot(folder()), original);
    });

    it(`${what}: a run ended at any step is made good by the next`, () => {
      make();
      const certs = new CertsDir(root());
      const original = snapshot(folder());
      let crashes = 0;
      for (
        let steps = 0;
        ends(() => new CertsDir(root(), crashingDisk(steps)).configure(REGISTRY, MIRROR));
        steps++
      ) {
        crashes++;
        certs.configure(REGISTRY, MIRROR);
        assert.equal(certs.status(REGISTRY).hosts[0], MIRROR.url);
        certs.restore(REGISTRY);
        // Empty folders of a run that was ended before it could note them stay.
        assert.deepEqual(files(snapshot(folder())), files(original));
      }
      assert.ok(crashes >= 2);
      for (
        let steps = 0;
        ends(() => new CertsDir(root(), crashingDisk(steps)).restore(REGISTRY));
        steps++
      ) {
        certs.restore(REGISTRY);
        assert.deepEqual(files(snapshot(folder())), files(original));
        certs.configure(REGISTRY, MIRROR);
      }
      assert.deepEqual(files(snapshot(folder())), files(original));
    });
  }

  it('leaves no directory behind when several registries are restored in any order', () => {
    for (const order of [
      ['a.example', 'b.example'],
      ['b.example', 'a.example'],
    ]) {
      const certs = new CertsDir(root());
      certs.configure('a.example', MIRROR);
      certs.configure('b.example', MIRROR);
      assert.deepEqual(certs.registries(), ['a.example', 'b.example']);
      for (const registry of order) certs.restore(registry);
      assert.deepEqual(snapshot(folder()), []);
    }
  });

  it('restores where the disk is mounted elsewhere', () => {
    new CertsDir(root()).configure('a.example', MIRROR);
    renameSync(join(folder(), 'etc'), join(folder(), 'host'));
    new CertsDir(join(folder(), 'host/certs.d')).restore('a.example');
    assert.deepEqual(snapshot(folder()), []);
  });

  it('ignores recorded paths that are not parent directories', () => {
    mkdirSync(join(folder(), 'etc/victim'), { recursive: true });
    const certs = new CertsDir(root());
    certs.configure('a.example', MIRROR);
    const path = join(root(), 'a.example/hosts.toml');
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(
        /# shoal: made \.\n/,
        '# shoal: made ../../victim\n# shoal: made .\n',
      ),
    );
    certs.restore('a.example');
    assert.deepEqual(
      snapshot(folder()).map((line) => line.split(' ')[0]),
      ['etc', 'etc/victim'],
    );
  });

  it('keeps files that other programs added meanwhile', () => {
    const certs = new CertsDir(root());
    certs.configure('a.example', MIRROR);
    put('a.example', 'PEM', 'ca.crt');
    certs.restore('a.example');
    assert.deepEqual(
      snapshot(folder()).map((line) => line.split(' ')[0]),
      ['etc', 'etc/certs.d', 'etc/certs.d/a.example', 'etc/certs.d/a.example/ca.crt'],
    );
  });

  it('does not treat a file that already points at the node as its own', () => {
    put(REGISTRY, `[host."${MIRROR.url}"]\n`);
    const original = snapshot(folder());
    const certs = new CertsDir(root());
    assert.deepEqual(
      [certs.configure(REGISTRY, MIRROR).changed, certs.status(REGISTRY).by],
      [false, 'other'],
    );
    certs.restore(REGISTRY);
    assert.deepEqual(snapshot(folder()), original);
  });

  it('reports the default hosts that a registry loses by having its own directory', () => {
    put('_default', '[host."https://m.example"]\n');
    const certs = new CertsDir(root());
    assert.deepEqual(certs.configure('a.example', MIRROR).dropped, ['https://m.example']);
    certs.configure('_default', MIRROR);
    assert.deepEqual(hosts('_default'), [MIRROR.url, 'https://m.example']);
    assert.deepEqual(certs.configure('b.example', MIRROR).dropped, ['https://m.example']);
  });

  it('does not overwrite a file that another program changed', () => {
    put(REGISTRY, '[host."https://m.example"]\n');
    const certs = new CertsDir(root());
    certs.configure(REGISTRY, MIRROR);
    const path = put(REGISTRY, 'server = "https://new.example"\n');
    assert.throws(() => certs.restore(REGISTRY), {
      code: 'FILE_UNUSABLE',
      message:
        `${path}: changed by another program since Shoal wrote it; the content before ` +
        `Shoal is in ${path}.shoal-backup: compare the two, then remove the backup`,
    });
    assert.equal(readFileSync(path, 'utf8'), 'server = "https://new.example"\n');
    certs.configure(REGISTRY, MIRROR);
    certs.restore(REGISTRY);
    assert.equal(readFileSync(path, 'utf8'), 'server = "https://new.example"\n');
  });

  it('reports a missing backup', () => {
    const path = put(REGISTRY, '[host."https://m.example"]\n');
    const certs = new CertsDir(root());
    certs.configure(REGISTRY, MIRROR);
    unlinkSync(`${path}.shoal-backup`);
    const configured = snapshot(folder());
    for (const use of [() => certs.restore(REGISTRY), () => certs.configure(REGISTRY, MIRROR)]) {
      assert.throws(use, {
        code: 'FILE_UNUSABLE',
        message: `${path}: its backup ${path}.shoal-backup is missing`,
      });
    }
    assert.deepEqual(snapshot(folder()), configured);
  });

  it('reports a damaged file in one line and leaves it unchanged', () => {
    for (const text of ['[host', 'server = 1\n']) {
      const path = put(REGISTRY, text);
      const certs = new CertsDir(root());
      assert.throws(
        () => certs.configure(REGISTRY, MIRROR),
        (error: Error & { code: string }) =>
          error.code === 'FILE_UNUSABLE' && error.message.startsWith(`${path}: `),
      );
      assert.equal(readFileSync(path, 'utf8'), text);
      assert.equal(existsSync(`${path}.shoal-backup`), false);
    }
    writeFileSync(join(folder(), 'file'), '');
    assert.throws(
      () => new CertsDir(join(folder(), 'file')).configure(REGISTRY, MIRROR),
      /not a directory/,
    );
  });
});

function files(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.endsWith(' /'));
}

function ends(work: () => unknown): boolean {
  try {
    work();
    return false;
  } catch (error) {
    for (let at: unknown = error; at instanceof Error; at = at.cause)
      if (at instanceof Crash) return true;
    throw error;
  }
}
