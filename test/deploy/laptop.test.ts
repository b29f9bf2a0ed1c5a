import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../lib/config/load.ts';
import { VERSION } from '../../lib/version.ts';

const IMAGE = `localhost/shoal:${VERSION}`;
const UPSTREAM = 'https://registry-1.docker.io';

describe('the agent of a laptop', () => {
  it('deploy/laptop.yaml has a config that a node accepts, and this version', () => {
    const [config, pod] = parseAllDocuments(readFileSync('deploy/laptop.yaml', 'utf8')).map(
      (document) => document.toJS() as Record<string, unknown>,
    );
    const { 'agent.yaml': text = '' } = config!['data'] as Record<string, string>;
    const { ProxyConfig } = parseConfig(parse(text) as Parameters<typeof parseConfig>[0]);
    assert.equal(ProxyConfig.registries[0]?.upstream, UPSTREAM);
    const { containers } = pod!['spec'] as { containers: { image: string }[] };
    assert.equal(containers[0]?.image, IMAGE);
  });

  it('deploy/compose.yaml has options that a node accepts, and this version', () => {
    const { services } = parse(readFileSync('deploy/compose.yaml', 'utf8')) as {
      services: { agent: { image: string; command: string[] } };
    };
    const [mode, ...options] = services.agent.command;
    assert.equal(mode, 'agent');
    const sets = options.map((option) => option.replace(/^--set=/, ''));
    const { ProxyConfig } = parseConfig({}, { sets });
    assert.equal(ProxyConfig.registries[0]?.upstream, UPSTREAM);
    assert.equal(services.agent.image, IMAGE);
  });
});
