import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../lib/commands/program.ts';
import { ownFolder, snapshot } from '../runtimes/folder.ts';

describe('the commands that change files of runtimes', () => {
  const folder = ownFolder();
  const at = (name: string): string => join(folder(), name);

  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    let [out, err] = ['', ''];
    const code = await runProgram(args, {
      out: (text) => void (out += text),
      err: (text) => void (err += text),
    });
    return { code, out, err };
  }

  /** The command that changes a file, the one that takes it back, and the file. */
  const cases = (): { name: string; change: string[]; back: string[]; file: string }[] => {
    const registry = ['--registry', 'registry.example'];
    const [certs, docker, podman, overlaybd] = [
      ['--certs-dir', at('certs.d')],
      ['--file', at('daemon.json')],
      ['--dir', folder(), ...registry],
      ['--file', at('overlaybd.json')],
    ];
    return [
      {
        name: 'containerd',
        change: ['containerd', 'configure', ...certs, ...registry],
        back: ['containerd', 'restore', ...certs, ...registry],
        file: at('certs.d/registry.example/hosts.toml'),
      },
      {
        name: 'docker',
        change: ['docker', 'configure', ...docker],
        back: ['docker', 'restore', ...docker],
        file: at('daemon.json'),
      },
      {
        name: 'podman',
        change: ['podman', 'configure', ...podman],
        back: ['podman', 'restore', ...podman],
        file: at('50-shoal-registry.example.conf'),
      },
      {
        name: 'overlaybd',
        change: ['overlaybd', 'enable', ...overlaybd],
        back: ['overlaybd', 'disable', ...overlaybd],
        file: at('overlaybd.json'),
      },
    ];
  };

  for (const [index, name] of ['containerd', 'docker', 'podman', 'overlaybd'].entries()) {
    it(`${name}: --dry-run prints what is written without it, and changes nothing`, async () => {
      const { change, back, file } = cases()[index]!;
      copyFileSync('test/golden/overlaybd.json', at('overlaybd.json'));
      writeFileSync(at('overlaybd.json'), off(readFileSync(at('overlaybd.json'), 'utf8')));
      for (const command of [change, back]) {
        const before = snapshot(folder());
        const dry = await run(...command, '--dry-run');
        assert.equal(dry.code, 0, dry.err);
        assert.deepEqual(snapshot(folder()), before);
        assert.ok(dry.err.includes(file), dry.err);
        assert.equal((await run(...command)).code, 0);
        assert.equal(dry.out, existsSync(file) ? readFileSync(file, 'utf8') : '');
        const again = await run(...command, '--dry-run');
        assert.deepEqual([again.code, again.out, again.err], [0, '', 'nothing would change\n']);
      }
    });

    it(`${name}: refuses --write together with --dry-run`, async () => {
      const { code, err } = await run(...cases()[index]!.change, '--write', '--dry-run');
      assert.equal(code, 2);
      assert.match(err, /'--write' cannot be used with option '--dry-run'/);
    });
  }

  it('docker status and podman status tell what is pulled through the node', async () => {
    const status = async (...args: string[]) => (await run(...args)).out;
    const docker = ['docker', 'status', '--file', at('daemon.json')];
    const podman = ['podman', 'status', '--dir', folder()];
    assert.match(await status(...docker), /^node +not the first mirror$/m);
    assert.match(await status(...podman), /no registry is pulled through this node/);
    for (const { change } of cases().slice(1, 3)) await run(...change);
    assert.match(await status(...docker), /^order +http:\/\/127\.0\.0\.1:65001, then Docker Hub/m);
    assert.match(await status(...podman), /images of registry\.example are pulled from http/);
    assert.deepEqual(JSON.parse(await status(...docker, '--json')), {
      file: at('daemon.json'),
      mirrors: ['http://127.0.0.1:65001'],
      first: true,
      backup: null,
    });
    assert.deepEqual(JSON.parse(await status(...podman, '--json')), {
      dropIns: [
        {
          file: at('50-shoal-registry.example.conf'),
          registry: 'registry.example',
          mirror: 'http://127.0.0.1:65001',
        },
      ],
    });
  });
});

/** The sample of overlaybd's config with P2P off. */
function off(text: string): string {
  return text.replace(/("p2pConfig": \{\s*"enable": )true/, '$1false');
}
