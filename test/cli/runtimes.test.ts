import assert from 'node:assert/strict';
import { errorFixes } from '../../lib/error-fixes.ts';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './run-program.ts';
import { isOwnProxy, parseP2pAddress, probe } from '../../lib/runtimes/node-address.ts';
import { turns } from '../kube/turns.ts';
import { ownFolder, snapshot } from '../runtimes/folder.ts';
import { freePorts } from '../free-ports.ts';

const goldenPath = fileURLToPath(new URL('../golden/overlaybd.json', import.meta.url));

describe('the commands for runtimes', () => {
  const folder = ownFolder();
  const at = (name: string): string => join(folder(), name);

  for (const args of [
    ['overlaybd', 'enable'],
    ['overlaybd', 'disable'],
    ['overlaybd', 'status'],
    ['containerd', 'configure'],
    ['containerd', 'restore'],
    ['containerd', 'status'],
    ['docker', 'configure'],
    ['docker', 'restore'],
    ['podman', 'configure'],
    ['podman', 'restore'],
    ['preheat'],
  ]) {
    it(`explains ${args.join(' ')} on --help`, async () => {
      const { code, out, err } = await run(...args, '--help');
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, new RegExp(`^Usage: shoal ${args.join(' ')} `));
    });
  }

  const misuses: [string[], RegExp][] = [
    [['overlaybd'], /^Usage: shoal overlaybd /],
    [['overlaybd', 'enabl'], /Did you mean enable/],
    [['overlaybd', 'enable', '--address', 'localhost:65001'], /^shoal: --address: allowed: /],
    [
      ['overlaybd', 'enable', '--address', 'http://u:secret@localhost/x'],
      /^shoal: --address: (?!.*secret)/,
    ],
    [['containerd', 'configure'], /required option '--registry <host...>' not specified/],
    [['containerd', 'configure', '--registry', '../../etc'], /"\.\.\/\.\.\/etc" is not allowed/],
    [['containerd', 'configure', '--registry', 'a/b'], /is not allowed/],
    [['containerd', 'configure', '--registry', '..'], /is not allowed/],
    [
      ['containerd', 'configure', '--registry', 'a', '--mirror', 'http://x/y'],
      /^shoal: --mirror: allowed/,
    ],
    [
      ['containerd', 'configure', '--registry', 'a', '--ca', goldenPath],
      /--ca goes with an https --mirror/,
    ],
    [
      ['containerd', 'configure', '--registry', 'a', '--mirror', 'https://x', '--ca', goldenPath],
      /holds no certificate/,
    ],
    [['podman', 'configure', '--registry', '_default'], /is not allowed/],
    [['preheat', '--via', 'http://x'], /^shoal: IMAGE is missing: allowed: /],
  ];
  for (const [args, message] of misuses) {
    it(`ends with 2 on \`${args.join(' ')}\``, async () => {
      const { code, out, err } = await run(...args);
      assert.match(err, message);
      assert.deepEqual([code, out], [2, '']);
    });
  }

  it('overlaybd: enables and disables the sample, with text and JSON output', async () => {
    copyFileSync(goldenPath, at('o.json'));
    const { code, out } = await run('overlaybd', 'enable', '--file', at('o.json'));
    assert.equal(code, 0);
    assert.match(
      out,
      /^.*: P2P is on, through https:\/\/localhost:65001\/accelerator\nbackup: .*-backup\nhttps: /,
    );
    assert.match((await run('overlaybd', 'enable', '--file', at('o.json'))).out, /unchanged/);
    const { out: json } = await run(
      'overlaybd',
      'enable',
      '--file',
      at('o.json'),
      '--address',
      'http://127.0.0.1:1/dart/',
      '--json',
    );
    assert.deepEqual(JSON.parse(json), {
      file: at('o.json'),
      enabled: true,
      address: 'http://127.0.0.1:1/dart',
      backup: at('o.json.shoal-backup'),
      changed: true,
    });
    assert.deepEqual(
      JSON.parse((await run('overlaybd', 'status', '--file', at('o.json'), '--json')).out),
      {
        file: at('o.json'),
        enabled: true,
        address: 'http://127.0.0.1:1/dart',
        backup: at('o.json.shoal-backup'),
        answers: 'nobody',
      },
    );
    assert.match(
      (await run('overlaybd', 'status', '--file', at('o.json'))).out,
      /P2P {6}on\naddress {2}http:\/\/127\.0\.0\.1:1\/dart \(no answer\)/,
    );
    assert.equal((await run('overlaybd', 'disable', '--file', at('o.json'))).code, 0);
    assert.deepEqual(readFileSync(at('o.json')), readFileSync(goldenPath));
  });

  it('overlaybd: one line and exit code 1 for a damaged file', async () => {
    writeFileSync(at('o.json'), '{"p2pConfig":');
    for (const action of ['enable', 'disable', 'status']) {
      assert.deepEqual(await run('overlaybd', action, '--file', at('o.json')), {
        code: 1,
        out: '',
        err:
          `shoal: ${at('o.json')}: not JSON: value expected (line 1, column 14); nothing ` +
          `was changed (FILE_UNUSABLE)\n  -> ${errorFixes.FILE_UNUSABLE.fix}\n`,
      });
    }
    assert.deepEqual((await run('overlaybd', 'enable', '--file', at('none/o.json'))).code, 1);
  });

  it('containerd: several registries, one of them damaged', async () => {
    mkdirSync(at('certs.d/bad.example'), { recursive: true });
    writeFileSync(at('certs.d/bad.example/hosts.toml'), '[');
    writeFileSync(
      at('config.toml'),
      `version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = ` +
        `'${at('certs.d')}'\n`,
    );
    const before = snapshot(folder());
    const places = ['--certs-dir', at('certs.d'), '--config', at('config.toml')];
    const { code, out, err } = await run(
      'containerd',
      'configure',
      '--registry',
      'bad.example',
      'index.docker.io',
      '--registry',
      'quay.io:443',
      ...places,
    );
    assert.equal(code, 1);
    assert.equal(
      err,
      `shoal: ${at('certs.d/bad.example/hosts.toml')}: not TOML (line 1) (FILE_UNUSABLE)\n`,
    );
    assert.deepEqual(out.split('\n'), [
      `docker.io: configured; ${at('certs.d/docker.io/hosts.toml')}: ` +
        'http://127.0.0.1:65001, then https://registry-1.docker.io',
      `quay.io:443: configured; ${at('certs.d/quay.io:443/hosts.toml')}: ` +
        'http://127.0.0.1:65001, then https://quay.io:443',
      `${at('config.toml')}: containerd reads ${at('certs.d')}`,
      '',
    ]);
    const status = JSON.parse(
      (await run('containerd', 'status', '--json', '--registry', 'docker.io', ...places)).out,
    ) as { ok: boolean; registries: { by: string }[]; config: { reads: string } };
    assert.deepEqual(
      [status.ok, status.registries[0]?.by, status.config.reads],
      [true, 'shoal', 'yes'],
    );
    assert.equal(
      (
        await run(
          'containerd',
          'restore',
          '--registry',
          'docker.io',
          'quay.io:443',
          '--certs-dir',
          at('certs.d'),
        )
      ).code,
      0,
    );
    assert.deepEqual(snapshot(folder()), before);
  });

  it('containerd: names the registry behind a P2P host, by --upstream or by the rule', async () => {
    const places = ['--certs-dir', at('certs.d'), '--config', at('config.toml')];
    const { out } = await run(
      'containerd',
      'configure',
      '--registry',
      'p2p.example:65001',
      'a.distributed.example:65001',
      '--upstream',
      'p2p.example:65001=http://registry.example:5000',
      '--mirror',
      'http://127.0.0.1:1',
      ...places,
    );
    assert.match(out, /p2p\.example:65001: .*, then http:\/\/registry\.example:5000\n/);
    assert.match(out, /a\.distributed\.example:65001: .*, then https:\/\/a\.example\n/);
    for (const pair of ['p2p.example', '=https://a', 'p2p.example=a.example', 'x y=https://a'])
      assert.equal(
        (await run('containerd', 'configure', '--registry', 'a', '--upstream', pair, ...places))
          .code,
        2,
        pair,
      );
  });

  it('containerd: learns the registry behind a P2P host from a node that is starting', async () => {
    const [port] = await freePorts(1);
    const registry = { upstream: 'http://registry.example:5000' };
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end(JSON.stringify(registry));
    });
    const mirror = `http://127.0.0.1:${port}`;
    const configured = run(
      'containerd',
      'configure',
      '--registry',
      'p2p.example:65001',
      '--mirror',
      mirror,
      '--certs-dir',
      at('certs.d'),
      '--config',
      at('config.toml'),
    );
    // It asks a port on which nothing listens yet.
    await turns(5);
    server.listen(port, '127.0.0.1');
    try {
      const { out, err } = await configured;
      assert.match(out, /p2p\.example:65001: .*, then http:\/\/registry\.example:5000\n/);
      assert.equal(err, '');
      assert.ok(asked.includes('/shoal/upstream?ns=p2p.example%3A65001'));
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('podman: names the registry behind a P2P host', async () => {
    const { out } = await run(
      'podman',
      'configure',
      '--registry',
      'p2p.example:65001',
      '--upstream',
      'p2p.example:65001=http://registry.example:5000',
      '--dir',
      folder(),
      '--dry-run',
    );
    assert.match(
      out,
      /prefix = "p2p\.example:65001"\nlocation = "registry\.example:5000"\ninsecure/,
    );
  });

  it('containerd: prints the lines missing in config.toml and does not change it', async () => {
    writeFileSync(at('config.toml'), 'version = 2\n');
    const { code, out } = await run(
      'containerd',
      'configure',
      '--registry',
      'a.example',
      '--certs-dir',
      at('certs.d'),
      '--config',
      at('config.toml'),
    );
    assert.equal(code, 0);
    assert.ok(
      out.endsWith(
        '    [plugins."io.containerd.grpc.v1.cri".registry]\n      config_path = ' +
          `"${at('certs.d')}"\n`,
      ),
      out,
    );
    assert.equal(readFileSync(at('config.toml'), 'utf8'), 'version = 2\n');
  });

  it('docker and podman: print with --dry-run, write, and restore', async () => {
    writeFileSync(at('daemon.json'), '{}\n');
    const docker = ['--file', at('daemon.json')];
    const podman = ['--registry', 'a.example', '--dir', folder()];
    const before = snapshot(folder());
    assert.match(
      (await run('docker', 'configure', ...docker, '--dry-run')).out,
      /^\{\n {2}"registry-mirrors": \["http:\/\/127\.0\.0\.1:65001"\]\n\}\n$/,
    );
    assert.match(
      (await run('podman', 'configure', ...podman, '--dry-run')).out,
      /\[\[registry\.mirror\]\]\nlocation = "127\.0\.0\.1:65001"\ninsecure = true\n$/,
    );
    assert.deepEqual(snapshot(folder()), before);
    assert.equal((await run('docker', 'configure', ...docker)).code, 0);
    assert.equal((await run('podman', 'configure', ...podman)).code, 0);
    assert.match((await run('podman', 'configure', ...podman)).out, /unchanged/);
    assert.notDeepEqual(snapshot(folder()), before);
    assert.equal((await run('docker', 'restore', ...docker)).code, 0);
    assert.equal((await run('podman', 'restore', ...podman)).code, 0);
    assert.deepEqual(snapshot(folder()), before);
    writeFileSync(at('50-shoal-a.example.conf'), '# mine\n');
    assert.deepEqual((await run('podman', 'restore', ...podman)).code, 1);
    assert.equal(readFileSync(at('50-shoal-a.example.conf'), 'utf8'), '# mine\n');
  });
});

