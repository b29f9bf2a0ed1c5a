import { formatHostPort, parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { errorFixes } from '../error-fixes.ts';
import { readClusterSecret } from '../config/secret.ts';
import { Envelope } from '../wire/envelope.ts';
import { parseRefusal } from '../wire/refusal.ts';
import { recallPath } from '../wire/recall.ts';
import { ClusterSecret } from '../wire/secret.ts';
import { ask } from './ask.ts';
import { discoveredNodes } from './discovery.ts';
import { failed, ok, reasonOf, type Finding } from './finding.ts';
import { CHECK_PEERS_MAX, CHECK_TIMEOUT_MS } from './limits.ts';

/** Asks every node that the config names, or discovery finds, a signed question. */
export async function checkPeers(
  config: Config,
  wallMs: () => number,
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<Finding[]> {
  const secret = readClusterSecret(config);
  if (secret.kind !== 'secret') return [];
  const self = formatHostPort(config.DeployConfig.node, config.P2PConfig.port);
  const envelope = new Envelope({ secret: new ClusterSecret(secret.bytes), self, wallMs });
  const nodes = await discoveredNodes(config.P2PConfig, timeoutMs);
  if (!Array.isArray(nodes)) return [nodes];
  const others = nodes.filter((node) => node !== self).slice(0, CHECK_PEERS_MAX);
  return Promise.all(others.map((node) => checkPeer(node, envelope, timeoutMs)));
}

const NO_NODE = 'check address and port; the p2p port is 65002 by default (P2PConfig.port)';

async function checkPeer(node: string, envelope: Envelope, timeoutMs: number): Promise<Finding> {
  const name = `peer ${node}`;
  const path = recallPath(['0'.repeat(64)]);
  try {
    const headers = envelope.headers(node, path);
    const { status, text } = await ask(
      'http',
      { ...parseHostPort(node)!, path, headers },
      timeoutMs,
    );
    if (status === 200) return ok(name, 'answers, with the same secret');
    const refusal = parseRefusal(JSON.parse(text));
    return refusal === null
      ? failed(name, `answers ${status}, and no reason`, NO_NODE)
      : failed(name, `refuses this node: ${refusal.message}`, errorFixes[refusal.code].fix);
  } catch (error) {
    const reason = reasonOf(error);
    if (error instanceof SyntaxError || reason.startsWith('HPE_'))
      return failed(name, 'is not the p2p port of a node', NO_NODE);
    return reason === 'ECONNREFUSED'
      ? failed(name, 'connection refused', 'start the node there, or check its P2PConfig.port')
      : failed(
          name,
          reason === 'ETIMEDOUT' ? `no answer within ${timeoutMs / 1000} s` : reason,
          'check the route, and that firewalls and network policies let the p2p port through',
        );
  }
}
