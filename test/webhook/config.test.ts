import assert from 'node:assert/strict';
import { parseWebhookConfig } from '../../lib/webhook/config.ts';

describe("the webhook's config", () => {
  it('has defaults for every key', () => {
    const config = parseWebhookConfig('');
    assert.deepEqual(config.registries, [
      { host: '*.cr.aliyuncs.com', mode: 'rewrite', p2pHost: null },
    ]);
    assert.deepEqual(
      [config.p2pPort, config.listen.port, config.excludedNamespaces],
      [65_001, 8_443, ['kube-system']],
    );
  });

  it('lower-cases hosts', () => {
    const text =
      'registries:\n  - {host: "Reg.Example.com:5000", p2pHost: "P2P.local:1"}\n  - ' +
      '{host: "*", mode: mirror}\n';
    assert.deepEqual(parseWebhookConfig(text).registries, [
      { host: 'reg.example.com:5000', mode: 'rewrite', p2pHost: 'p2p.local:1' },
      { host: '*', mode: 'mirror', p2pHost: null },
    ]);
  });

  const wrong: [text: string, named: RegExp][] = [
    ['registry: []', /^registry: no such key$/],
    ['registries: x', /^registries: .*a list of entries/],
    ['registries: [{host: "https://a"}]', /^registries\.0\.host: .*a host glob/],
    ['registries: [{host: a, p2phost: b}]', /^registries\.0\.p2phost: no such key$/],
    ['registries: [{host: a, p2pHost: b}]', /^registries\.0\.p2pHost: .*host:port/],
    ['registries: [{host: a, mode: mirror, p2pHost: "b:1"}]', /nothing is rewritten/],
    ['registries: [{host: a, mode: both}]', /^registries\.0\.mode: .*rewrite or mirror/],
    ['listen: {port: 70000}', /^listen\.port: .*0 to 65535/],
    ['service: Not_A_Name', /^service: .*object name/],
    ['logLevel: loud', /^logLevel: .*one of trace/],
    ['- a', /^the file: .*keys with values/],
    ['a: [', /^not YAML: /],
  ];
  for (const [text, named] of wrong) {
    it(`says what is wrong with ${text}`, () => {
      assert.throws(
        () => parseWebhookConfig(text),
        (error: { code: string; message: string }) => {
          assert.equal(error.code, 'CONFIG_INVALID');
          assert.match(error.message, named);
          return true;
        },
      );
    });
  }

  it('reports every problem, one line each', () => {
    assert.throws(
      () => parseWebhookConfig('a: 1\nb: 2\np2pPort: 0'),
      (error: Error) => error.message.split('\n').length === 3,
    );
  });
});
