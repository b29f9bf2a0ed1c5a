import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Of } from '../../deploy/release/files.ts';
import { VERSION } from '../../lib/version.ts';
import { findProgram, needs } from '../programs.ts';
import { nativePrograms } from './elf.ts';
import { layersOf } from './layout.ts';

/** Runs a program for arm64 (Debian's package qemu-user-static). */
const EMULATOR = 'qemu-aarch64-static';

/**
 * Tests of the artefacts for arm64, on another machine. `file` gives the path of an artefact;
 * `directory` is for scratch files.
 */
export function arm64Artefacts(file: (name: string) => string, directory: () => string): void {
  describe('for arm64', () => {
    const tree = (name: string): string => {
      const path = join(directory(), name);
      mkdirSync(path);
      return path;
    };

    /** Every artefact has them: Node.js, the server, the hashes, the calls of the system. */
    function assertNatives(root: string): void {
      const programs = nativePrograms(root);
      const names = [...programs.keys()].join(' ');
      for (const wanted of [/\/node /, /uws_linux_arm64/, /blake-hash/, /koffi/])
        assert.match(`${names} `, wanted);
      const foreign = [...programs].filter(([, machine]) => machine !== 'arm64');
      assert.deepEqual(foreign, []);
    }

    /** Starts the program in an emulator. */
    function starts(root: string, node: string, program: string): void {
      cpSync(findProgram(EMULATOR)!, join(root, EMULATOR));
      const { stdout, stderr } = spawnSync(
        'chroot',
        [root, `/${EMULATOR}`, node, program, '--version'],
        { encoding: 'utf8', env: { PATH: '/usr/bin:/usr/sbin' } },
      );
      assert.equal(stdout.split(' ')[0], VERSION, stderr);
    }

    let root: string;
    before(function () {
      needs(this, EMULATOR, 'chroot');
      const layout = tree('layout-arm64');
      root = tree('root-arm64');
      execFileSync('tar', ['-xf', file(`shoal-${VERSION}-image.tar`), '-C', layout]);
      for (const layer of layersOf(layout, 'arm64'))
        execFileSync('tar', ['-xzf', layer, '-C', root]);
    });

    it('the image says so, has only such programs, and starts', () => {
      const archive = `oci-archive:${file(`shoal-${VERSION}-image.tar`)}`;
      const inspect = ['inspect', '--override-arch', 'arm64', '--config', archive];
      const config = execFileSync('skopeo', inspect, { encoding: 'utf8' });
      assert.equal((JSON.parse(config) as { architecture: string }).architecture, 'arm64');
      assertNatives(root);
      starts(root, '/usr/bin/node', '/app/lib/shoal.js');
    });

    it('the tar has only such programs, and starts', () => {
      const name = `shoal-${VERSION}-linux-arm64`;
      execFileSync('tar', ['-xzf', file(`${name}.tar.gz`), '-C', root]);
      assertNatives(join(root, name));
      starts(root, `/${name}/lib/shoal/node`, `/${name}/lib/shoal/lib/shoal.js`);
    });

    it('the .deb and the .rpm say so and have the same programs', () => {
      const deb = tree('deb-arm64');
      const archive = file(`shoal_${VERSION}_arm64.deb`);
      const field = execFileSync('dpkg-deb', ['--field', archive, 'Architecture']);
      assert.equal(field.toString().trim(), 'arm64');
      execFileSync('dpkg-deb', ['--extract', archive, deb]);
      assertNatives(deb);
      const rpm = file(`shoal-${VERSION}-1.aarch64.rpm`);
      const query = (format: string): string =>
        execFileSync('rpm', ['--query', '--queryformat', format, '--package', rpm], {
          encoding: 'utf8',
        });
      assert.equal(query('%{ARCH}'), 'aarch64');
      const files = query('[%{FILENAMES} %{FILEDIGESTS}\n]');
      for (const path of nativePrograms(deb).keys())
        assert.ok(files.includes(`/${path} ${sha256Of(join(deb, path))}\n`), path);
    });
  });
}
