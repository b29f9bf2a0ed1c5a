import { isatty } from 'node:tty';
import { systemClock } from './clock.ts';
import type { Config } from './config/schema.ts';
import { readClusterSecret, secretExposure } from './config/secret.ts';
import type { Membership } from './cluster/membership.ts';
import { openObservation, type Observation } from './control/watch/observation.ts';
import type { ShoalError } from './errors.ts';
import { DRAIN_DEADLINE_MS, REQUEST_HEAD_BYTES_MAX } from './limits.ts';
import { AdminSocket } from './node/admin-socket.ts';
import { buildDesk, type Desk } from './node/desk.ts';
import { startFronts, type Fronts } from './node/fronts.ts';
import { readToken, swarmSecret } from './node/identity.ts';
import {
  claimListeners,
  looksBeyondLoopback,
  pageAddress,
  readyAddresses,
  type Listeners,
} from './node/listeners.ts';
import { assertDescriptors, connectionsMax } from './node/descriptors.ts';
import { readOriginOptions, type NodeOriginOptions } from './node/origin-options.ts';
import { discoverMembers } from './node/members.ts';
import { Reload } from './node/reload.ts';
import type { NodeStartOptions, RunningNode } from './node/running-node.ts';
import { buildShards, type Shards } from './node/shards.ts';
import { thisUser } from './node/run-directory.ts';
import { openStorage, type Storage } from './node/storage.ts';
import { Vouching } from './registry/vouching.ts';
import type { Readiness } from './telemetry/health.ts';
import { logFormat } from './telemetry/log-format.ts';
import { openTracer } from './telemetry/tracing.ts';
import { VERSION } from './version.ts';
import { Envelope } from './wire/envelope.ts';

/** A node whose parts are built, before it serves. */
interface BuiltNode {
  config: Config;
  at: Listeners;
  readiness: Readiness & { problems: string[] };
  observation: Observation;
  storage: Storage;
  shards: Shards;
  membership: Membership;
  vouching: Vouching;
  origin: NodeOriginOptions;
  summaries: Desk['summaries'];
  pages: Desk['pages'];
  admin: AdminSocket | null;
  /** Starts the front threads; see startFronts. */
  startFronts(gaveUp: (error: ShoalError) => void): Promise<Fronts>;
}

/**
 * Builds a node from its config and starts it; resolves once it serves. Throws what keeps it from
 * starting: PORT_IN_USE, CACHE_DIR_UNUSABLE, LIMIT_TOO_LOW, CONFIG_INVALID.
 */
export async function startNode(
  config: Config,
  options: NodeStartOptions = {},
): Promise<RunningNode> {
  // uWebSockets.js reads this when it is first loaded.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(REQUEST_HEAD_BYTES_MAX);
  return start(await build(config, options.frontThreads ?? 1));
}

async function build(config: Config, frontCount: number): Promise<BuiltNode> {
  assertDescriptors(frontCount);
  const clock = systemClock;
  const configured = readClusterSecret(config);
  const at = await claimListeners(config, configured.kind === 'secret');
  const { mode } = config.DeployConfig;
  const tracer = await openTracer(process.env, { node: at.node, version: VERSION, mode });
  const observation = openObservation({
    ...{ config, node: at.node, clock, tracer },
    format: await logFormat(isatty(2), process.env),
  });
  if (configured.kind === 'none' && looksBeyondLoopback(config.P2PConfig))
    observation.log.warn(
      { code: 'CONFIG_INVALID' },
      'peers on other machines are ignored, as no cluster secret is set; set P2PConfig.secretFile',
    );
  const { secretFile } = config.P2PConfig;
  const exposure = secretFile === '' ? null : secretExposure(secretFile);
  if (exposure !== null)
    observation.log.warn(
      { code: 'CONFIG_INVALID' },
      `${exposure}; run \`chmod 600 ${secretFile}\``,
    );
  const { secret, hex: secretHex } = swarmSecret(configured, config.P2PConfig);
  const envelope = new Envelope({ secret, self: at.node, wallMs: clock.wallMs });
  const readiness: BuiltNode['readiness'] = { phase: 'starting', problems: [] };

  const origin = await readOriginOptions(config);
  warnOfUnverified(config, observation.log);
  const vouching = new Vouching(config.ProxyConfig);
  const storage = await openStorage(config, origin, frontCount, vouching, observation, clock);
  const shared = { config, node: at.node, storage, vouching, envelope, observation, clock };
  const shards = buildShards({ ...shared, mode, random: Math.random });
  const membership = await discoverMembers({
    ...shared,
    pools: storage.pools,
    secret: configured.kind === 'secret' ? secret : null,
  });
  const {
    parts: desk,
    summaries,
    pages,
  } = buildDesk({
    ...shared,
    ...{ shards, secret, readiness },
    page: pageAddress(config, at),
    membership,
    readToken: configured.kind === 'secret' ? readToken(secret) : null,
  });
  return {
    config,
    at,
    readiness,
    observation,
    storage,
    shards,
    membership,
    vouching,
    origin,
    summaries,
    pages,
    admin: null,
    startFronts: (gaveUp) =>
      startFronts({ ...shared, origin, at, frontCount, secretHex, desk, gaveUp }),
  };
}

