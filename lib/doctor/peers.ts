import { formatHostPort, parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { errorFixes } from '../error-fixes.ts';
import { readClusterSecret } from '../config/secret.ts';
import { Envelope } from '../wire/envelope.ts';
import { CLOCK_SKEW_MS_MAX } from '../wire/limits.ts';
import { parseRefusal } from '../wire/refusal.ts';
import { recallPath } from '../wire/recall.ts';
import { ClusterSecret } from '../wire/secret.ts';
import { ask, type Answer } from './ask.ts';
import { discoveredNodes } from './discovery.ts';
import { failed, ok, reasonOf, warning, type Finding } from './finding.ts';
import { CHECK_PEERS_MAX, CHECK_TIMEOUT_MS, CLOCK_SKEW_NOTICED_MS } from './limits.ts';

/** Asks every node that the config names, or discovery finds, a signed question. */
export async function checkPeers(
  config: Config,
  wallMs: () => number,
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<Finding[]> {
  const secret = readClusterSecret(config);
  if (secret.kind !== 'secret') return [];
  const self = formatHostPort(config.DeployConfig.node, config.P2PConfig.port);
  const clusterSecret = new ClusterSecret(secret.bytes);
  const asking: Asking = (node, shiftMs) => {
    const path = recallPath(['0'.repeat(64)]);
    const shifted = (): number => wallMs() + shiftMs;
    const envelope = new Envelope({ secret: clusterSecret, self, wallMs: shifted });
    const headers = envelope.headers(node, path);
    return ask('http', { ...parseHostPort(node)!, path, headers }, timeoutMs);
  };
  const nodes = await discoveredNodes(config.P2PConfig, timeoutMs);
  if (!Array.isArray(nodes)) return [nodes];
  const others = nodes.filter((node) => node !== self).slice(0, CHECK_PEERS_MAX);
  return Promise.all(others.map((node) => checkPeer(node, asking, timeoutMs)));
}

/** Asks a node a question, signed as if this machine's clock was off by so much. */
type Asking = (node: string, shiftMs: number) => Promise<Answer>;

const NO_NODE = 'check address and port; the p2p port is 65002 by default (P2PConfig.port)';

async function checkPeer(node: string, asking: Asking, timeoutMs: number): Promise<Finding> {
  const name = `peer ${node}`;
  try {
    const { status, text } = await asking(node, 0);
    if (status === 200) return await checkClock(node, asking);
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

/**
 * A node refuses what is signed more than CLOCK_SKEW_MS_MAX from its own time. One that refuses it
 * sooner has another time.
 */
async function checkClock(node: string, asking: Asking): Promise<Finding> {
  const name = `peer ${node}`;
  const shiftMs = CLOCK_SKEW_MS_MAX - CLOCK_SKEW_NOTICED_MS;
  const [ahead, behind] = await Promise.all([asking(node, shiftMs), asking(node, -shiftMs)]);
  if (ahead.status === 200 && behind.status === 200)
    return ok(name, 'answers, with the same secret and time');
  return warning(
    name,
    `its clock is more than ${CLOCK_SKEW_NOTICED_MS / 1000} s ` +
      `${ahead.status === 200 ? 'ahead of' : 'behind'} that of this machine; at ` +
      `${CLOCK_SKEW_MS_MAX / 1000} s nodes refuse each other`,
    'synchronize the clocks of both machines (`timedatectl`)',
  );
}
