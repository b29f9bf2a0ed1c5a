import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { FrontDesk, type ControlParts } from '../control/control.ts';
import { startFront, type Front } from '../control/fronts.ts';
import { CertificateWatch } from '../control/watch/certificate-watch.ts';
import type { Observation } from '../control/watch/observation.ts';
import type { ShoalError } from '../errors.ts';
import { certificateFiles, certificateText } from '../front/certificates.ts';
import { Throttle } from '../front/throttle.ts';
import { DRAIN_DEADLINE_MS } from '../limits.ts';
import { FRONT_DEATHS_MAX, FRONT_DEATHS_MS } from './limits.ts';
import type { Listeners } from './listeners.ts';
import type { NodeOriginOptions } from './origin-options.ts';
import type { Storage } from './storage.ts';

export interface FrontInputs {
  config: Config;
  origin: NodeOriginOptions;
  at: Listeners;
  frontCount: number;
  /** The cluster secrets for ClusterSecret.ofHex. */
  secretHex: string;
  storage: Storage;
  observation: Observation;
  clock: Clock;
  desk: ControlParts;
  /** Front threads end again and again: the node cannot go on. */
  gaveUp(error: ShoalError): void;
}

/** The front threads, listening. */
export interface Fronts {
  /** Resolves when every answer is out, or DRAIN_DEADLINE_MS later. */
  drain(): Promise<void>;
  /** More connections than this, of clients and peers together, are closed as they come. */
  limitConnections(max: number): void;
  /** From here on requests are routed by this config. */
  configure(config: Config['ProxyConfig'], origin: NodeOriginOptions): void;
}

/** Starts the front threads. Throws PORT_IN_USE or CONFIG_INVALID. */
export async function startFronts(inputs: FrontInputs): Promise<Fronts> {
  const { config, at, frontCount, storage, observation, clock, desk, gaveUp } = inputs;
  const { DeployConfig, ProxyConfig } = config;
  const tls = ProxyConfig.tls ? await certificateFiles(ProxyConfig, clock) : null;
  const throttle = Throttle.createShared();
  const fronts: Front[] = [];
  let { origin } = inputs;
  let connectionsMax = Number.POSITIVE_INFINITY;
  let draining = false;
  let deathsMs: number[] = [];

  async function startOne(bell: number): Promise<void> {
    const start = {
      arena: storage.arena.shared,
      doorbells: storage.doorbells.shared,
      bell,
      throttle,
      meters: observation.meters,
      meterRow: 1 + bell,
      sharesPorts: frontCount > 1,
      config: {
        node: at.node,
        mode: DeployConfig.mode,
        proxy: { ...at.proxy, tls },
        p2p: at.p2p,
        exporter: at.exporter,
        prefix: ProxyConfig.prefix,
        registries: origin.registries,
        allow: origin.allow,
        mirrorStates: origin.mirrorStates,
        audit: DeployConfig.logAudit,
        secret: inputs.secretHex,
        throttleLimitMB: ProxyConfig.throttleLimitMB,
        tracing: observation.journal.tracer !== null,
      },
    };
    const front = await startFront(
      start,
      storage.frontReads,
      (send) => new FrontDesk(desk, send),
      (error) => void again(bell, error),
    );
    fronts[bell] = front;
    front.send({ kind: 'connections', max: connectionsMax });
    if (draining) await front.drain(DRAIN_DEADLINE_MS);
  }

  /** The thread's clients have lost their connections; they find the next one on the same ports. */
  async function again(bell: number, error: ShoalError): Promise<void> {
    if (draining) return;
    observation.meter.count('thread.front');
    observation.log.error(
      { err: error, thread: 'front' },
      'a front thread ended; starting another',
    );
    const nowMs = clock.nowMs();
    deathsMs = [...deathsMs.filter((ms) => nowMs - ms < FRONT_DEATHS_MS), nowMs];
    if (deathsMs.length > FRONT_DEATHS_MAX) return gaveUp(error);
    try {
      await startOne(bell);
    } catch (thrown) {
      gaveUp(thrown as ShoalError);
    }
  }

  for (let bell = 0; bell < frontCount; bell++) await startOne(bell);
  let current = ProxyConfig;
  const certificates = tls === null ? null : await watchCertificates(inputs, fronts, () => current);
  return {
    limitConnections(max) {
      connectionsMax = Math.ceil(max / frontCount);
      for (const front of fronts) front.send({ kind: 'connections', max: connectionsMax });
    },
    configure(config, options) {
      current = config;
      origin = options;
      const { registries, allow, mirrorStates } = options;
      for (const front of fronts) front.send({ kind: 'routes', registries, allow, mirrorStates });
    },
    async drain() {
      draining = true;
      certificates?.close();
      await Promise.all(fronts.map((front) => front.drain(DRAIN_DEADLINE_MS)));
    },
  };
}

async function watchCertificates(
  { clock, observation: { log } }: FrontInputs,
  fronts: readonly Front[],
  current: () => Config['ProxyConfig'],
): Promise<CertificateWatch> {
  const read = (): Promise<string> => certificateText(current(), clock);
  return new CertificateWatch(
    {
      clock,
      read,
      changed() {
        for (const front of fronts) front.send({ kind: 'certificate' });
        log.info('the proxy uses a new certificate');
      },
      failed: (error) => log.warn({ err: error }, "cannot read the proxy's certificate"),
    },
    await read(),
  );
}
