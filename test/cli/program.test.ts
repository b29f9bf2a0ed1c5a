import assert from 'node:assert/strict';
import { run } from './run-program.ts';

describe('the command line', () => {
  for (const command of ['agent', 'root', 'webhook', 'up', 'status']) {
    it(`explains ${command} on --help`, async () => {
      const { code, out, err } = await run(command, '--help');
      assert.equal(code, 0);
      assert.match(out, new RegExp(`^Usage: shoal ${command} `));
      assert.equal(err, '');
    });
  }

  it('lists its commands on --help, but not its internal options', async () => {
    const { code, out } = await run('--help');
    assert.equal(code, 0);
    assert.match(
      out,
      /agent .*\n.*root .*\n(?:.*\n)*.*webhook .*\n(?:.*\n)*.*up .*\n(?:.*\n)*.*status /,
    );
    assert.doesNotMatch((await run('agent', '--help')).out, /exit-with-parent/);
  });

  const misuses: [string[], RegExp][] = [
    [['upp'], /^error: unknown command 'upp'\n\(Did you mean up\?\)\n$/],
    [['agent', '--confg', 'x'], /^error: unknown option '--confg'\n\(Did you mean --config\?\)\n$/],
    [['agent', 'extra'], /^error: too many arguments/],
    [['agent', '--config'], /^error: option '--config <file>' argument missing\n$/],
    [
      ['agent', '--front-threads', '0'],
      new RegExp(
        "^error: option '--front-threads <n>' argument '0' is invalid. " +
          'allowed: a whole number from 1 to 64\n$',
      ),
    ],
    [['webhook'], /^error: required option '--config <file>' not specified\n$/],
    [
      ['up', '--nodes', '0'],
      new RegExp(
        "^error: option '--nodes <n>' argument '0' is invalid. " +
          'allowed: a whole number from 1 to 64\n$',
      ),
    ],
    [['up', '--nodes', '1e1'], /allowed: a whole number/],
    [['up', '--nodes', '-1'], /allowed: a whole number/],
    [
      ['agent', '--config', '/nonexistent/config.yaml'],
      new RegExp(
        '^shoal: --config: "/nonexistent/config.yaml" is not allowed; ' +
          'allowed: a readable YAML file; this one: no such file or directory \\(ENOENT\\) ' +
          '\\(CONFIG_INVALID\\)\n$',
      ),
    ],
    [
      ['agent', '--set', 'CacheConfig.capacity=lots'],
      /^shoal: CacheConfig\.capacity: "lots" is not allowed; .*\n$/,
    ],
  ];
  for (const [args, message] of misuses) {
    it(`ends with 2 on \`${args.join(' ')}\``, async () => {
      const { code, out, err } = await run(...args);
      assert.match(err, message);
      assert.deepEqual([code, out], [2, '']);
    });
  }

  it('prints each config error on its own line', async () => {
    const { code, err } = await run(
      'root',
      '--set',
      'ProxyConfig.port=-1',
      '--set',
      'CacheConfig.memory=1',
    );
    assert.equal(code, 2);
    assert.equal(err.trimEnd().split('\n').length, 2);
  });

  it('exits with 2 and its help if no command is given', async () => {
    const { code, out, err } = await run();
    assert.equal(code, 2);
    assert.equal(out, '');
    assert.match(err, /^Usage: shoal /);
  });
});
