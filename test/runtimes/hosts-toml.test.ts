import assert from 'node:assert/strict';
import { findConfigPath, obstaclesIn } from '../../lib/runtimes/containerd-config.ts';
import {
  hostsWith,
  readHosts,
  registryBehind,
  serverOf,
  type HostsPlan,
} from '../../lib/runtimes/hosts-toml.ts';
import { parseToml as parse } from '../../lib/runtimes/toml-text.ts';

const MIRROR = { url: 'http://127.0.0.1:65001', ca: null };
const TABLE = { capabilities: ['pull', 'resolve'] };
const NONE = { cas: [], clients: [] };
const RECORD = { kept: true, made: [] };

const plan = (
  registry: string,
  mirror: HostsPlan['mirror'] = MIRROR,
  server = serverOf(registry),
): HostsPlan => ({ registry, mirror, server });

describe('hosts.toml', () => {
  const P2P = 'p2p.example:65001';
  const BEHIND = 'https://registry.example:5000';

  it('of a P2P host names the registry behind it as the last resort', () => {
    const text = hostsWith(plan(P2P, MIRROR, BEHIND), null, NONE, RECORD)!;
    assert.deepEqual(parse(text), { server: BEHIND, host: { [MIRROR.url]: TABLE } });
  });

  it('of a P2P host gets a server if the old file names none, and keeps a named one', () => {
    const other = '[host."https://other.example"]\n';
    assert.equal(
      parse(hostsWith(plan(P2P, MIRROR, BEHIND), other, NONE, RECORD)!)['server'],
      BEHIND,
    );
    const named = `server = "https://mine.example"\n${other}`;
    assert.equal(
      parse(hostsWith(plan(P2P, MIRROR, BEHIND), named, NONE, RECORD)!)['server'],
      'https://mine.example',
    );
  });

  it('without a mirror asks the registry behind a P2P host alone', () => {
    // containerd 1.6 takes no file without a host table.
    for (const before of [null, '# mine\nskip_verify = true'])
      assert.deepEqual(parse(hostsWith(plan(P2P, null, BEHIND), before, NONE, RECORD)!), {
        server: BEHIND,
        host: {},
        ...(before === null ? {} : { skip_verify: true }),
      });
  });

  it("knows the registry behind a P2P host of ACR's rule", () => {
    const cases: [host: string, registry: string | null][] = [
      [
        'a-vpc.distributed.cn-hangzhou.cr.aliyuncs.com:65001',
        'https://a-vpc.cn-hangzhou.cr.aliyuncs.com',
      ],
      ['a.distributed.example', 'https://a.example'],
      ['a.example', null],
      ['distributed.example', null],
      ['10.0.0.1:5000', null],
    ];
    for (const [host, registry] of cases) assert.equal(registryBehind(host), registry, host);
  });

  it('asks the mirror first, then the registry', () => {
    const text = hostsWith(plan('registry.example:5000'), null, NONE, {
      kept: false,
      made: ['..', '.'],
    })!;
    assert.deepEqual(parse(text), {
      server: 'https://registry.example:5000',
      host: { 'http://127.0.0.1:65001': TABLE },
    });
    assert.deepEqual(readHosts(text), {
      record: { kept: false, made: ['..', '.'] },
      server: 'https://registry.example:5000',
      hosts: [MIRROR.url],
    });
  });

  it('names the CA of an https mirror, whatever its path', () => {
    const text = hostsWith(
      plan('_default', { url: 'https://127.0.0.1:65001', ca: '/etc/"a b"\\\u007f.pem' }),
      '',
      NONE,
      RECORD,
    )!;
    assert.deepEqual(parse(text), {
      host: { 'https://127.0.0.1:65001': { ...TABLE, ca: '/etc/"a b"\\\u007f.pem' } },
    });
  });

  it('names certificates that containerd reads only without a hosts.toml', () => {
    const text = hostsWith(
      plan('r.example'),
      null,
      {
        cas: ['a.crt', 'b.crt'],
        clients: [
          ['c.cert', 'c.key'],
          ['d.cert', ''],
        ],
      },
      RECORD,
    )!;
    const { ca, client } = parse(text);
    assert.deepEqual(
      [ca, client],
      [
        ['a.crt', 'b.crt'],
        [
          ['c.cert', 'c.key'],
          ['d.cert', ''],
        ],
      ],
    );
  });

  const servers: [string, string][] = [
    ['docker.io', 'https://registry-1.docker.io'],
    ['quay.io', 'https://quay.io'],
    ['localhost:5000', 'http://localhost:5000'],
    ['127.0.0.1:5000', 'http://127.0.0.1:5000'],
    ['127.0.0.1:443', 'https://127.0.0.1:443'],
    ['localhost', 'https://localhost'],
    ['10.0.0.1:5000', 'https://10.0.0.1:5000'],
  ];
  for (const [registry, server] of servers)
    it(`${registry} is at ${server}`, () => assert.equal(serverOf(registry), server));

  const kept: [what: string, before: string][] = [
    [
      'a mirror',
      'server = "https://r.example"\n\n[host."https://m.example"]\n  capabilities = ["pull"]\n',
    ],
    [
      'several, in order',
      '[host."https://z.example"]\n[host."https://a.example"]\n  skip_verify = true\n',
    ],
    ['only a server', 'server = "https://other.example"'],
    [
      'settings of the server',
      'server = "https://r.example"\nca = ["a.pem",\n  "b.pem"]\n[header]\n  x-a = ' +
        '"b"\n[host."https://m.example"]\n',
    ],
    [
      'arrays that begin a line',
      'client = [\n  ["a.cert", "a.key"],\n[ "b.cert", ""]\n]\n[host."https://m.example"]\n',
    ],
    ['brackets in a string', 'server = """\n[host."x"]\n"""\n[host."https://m.example"]\n'],
    [
      'CRLF and comments',
      '# ours\r\nserver = "https://r.example" # [not a table]\r\n\r\n  ' +
        '[host."https://m.example"]\r\n  capabilities = ["pull"]\r\n',
    ],
    [
      'a table of tables',
      'server = "https://r.example"\n[host]\n[host."https://m.example".header]\nx = "y"\n',
    ],
    ['no end of line', '[host."https://m.example"]\n  capabilities = ["pull"]'],
  ];
  for (const [what, before] of kept) {
    it(`keeps ${what}`, () => {
      const text = hostsWith(plan('r.example'), before, NONE, RECORD)!;
      const { host, ...rest } = parse(text) as { host: Record<string, unknown> };
      const { host: old, ...oldRest } = parse(before) as { host?: Record<string, unknown> };
      assert.deepEqual(rest, oldRest);
      assert.deepEqual(Object.keys(host), [MIRROR.url, ...Object.keys(old ?? {})]);
      assert.deepEqual(host, { [MIRROR.url]: TABLE, ...old });
      assert.equal(/(?<!\r)\n/.test(text), !before.includes('\r\n'));
      // Every line of the old file is there, in order.
      const lines = text.split(/\r?\n/);
      let at = -1;
      for (const line of before.split(/\r?\n/))
        assert.ok((at = lines.indexOf(line, at + 1)) >= 0, line);
    });
  }

  it('returns null when nothing can be inserted before the hosts', () => {
    assert.equal(
      hostsWith(plan('r.example'), 'host = { "https://m.example" = {} }\n', NONE, RECORD),
      null,
    );
    assert.equal(
      hostsWith(plan('r.example'), 'host."https://m.example".skip_verify = true\n', NONE, RECORD),
      null,
    );
    assert.equal(
      hostsWith(
        plan('r.example'),
        `[host."https://m.example"]\n[host."${MIRROR.url}"]\n`,
        NONE,
        RECORD,
      ),
      null,
    );
  });

  for (const text of [
    'server = ',
    '[host',
    'server = 1',
    'host = 3',
    'server = "a"\nserver = "b"',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => readHosts(text), { code: 'FILE_UNUSABLE' }));
  }
});

