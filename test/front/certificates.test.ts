import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../lib/clock.ts';
import type { Config } from '../../lib/config/schema.ts';
import { certificateFiles } from '../../lib/front/certificates.ts';
import { PROXY_CA_DAYS, PROXY_LEAF_DAYS, PROXY_LEAF_RENEW_MS } from '../../lib/front/limits.ts';

const DAY_MS = 86_400_000;

describe('front/certificates', () => {
  let dir: string;
  let clock: ManualClock;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'shoal-certs-'));
    clock = new ManualClock(Date.now());
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const config = (more: Partial<Config['ProxyConfig']> = {}): Config['ProxyConfig'] =>
    ({
      host: '127.0.0.1',
      certFile: '',
      keyFile: '',
      certDir: join(dir, 'certs'),
      registries: [{ p2pHost: 'mirror.example:65001', upstream: 'https://r.example' }],
      ...more,
    }) as Config['ProxyConfig'];
  const read = (name: string): string => readFileSync(join(dir, 'certs', name), 'utf8');
  const leaf = (): X509Certificate => new X509Certificate(read('proxy.crt'));

  it("uses the config's own certificate untouched", async () => {
    assert.deepEqual(
      await certificateFiles(config({ certFile: '/a.crt', keyFile: '/a.key' }), clock),
      { certFile: '/a.crt', keyFile: '/a.key' },
    );
    assert.deepEqual(readdirSync(dir), []);
  });

  it('makes a CA and a leaf for the names clients use; only the owner reads the keys', async () => {
    const files = await certificateFiles(config(), clock);
    assert.deepEqual(files, {
      certFile: join(dir, 'certs', 'proxy.crt'),
      keyFile: join(dir, 'certs', 'proxy.key'),
    });
    const authority = new X509Certificate(read('ca.crt'));
    assert.equal(leaf().verify(authority.publicKey), true);
    assert.equal(leaf().checkHost('mirror.example'), 'mirror.example');
    assert.equal(leaf().checkHost('localhost'), 'localhost');
    assert.equal(leaf().checkIP('127.0.0.1'), '127.0.0.1');
    for (const key of ['ca.key', 'proxy.key'])
      assert.equal(statSync(join(dir, 'certs', key)).mode & 0o077, 0, key);
    assert.deepEqual(readdirSync(join(dir, 'certs')).sort(), [
      'ca.crt',
      'ca.key',
      'proxy.crt',
      'proxy.key',
    ]);
  });

  it('keeps both over restarts', async () => {
    await certificateFiles(config(), clock);
    const before = [read('ca.crt'), read('proxy.crt'), read('proxy.key')];
    clock.advance(PROXY_LEAF_DAYS * DAY_MS - PROXY_LEAF_RENEW_MS - DAY_MS);
    await certificateFiles(config(), clock);
    assert.deepEqual([read('ca.crt'), read('proxy.crt'), read('proxy.key')], before);
  });

  it('renews a leaf that nears its end, under the same CA', async () => {
    await certificateFiles(config(), clock);
    const [ca, old] = [read('ca.crt'), read('proxy.crt')];
    clock.advance(PROXY_LEAF_DAYS * DAY_MS - PROXY_LEAF_RENEW_MS + DAY_MS);
    await certificateFiles(config(), clock);
    assert.equal(read('ca.crt'), ca);
    assert.notEqual(read('proxy.crt'), old);
    assert.equal(leaf().verify(new X509Certificate(ca).publicKey), true);
  });

  it('issues a new leaf when a name was added', async () => {
    await certificateFiles(config(), clock);
    const ca = read('ca.crt');
    await certificateFiles(
      config({ registries: [{ p2pHost: 'second.example', upstream: 'https://r.example' }] }),
      clock,
    );
    assert.equal(read('ca.crt'), ca);
    assert.equal(leaf().checkHost('second.example'), 'second.example');
  });

  it('takes an IPv6 address for one, whatever its form, and no name for a new one', async () => {
    const more = {
      host: '::',
      registries: [
        { p2pHost: '[fd00:0::2]:65001', upstream: 'https://r.example' },
        { p2pHost: '[2001:db8:0:1:1:1:1:1]', upstream: 'https://s.example' },
      ],
    };
    await certificateFiles(config(more), clock);
    const before = read('proxy.crt');
    assert.equal(leaf().checkIP('fd00::2'), 'fd00::2');
    assert.equal(leaf().checkIP('2001:db8:0:1:1:1:1:1'), '2001:db8:0:1:1:1:1:1');
    assert.doesNotMatch(leaf().subjectAltName ?? '', /DNS:\[|Address:(?:0:){7}0/);
    await certificateFiles(config(more), clock);
    assert.equal(read('proxy.crt'), before);
  });

  it('makes a new CA when the old one nears its end or is gone, and a leaf under it', async () => {
    for (const how of ['old', 'gone']) {
      await certificateFiles(config(), clock);
      const ca = read('ca.crt');
      if (how === 'old') clock.advance(PROXY_CA_DAYS * DAY_MS - PROXY_LEAF_RENEW_MS + DAY_MS);
      else unlinkSync(join(dir, 'certs', 'ca.key'));
      await certificateFiles(config(), clock);
      assert.notEqual(read('ca.crt'), ca);
      assert.equal(leaf().verify(new X509Certificate(read('ca.crt')).publicKey), true, how);
    }
  });

  it('names the setting when the directory cannot be used', async () => {
    writeFileSync(join(dir, 'certs'), 'a file');
    await assert.rejects(certificateFiles(config(), clock), {
      code: 'CONFIG_INVALID',
      message: /^ProxyConfig\.certDir: /,
    });
  });

  it('names the setting when what is there is no certificate', async () => {
    await certificateFiles(config(), clock);
    writeFileSync(join(dir, 'certs', 'ca.crt'), 'damaged');
    chmodSync(join(dir, 'certs', 'ca.crt'), 0o644);
    unlinkSync(join(dir, 'certs', 'proxy.crt'));
    await assert.rejects(certificateFiles(config(), clock), { code: 'CONFIG_INVALID' });
  });
});
