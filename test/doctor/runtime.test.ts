import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../lib/config/load.ts';
import { checkRuntime } from '../../lib/doctor/runtime.ts';

describe('shoal doctor on the container runtime', () => {
  const directory = mkdtempSync(join(tmpdir(), 'shoal-doctor-'));
  after(() => rmSync(directory, { recursive: true }));

  it('looks at containerd: config_path, hosts.toml and the name of the P2P host', async () => {
    const config = parseConfig({
      ProxyConfig: {
        registries: [
          { upstream: 'https://r.example' },
          { p2pHost: 'localhost:65001', upstream: 'https://r.example' },
          { p2pHost: 'p2p.invalid:65001', upstream: 'https://r.example' },
        ],
      },
    });
    const places = {
      containerdConfig: join(directory, 'config.toml'),
      certsDir: join(directory, 'certs.d'),
    };
    writeFileSync(places.containerdConfig, 'version = 2\n');
    const details = (await checkRuntime(config, places)).map(
      ({ check, outcome, detail }) => `${outcome} ${check}: ${detail}`,
    );
    assert.match(details[0]!, /^failed containerd: containerd does not read .*certs\.d/);
    assert.match(details[1]!, /^warning runtime: r\.example: .* names no mirror/);
    assert.match(details[2]!, /^ok runtime: localhost:65001: resolves to this machine/);
    assert.match(details[3]!, /^failed runtime: p2p\.invalid:65001: does not resolve/);
  });
});
