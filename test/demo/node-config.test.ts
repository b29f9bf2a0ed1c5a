import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseConfig } from '../../lib/config/load.ts';
import type { Sections } from '../../lib/config/override.ts';
import { PORTS_PER_NODE, planNodes } from '../../lib/demo/node-config.ts';

describe('the configs of `shoal up`', () => {
  const layout = {
    dir: '/tmp/up',
    agents: 2,
    upstream: 'http://127.0.0.1:5000',
    allow: ['store.example'],
    imageBytes: 500_000_000,
  };

  it('name the nodes to each other, and no others', () => {
    const [root, first, second] = planNodes(
      layout,
      [1001, 2001, 3001, 1002, 2002, 3002, 1003, 2003, 3003],
    ).map(({ config }) => parseConfig(config as Sections, { env: {} }));
    for (const config of [root!, first!, second!]) {
      assert.deepEqual(
        [config.P2PConfig.roots, config.P2PConfig.peers],
        [['127.0.0.1:1001'], ['127.0.0.1:1002', '127.0.0.1:1003']],
      );
      assert.deepEqual(
        [config.DeployConfig.node, config.ProxyConfig.host],
        ['127.0.0.1', '127.0.0.1'],
      );
      assert.equal(config.P2PConfig.secretFile, '/tmp/up/cluster-secret');
    }
    assert.deepEqual([root!.DeployConfig.mode, first!.DeployConfig.mode], ['root', 'agent']);
    assert.deepEqual(
      [second!.P2PConfig.port, second!.ProxyConfig.port, second!.ExporterConfig.port],
      [1003, 2003, 3003],
    );
    assert.equal(new Set([root!, first!, second!].map((config) => config.CacheConfig.dir)).size, 3);
  });

  it('are valid, and hold the image, whatever its size and the number of nodes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 40 }),
        fc.integer({ min: 1, max: 64 }),
        (imageBytes, agents) => {
          const ports = Array.from(
            { length: (agents + 1) * PORTS_PER_NODE },
            (_, index) => 1000 + index,
          );
          for (const { config } of planNodes({ ...layout, agents, imageBytes }, ports)) {
            assert(parseConfig(config as Sections, { env: {} }).CacheConfig.capacity > imageBytes);
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});