/** A reload of what a running node takes up. */
function reloadOf(node: BuiltNode, fronts: Fronts): Reload {
  const { config, origin, observation, storage, vouching } = node;
  const { log } = observation;
  return new Reload(
    {
      log,
      async apply(fresh, options) {
        warnOfUnverified(fresh, log);
        // First what may be dialled, then what requests are routed to.
        await storage.pools.configure(options);
        vouching.configure(options);
        fronts.configure(fresh.ProxyConfig, options);
      },
    },
    config,
    origin,
  );
}

function warnOfUnverified({ ProxyConfig }: Config, log: Observation['log']): void {
  for (const { upstream, insecureSkipVerify } of ProxyConfig.registries)
    if (insecureSkipVerify === true)
      log.warn(
        { code: 'CONFIG_INVALID' },
        `insecureSkipVerify: the certificate of ${upstream} is not verified; whoever is on the ` +
          'way can read credentials and change bytes; name its CA in caFile instead',
      );
}

async function start(node: BuiltNode): Promise<RunningNode> {
  const { config, at, readiness, observation, storage, shards } = node;
  const { log } = observation;
  await shards.swarm.join(node.membership);
  // A node that no longer listens must not look alive: it exits, and is started again.
  const fronts = await node.startFronts((error) => {
    if (readiness.phase === 'serving')
      queueMicrotask(() => process.emit('uncaughtException', error));
  });
  readiness.problems.push('the transfer threads are still starting');
  const { lowWater } = await storage.pools.ready();
  if (lowWater !== '')
    log.info({ reason: lowWater }, 'receiving with the kernel defaults, which costs more CPU time');
  fronts.limitConnections(connectionsMax());
  readiness.problems.pop();
  readiness.phase = 'serving';
  node.summaries.start();
  node.admin = await openAdminSocket(node);
  log.info(
    { proxy: at.proxy.port, p2p: at.p2p.port, exporter: at.exporter?.port ?? null },
    'serving',
  );
  const reload = reloadOf(node, fronts);
  return {
    ready: readyAddresses(config, at),
    drain: () => drain(node, fronts),
    reload: (read) => reload.run(read),
  };
}

/** A node without its admin socket serves as well: only `shoal status` has to ask elsewhere. */
async function openAdminSocket({ at, pages, observation }: BuiltNode): Promise<AdminSocket | null> {
  try {
    return await AdminSocket.open(at.node, thisUser(), pages);
  } catch (error) {
    observation.log.warn(
      { err: error },
      'no admin socket: `shoal status` works through the exporter port only; give the node a ' +
        'folder of its own in RUNTIME_DIRECTORY',
    );
    return null;
  }
}

/** Answers in flight still need the swarm, its clock and the disk: the fronts drain first. */
async function drain(
  { readiness, observation, storage, shards, summaries, admin }: BuiltNode,
  fronts: Fronts,
): Promise<void> {
  readiness.phase = 'draining';
  const { log } = observation;
  log.info({ deadlineMs: DRAIN_DEADLINE_MS }, 'told to stop; finishing the answers under way');
  summaries.stop();
  storage.settle();
  await fronts.drain();
  await admin?.close();
  shards.offers.close();
  await shards.swarm.leave();
  await storage.close();
  log.info('stopped');
  await observation.close();
}