describe("containerd's config_path", () => {
  const DIR = '/etc/containerd/certs.d';
  const v2 = (rest: string): string =>
    `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n${rest}`;
  const v3 = (rest: string): string =>
    `version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\n${rest}`;
  const cases: [
    what: string,
    text: string | null,
    dir: string,
    reads: string,
    firstLine: string | undefined,
    remark: RegExp | undefined,
  ][] = [
    ['version 2', v2(`config_path = "${DIR}"`), DIR, 'yes', undefined, undefined],
    ['version 3', v3(`config_path = '${DIR}'`), `${DIR}/`, 'yes', undefined, undefined],
    [
      'version 3 with the list of 2.2',
      v3(`config_path = '${DIR}:/etc/docker/certs.d'`),
      DIR,
      'yes',
      undefined,
      undefined,
    ],
    [
      'a version 2 section in containerd 2.x',
      `version = 3\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "${DIR}"`,
      DIR,
      'yes',
      undefined,
      undefined,
    ],
    [
      'version 2, not set',
      v2(''),
      DIR,
      'default',
      '[plugins."io.containerd.grpc.v1.cri".registry]',
      undefined,
    ],
    [
      'version 2, empty',
      v2('config_path = ""'),
      '/srv/certs',
      'no',
      '[plugins."io.containerd.grpc.v1.cri".registry]',
      undefined,
    ],
    [
      'version 3, not set',
      'version = 3',
      '/srv/certs',
      'no',
      "[plugins.'io.containerd.cri.v1.images'.registry]",
      undefined,
    ],
    [
      'version 4 (containerd 2.4)',
      v3(`config_path = '${DIR}'`).replace('version = 3', 'version = 4'),
      DIR,
      'yes',
      undefined,
      undefined,
    ],
    [
      'version 4, not set',
      'version = 4',
      '/srv/certs',
      'no',
      "[plugins.'io.containerd.cri.v1.images'.registry]",
      undefined,
    ],
    [
      'another folder',
      v3('config_path = "/srv/certs"'),
      DIR,
      'no',
      "[plugins.'io.containerd.cri.v1.images'.registry]",
      /^config_path is \/srv\/certs/,
    ],
    [
      'mirrors in the way',
      v2(
        '[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = ' +
          '["https://x"]',
      ),
      DIR,
      'no',
      '[plugins."io.containerd.grpc.v1.cri".registry]',
      /^registry.mirrors is set/,
    ],
    [
      'imports',
      'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]',
      DIR,
      'no',
      '[plugins."io.containerd.grpc.v1.cri".registry]',
      /imports other files/,
    ],
    ['no file', null, DIR, 'default', 'version = 2', undefined],
    ['version 1', '[plugins.cri]\n', DIR, 'default', '[plugins.cri.registry]', undefined],
  ];
  for (const [what, text, dir, reads, firstLine, remark] of cases) {
    it(what, () => {
      const found = findConfigPath(text, dir);
      assert.deepEqual([found.reads, found.lines[0]], [reads, firstLine]);
      if (remark === undefined) assert.deepEqual(found.remarks, []);
      else assert.match(found.remarks[0]!, remark);
      // What is printed is what is looked for.
      if (found.lines.length > 0) {
        const version = text === null ? '' : `version = ${String(parse(text)['version'] ?? 1)}\n`;
        assert.equal(findConfigPath(version + found.lines.join('\n'), dir).reads, 'yes');
      }
    });
  }

  it('refuses what is not TOML', () =>
    assert.throws(() => findConfigPath('version = = 2', DIR), {
      code: 'FILE_UNUSABLE',
      message: 'not TOML (line 1)',
    }));
});

describe('what keeps containerd from reading certs.d', () => {
  const places = { certsDir: '/etc/containerd/certs.d', config: '/etc/containerd/config.toml' };
  const set =
    `version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = ` +
    `'${places.certsDir}'\n`;
  const cases: [
    what: string,
    config: string | null,
    runtime: string | null,
    obstacle: RegExp | null,
  ][] = [
    ['config_path', set, 'containerd://1.7.2', null],
    ['config_path, runtime unknown', set, null, null],
    ['no config, containerd 2.2', null, 'containerd://2.2.0', null],
    ['no config, containerd v2.10', null, 'containerd://v2.10.1-rc.1', null],
    ['no config, containerd 2.1', null, 'containerd://2.1.4', /set config_path/],
    ['no config, runtime unknown', null, null, /set config_path/],
    ['another runtime', set, 'cri-o://1.31.0', /is cri-o, not containerd/],
  ];
  for (const [what, config, runtime, obstacle] of cases)
    it(what, () => {
      const found = obstaclesIn(findConfigPath(config, places.certsDir), places, runtime);
      if (obstacle === null) assert.deepEqual(found, []);
      else assert.match(found.join(), obstacle);
    });
});