describe('probe of an address', () => {
  it('recognises a Shoal node by its error code and never throws', async () => {
    let body = '';
    const server = createServer((_request, response) => void response.writeHead(404).end(body));
    await new Promise<void>((give) => server.listen(0, '127.0.0.1', give));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/accelerator`;
    try {
      const answers: [string, string][] = [
        [
          '{"errors":[{"code":"UNSUPPORTED","message":"x","detail":{"code":"PATH_UNKNOWN"}}]}',
          'shoal',
        ],
        ['{"errors":[{"code":"NAME_UNKNOWN","detail":{"code":"toString"}}]}', 'other'],
        ['{"errors":null}', 'other'],
        ['<html>', 'other'],
        ['null', 'other'],
      ];
      for (const [text, who] of answers) {
        body = text;
        assert.equal(await probe(address), who, text);
      }
    } finally {
      server.close();
    }
    assert.equal(await probe(address), 'nobody');
    assert.equal(await probe('not an address'), 'nobody');
  });

  it('recognises its own proxy and validates addresses', () => {
    for (const address of [
      'http://localhost:65001/accelerator',
      'https://127.0.0.1:65001/x',
      'http://[::1]:65001/',
    ])
      assert.equal(isOwnProxy(address), true, address);
    for (const address of [
      'http://localhost:65002/x',
      'http://10.0.0.1:65001/x',
      'ftp://localhost:65001/',
      'x',
      'http://localhost.evil:65001/',
    ])
      assert.equal(isOwnProxy(address), false, address);
    assert.equal(parseP2pAddress('http://h:1/a/b//'), 'http://h:1/a/b');
    for (const text of [
      'http://h',
      'http://h/',
      'h:1/a',
      'http://h/a?b',
      'http://h/a#b',
      'http://u@h/a',
      'http://h/a b',
      'file:///a',
      '',
    ])
      assert.equal(parseP2pAddress(text), null, text);
  });
});
