import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../lib/config/load.ts';
import { VERSION } from '../../lib/version.ts';

describe('deploy/laptop.yaml', () => {
  const [config, pod] = parseAllDocuments(readFileSync('deploy/laptop.yaml', 'utf8')).map(
    (document) => document.toJS() as Record<string, unknown>,
  );

  it('has a config that a node accepts', () => {
    const { 'agent.yaml': text = '' } = config!['data'] as Record<string, string>;
    const { ProxyConfig } = parseConfig(parse(text) as Parameters<typeof parseConfig>[0]);
    assert.equal(ProxyConfig.registries[0]?.upstream, 'https://registry-1.docker.io');
  });

  it('runs the image of this version', () => {
    const { containers } = pod!['spec'] as { containers: { image: string }[] };
    assert.equal(containers[0]?.image, `localhost/shoal:${VERSION}`);
  });
});
