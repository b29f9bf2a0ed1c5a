import assert from 'node:assert/strict';
import { AllowList, dialable } from '../../lib/registry/allow.ts';

const list = (allow: string[], upstreams: string[] = []): AllowList =>
  new AllowList({ allow, registries: upstreams.map((upstream) => ({ upstream })) });

describe('registry/allow: names', () => {
  const cases: [string, string, number, boolean][] = [
    ['*.aliyuncs.com', 'a.aliyuncs.com', 443, true],
    ['*.aliyuncs.com', 'a.b.oss-cn-hangzhou.AliyunCS.com', 80, true],
    ['*.aliyuncs.com', 'a.aliyuncs.com.', 80, true],
    ['*.aliyuncs.com', 'aliyuncs.com', 443, false],
    ['*.aliyuncs.com', 'aliyuncs.com.evil.example', 443, false],
    ['*.aliyuncs.com', 'xaliyuncs.com', 443, false],
    ['*.aliyuncs.com', 'a.aliyuncsxcom', 443, false],
    ['registry.example:5000', 'registry.example', 5000, true],
    ['registry.example:5000', 'registry.example', 443, false],
    ['Registry.Example', 'registry.example', 1, true],
    ['reg?.example', 'reg1.example', 443, true],
    ['[fd00::1]:5000', '[fd00:0:0::1]', 5000, true],
    ['10.0.0.1', '10.0.0.1', 80, true],
    ['10.0.0.1', '10.0.0.10', 80, false],
    ['*', 'anything.example', 443, true],
  ];
  for (const [glob, host, port, expected] of cases) {
    it(`${glob} ${expected ? 'names' : 'does not name'} ${host}:${port}`, () =>
      assert.equal(list([glob]).names(host, port), expected));
  }

  it('has configured upstreams on the list by themselves, at their port', () => {
    const own = list([], ['http://registry.example:5000', 'https://other.example']);
    assert.equal(own.names('registry.example', 5000), true);
    assert.equal(own.names('registry.example', 443), false);
    assert.equal(own.names('other.example', 443), true);
  });
});

describe('registry/allow: dialable', () => {
  const guarded = [
    '127.0.0.1',
    '127.8.8.8',
    '::1',
    '0.0.0.0',
    '0.1.2.3',
    '::',
    '169.254.169.254',
    'fe80::1',
    'fe80::1%eth0',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '::127.0.0.1',
    '100.100.100.200',
    'fd00:ec2::254',
    '255.255.255.255',
    '224.0.0.1',
    'ff02::1',
  ];
  for (const address of guarded) {
    it(`refuses a listed name that resolves to ${address}`, () => {
      assert.equal(list(['*', 'name.example']).dialable('name.example', 80, [address]), false);
      assert.equal(
        list(['*']).dialable('name.example', 80, ['10.0.0.1', address]),
        false,
        'one bad address is enough',
      );
    });
  }

  for (const address of [
    '10.0.0.1',
    '8.8.8.8',
    '192.168.1.1',
    '2001:db8::1',
    'fd00::5',
    '100.118.28.4',
  ]) {
    it(`lets a listed name resolve to ${address}`, () =>
      assert.equal(list(['name.example']).dialable('name.example', 80, [address]), true));
  }

  it('dials a guarded address that is itself listed, at the port that is', () => {
    assert.equal(list(['127.0.0.1:5000']).dialable('127.0.0.1', 5000, ['127.0.0.1']), true);
    assert.equal(list(['127.0.0.1:5000']).dialable('127.0.0.1', 5001, ['127.0.0.1']), false);
    assert.equal(list(['127.0.0.1']).dialable('127.0.0.1', 5001, ['127.0.0.1']), true);
    assert.equal(
      list(['name.example', '127.0.0.1']).dialable('name.example', 80, ['::ffff:127.0.0.1']),
      true,
    );
    assert.equal(
      list(['127.0.0.*']).dialable('127.0.0.1', 80, ['127.0.0.1']),
      false,
      'a glob is no address',
    );
    assert.equal(list(['[::1]:5000']).dialable('[::1]', 5000, ['::1']), true);
  });

  it('counts a configured upstream of that very name as listing it', () => {
    assert.equal(
      list([], ['http://localhost:5000']).dialable('localhost', 5000, ['127.0.0.1', '::1']),
      true,
    );
    assert.equal(
      list([], ['http://localhost:5000']).dialable('localhost', 5001, ['127.0.0.1']),
      false,
    );
    assert.equal(
      list(['localhost:5000']).dialable('localhost', 5000, ['127.0.0.1']),
      false,
      'the allow-list must name the address',
    );
  });

  it('refuses a name that resolves to nothing, or is not listed', () => {
    assert.equal(list(['a.example']).dialable('a.example', 80, []), false);
    assert.equal(
      dialable('b.example', 80, ['10.0.0.1'], { allow: ['a.example'], registries: [] }),
      false,
    );
  });
});
