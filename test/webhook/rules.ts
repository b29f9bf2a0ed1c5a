import type { RegistryRules } from '../../lib/webhook/registry-rule.ts';

/**
 * The rules most tests run on: ACR, two registries with P2P hosts of their own, one by mirror only.
 */
export const rules: RegistryRules = {
  registries: [
    { host: 'mirrored.cr.aliyuncs.com', mode: 'mirror', p2pHost: null },
    { host: '*.cr.aliyuncs.com', mode: 'rewrite', p2pHost: null },
    { host: 'registry.example.com:5000', mode: 'rewrite', p2pHost: 'p2p.example.com:65001' },
    { host: 'docker.io', mode: 'rewrite', p2pHost: 'hub.p2p.local:65001' },
  ],
  p2pPort: 65_001,
};

export const ACR = 'test-registry-vpc.cn-hangzhou.cr.aliyuncs.com';
export const ACR_P2P = 'test-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com:65001';
