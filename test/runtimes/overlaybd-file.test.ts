import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemDisk, type Disk } from '../../lib/runtimes/disk.ts';
import { enableP2p } from '../../lib/runtimes/overlaybd.ts';
import { OverlaybdFile } from '../../lib/runtimes/overlaybd-file.ts';
import { OVERLAYBD_ADDRESS } from '../../lib/runtimes/places.ts';
import { Crash, crashingDisk, failingDisk } from './broken-disk.ts';
import { ownFolder, snapshot } from './folder.ts';

const goldenPath = fileURLToPath(new URL('../golden/overlaybd.json', import.meta.url));
const golden = readFileSync(goldenPath, 'utf8');

describe('overlaybd.json: the file', () => {
  const folder = ownFolder();
  const path = (): string => join(folder(), 'overlaybd.json');
  const text = (): string => readFileSync(path(), 'utf8');

  it('enable and disable restore content, mode and owner', () => {
    copyFileSync(goldenPath, path());
    chmodSync(path(), 0o640);
    if (process.getuid?.() === 0) chownSync(path(), 1, 2);
    const before = snapshot(folder());
    const file = new OverlaybdFile(path());
    assert.deepEqual(file.enable(null), {
      file: path(),
      enabled: true,
      address: 'https://localhost:65001/accelerator',
      backup: `${path()}.shoal-backup`,
      changed: true,
    });
    const [now, backup] = [statSync(path()), statSync(`${path()}.shoal-backup`)];
    for (const stat of [now, backup])
      assert.deepEqual(
        [stat.mode & 0o7777, stat.uid],
        [0o640, process.getuid?.() === 0 ? 1 : now.uid],
      );
    assert.equal(
      text(),
      golden.replace('"enable": false,\n    "address"', '"enable": true,\n    "address"'),
    );
    assert.equal(file.disable().changed, true);
    assert.deepEqual(snapshot(folder()), before);
  });

  it('is idempotent and backs up the first state, not the last', () => {
    writeFileSync(path(), '{"a":1}');
    const file = new OverlaybdFile(path());
    assert.equal(file.enable(null).address, OVERLAYBD_ADDRESS);
    const on = snapshot(folder());
    assert.equal(file.enable(null).changed, false);
    assert.deepEqual(snapshot(folder()), on);
    assert.equal(
      file.enable('http://10.0.0.7:65001/dadip2p').address,
      'http://10.0.0.7:65001/dadip2p',
    );
    assert.equal(readFileSync(`${path()}.shoal-backup`, 'utf8'), '{"a":1}');
    file.disable();
    assert.equal(text(), '{"a":1}');
    assert.equal(file.disable().changed, false);
    assert.equal(text(), '{"a":1}');
  });

  it('follows a symlink, which stays one', () => {
    mkdirSync(join(folder(), 'real'));
    writeFileSync(join(folder(), 'real/config'), golden);
    symlinkSync('real/config', path());
    new OverlaybdFile(path()).enable(null);
    assert.equal(lstatSync(path()).isSymbolicLink(), true);
    assert.match(
      readFileSync(join(folder(), 'real/config'), 'utf8'),
      /"enable": true,\n {4}"address"/,
    );
    new OverlaybdFile(path()).disable();
    assert.equal(lstatSync(path()).isSymbolicLink(), true);
    assert.equal(readFileSync(join(folder(), 'real/config'), 'utf8'), golden);
    assert.equal(existsSync(`${path()}.shoal-backup`), false);
  });

  it("keeps another address than this node's only when it is told to", () => {
    for (const [found, chosen] of [
      ['http://127.0.0.1:65001/dart', 'http://127.0.0.1:65001/dart'],
      ['http://localhost:9731/dadip2p', OVERLAYBD_ADDRESS],
      ['http://other:65001/x', OVERLAYBD_ADDRESS],
      ['', OVERLAYBD_ADDRESS],
    ]) {
      writeFileSync(path(), JSON.stringify({ p2pConfig: { enable: false, address: found } }));
      const file = new OverlaybdFile(path());
      assert.equal(file.enable(null).address, chosen);
      file.disable();
    }
  });

  const forms: [what: string, bytes: Buffer][] = [
    ['CRLF', Buffer.from(golden.replaceAll('\n', '\r\n'))],
    ['a byte order mark', Buffer.from(`\uFEFF${golden}`)],
    ['no end of line', Buffer.from(golden.trimEnd())],
    ['one line', Buffer.from(JSON.stringify(JSON.parse(golden)))],
  ];
  for (const [what, bytes] of forms) {
    it(`gives the sample with ${what} back byte for byte`, () => {
      writeFileSync(path(), bytes);
      const file = new OverlaybdFile(path());
      file.enable('http://127.0.0.1:65001/dart');
      assert.deepEqual(
        [file.status().enabled, file.status().address],
        [true, 'http://127.0.0.1:65001/dart'],
      );
      file.disable();
      assert.deepEqual(readFileSync(path()), bytes);
    });
  }

  it('leaves no temporary file when the rename fails', () => {
    writeFileSync(path(), golden);
    const before = snapshot(folder());
    const disk: Disk = {
      ...systemDisk,
      rename(from, to) {
        if (to === path()) throw Object.assign(new Error('busy'), { code: 'EBUSY' });
        systemDisk.rename(from, to);
      },
    };
    assert.throws(() => new OverlaybdFile(path(), disk).enable(null), {
      code: 'FILE_UNUSABLE',
      message: `${path()}: cannot be written: EBUSY`,
    });
    assert.deepEqual(snapshot(folder()), before);
  });

  const damages: [what: string, make: (path: string) => void, message: RegExp][] = [
    ['missing', () => undefined, /no such file/],
    [
      'not JSON',
      (path) => writeFileSync(path, '<xml/>'),
      /not JSON: invalid symbol \(line 1, column 1\); nothing was changed$/,
    ],
    [
      'not an object',
      (path) => writeFileSync(path, '[1]'),
      /not a JSON object; nothing was changed$/,
    ],
    [
      'not text',
      (path) => writeFileSync(path, Buffer.from([0x7b, 0xff, 0xfe, 0x7d])),
      /not UTF-8 text$/,
    ],
    [
      'UTF-16',
      (path) => writeFileSync(path, Buffer.from('\uFEFF{}', 'utf16le')),
      /not UTF-8 text$/,
    ],
    ['empty', (path) => writeFileSync(path, ''), /not JSON: value expected/],
    ['a folder', (path) => mkdirSync(path), /cannot be read: it is a directory$/],
    [
      'a symlink to itself',
      (path) => symlinkSync('overlaybd.json', path),
      /cannot be read: symlink loop$/,
    ],
    ['a dangling symlink', (path) => symlinkSync('nowhere', path), /no such file/],
    [
      'far too long',
      (path) => writeFileSync(path, `{"a":"${'x'.repeat(2 * 1024 * 1024)}"}`),
      /larger than 1048576 bytes/,
    ],
  ];
  for (const [what, make, message] of damages) {
    it(`says in one line what is wrong with a file that is ${what}, and leaves it`, () => {
      make(path());
      const before = snapshot(folder());
      for (const use of [
        (file: OverlaybdFile) => file.enable(null),
        (file: OverlaybdFile) => file.disable(),
        (file: OverlaybdFile) => file.status(),
      ]) {
        assert.throws(
          () => use(new OverlaybdFile(path())),
          (error: Error & { code: string }) =>
            error.code === 'FILE_UNUSABLE' &&
            error.message.startsWith(`${path()}: `) &&
            message.test(error.message) &&
            !error.message.includes('\n'),
        );
      }
      assert.deepEqual(snapshot(folder()), before);
    });
  }

  const failures: [step: keyof Disk, code: string, message: RegExp][] = [
    ['checkWritable', 'EACCES', /cannot be written: permission denied$/],
    ['create', 'EROFS', /cannot be (?:backed up|written): the file system is read-only$/],
    ['create', 'ENOSPC', /the disk is full$/],
    ['rename', 'EACCES', /permission denied$/],
    ['read', 'EACCES', /cannot be read: permission denied$/],
    ['read', 'EIO', /cannot be read: EIO$/],
  ];
  for (const [step, code, message] of failures) {
    it(`is untouched when ${step} fails with ${code}`, () => {
      writeFileSync(path(), golden);
      const file = new OverlaybdFile(path(), failingDisk(step, code));
      assert.throws(
        () => file.enable(null),
        (error: Error) => error.message.startsWith(path()) && message.test(error.message),
      );
      assert.equal(text(), golden);
    });
  }

  it('a run ended at any step leaves the old or the new file; the next completes it', () => {
    const on = enableP2p(golden, 'https://localhost:65001/accelerator');
    for (const [action, from, to] of [
      ['enable', golden, on],
      ['disable', on, golden],
    ] as const) {
      let crashes = 0;
      for (let steps = 0; ; steps++) {
        writeFileSync(path(), golden);
        if (action === 'disable') new OverlaybdFile(path()).enable(null);
        const act = (disk?: Disk): unknown =>
          action === 'enable'
            ? new OverlaybdFile(path(), disk).enable(null)
            : new OverlaybdFile(path(), disk).disable();
        const ended = endsEarly(() => act(crashingDisk(steps)));
        assert.ok([from, to].includes(text()));
        act();
        assert.equal(text(), to);
        new OverlaybdFile(path()).disable();
        assert.equal(text(), golden);
        assert.equal(existsSync(`${path()}.shoal-backup`), false);
        if (!ended) break;
        crashes++;
      }
      assert.ok(crashes >= 3, `${action} took ${crashes} steps`);
    }
  });
});

/** Whether the disk was gone before the work was done. */
function endsEarly(work: () => unknown): boolean {
  try {
    work();
    return false;
  } catch (error) {
    const cause = (error as Error).cause;
    if (!(error instanceof Crash) && !(cause instanceof Crash)) throw error;
    return true;
  }
}
