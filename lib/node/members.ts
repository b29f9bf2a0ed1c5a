import type { Clock } from '../clock.ts';
import { discover } from '../cluster/discovery.ts';
import type { Feed } from '../cluster/fed-membership.ts';
import type { Membership } from '../cluster/membership.ts';
import type { Config } from '../config/schema.ts';
import { PeerCalls } from '../control/peers/calls.ts';
import type { Pools } from '../control/threads/pools.ts';
import type { Observation } from '../control/watch/observation.ts';
import type { Envelope } from '../wire/envelope.ts';
import { MEMBERS_ANSWER_BYTES_MAX } from '../wire/limits.ts';
import type { ClusterSecret } from '../wire/secret.ts';

interface MemberParts {
  config: Config;
  /** This node's name. */
  node: string;
  pools: Pick<Pools, 'run'>;
  envelope: Envelope;
  /** null: other machines cannot be asked. */
  secret: ClusterSecret | null;
  observation: Observation;
  clock: Clock;
}

/**
 * The membership that the config asks for. Throws CONFIG_INVALID when its discovery is not possible
 * here.
 */
export async function discoverMembers(parts: MemberParts): Promise<Membership> {
  const { config, secret, observation, clock } = parts;
  return await discover(config.P2PConfig, {
    clock,
    random: Math.random,
    env: process.env,
    onError: (error) =>
      observation.log.warn(
        { err: error },
        'membership refresh failed; keeping the last known members',
      ),
    feed: secret === null ? null : feedOf(parts, secret),
  });
}

function feedOf(
  { config, node, pools, envelope, observation }: MemberParts,
  secret: ClusterSecret,
): Feed {
  const calls = new PeerCalls(pools, envelope);
  return {
    self: node,
    isRoot: config.DeployConfig.mode === 'root',
    secret,
    count: (event) => observation.meter.count(`members.${event}`),
    async ask(peer, path, deadlineMs) {
      const answer = await calls.call(peer, path, {
        deadlineMs,
        answerBytesMax: MEMBERS_ANSWER_BYTES_MAX,
      });
      return answer.kind === 'answer' && answer.status === 200
        ? Buffer.from(answer.body).toString('utf8')
        : null;
    },
  };
}
