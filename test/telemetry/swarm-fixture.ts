import type { AgedSummary } from '../../lib/telemetry/node-summary.ts';
import { buildSwarmStatus, type SwarmStatus } from '../../lib/telemetry/swarm-status.ts';

export const IMAGE = 'registry.example:5000/team/backend/service-with-a-long-name:v1.24.3';
export const IMAGE_DIGEST = `sha256:dd65726c224b${'0'.repeat(52)}`;
const SIZE_BYTES = 536_870_912;
const RATE = 110e6;

export function nodeName(i: number): string {
  return `10.0.${Math.floor(i / 200)}.${(i % 200) + 1}:65002`;
}

/** A node that pulls at the median rate and has `share` of the image. */
export function row(i: number, share = 0.5, changes: Partial<AgedSummary> = {}): AgedSummary {
  const bytes = Math.round(SIZE_BYTES * share);
  return {
    node: nodeName(i),
    role: i < 2 ? 'root' : 'agent',
    version: '0.1.0',
    uptimeSeconds: 3_600 + i,
    notReady: [],
    page: `http://10.0.${Math.floor(i / 200)}.${(i % 200) + 1}:65003`,
    bytes: {
      origin: i < 2 ? SIZE_BYTES / 2 : 0,
      peer: bytes,
      cache: 0,
      client: bytes,
      upload: bytes,
    },
    rates: { origin: i < 2 ? 60e6 : 0, peer: RATE, cache: 0, client: RATE + i * 997, upload: RATE },
    cache: { usedBytes: 1e9 + i * 1e6, capacityBytes: 4_294_967_296, suspended: false },
    waiting: 0,
    errors: { count: 0, lastCode: null },
    troubled: [],
    images: [
      {
        image: IMAGE,
        digest: IMAGE_DIGEST,
        bytes,
        sizeBytes: SIZE_BYTES,
        running: share < 1,
        failed: false,
      },
    ],
    blobs: [{ blob: IMAGE_DIGEST, totalBytes: SIZE_BYTES }],
    ageMs: 700,
    ...changes,
  };
}

/** A pull of `nodes` nodes half-way, with one node of each kind of trouble. */
export function busySwarm(nodes: number, atMs: number, step = 0): SwarmStatus {
  const members = Array.from({ length: nodes }, (_, i) => ({
    node: nodeName(i),
    role: i < 2 ? ('root' as const) : ('agent' as const),
    zone: `zone-${'abc'[i % 3]}`,
  }));
  const rows = members.flatMap((_, i) => {
    const share = Math.min(1, ((i * 37) % 120) / 100 + step * 0.1);
    if (i === 7) return [row(i, 0.05, { rates: { ...row(i).rates, client: 1_200_000 } })];
    if (i === 11) return [row(i, 0.3, { notReady: ['the cache disk is full'] })];
    if (i === 13) return [row(i, 0.2, { ageMs: 65_000 })];
    if (i === 17) return [];
    if (i === 19) return [row(i, 0.4, { errors: { count: 3, lastCode: 'PEER_TIMEOUT' } })];
    return [row(i, share)];
  });
  const history = Array.from({ length: 400 }, (_, i) => {
    const wave = 1 + Math.sin(i / 30);
    return {
      atMs: atMs - (400 - i) * 9_000,
      origin: Math.round(2e8 * wave),
      peer: Math.round(9e9 * wave),
      cache: Math.round(1e9 * (2 - wave)),
      client: Math.round(1e10 * wave),
    };
  });
  return buildSwarmStatus({ self: nodeName(3), head: nodeName(0), atMs, members, rows, history });
}
