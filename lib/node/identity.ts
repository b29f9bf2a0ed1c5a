import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import type { readClusterSecret } from '../config/secret.ts';
import { ClusterSecret } from '../wire/secret.ts';

/**
 * Nodes without a secret find each other on loopback under this constant, which keeps out programs
 * that speak another protocol.
 */
const LOOPBACK_SECRET = Buffer.from('shoal without a cluster secret: loopback only');

interface SwarmSecret {
  secret: ClusterSecret;
  /** For a front thread: see ClusterSecret.ofHex. */
  hex: string;
}

/** The secret that a node signs with. Without one and without peers, it is random. */
export function swarmSecret(
  configured: ReturnType<typeof readClusterSecret>,
  { peers, roots }: Config['P2PConfig'],
): SwarmSecret {
  const all =
    configured.kind === 'secret'
      ? [configured.bytes, ...configured.accepted]
      : [peers.length + roots.length > 0 ? LOOPBACK_SECRET : randomBytes(32)];
  const hex = all.map((bytes) => Buffer.from(bytes).toString('hex')).join(',');
  return { secret: ClusterSecret.ofHex(hex), hex };
}

/**
 * The token that opens the pages. It is derived from the cluster secret, which cannot be derived
 * from it.
 */
export function readToken(secret: ClusterSecret): string {
  return secret.opaqueName('read-only token');
}
