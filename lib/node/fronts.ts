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
  /** A front thread ended unasked. */
  died(error: ShoalError): void;
}

/** The front threads, listening. */
export interface Fronts {
  /** Resolves when every answer is out, or DRAIN_DEADLINE_MS later. */
  drain(): Promise<void>;
  /** From here on requests are routed by this config. */
  configure(config: Config['ProxyConfig'], origin: NodeOriginOptions): void;
}

/** Starts the front threads. Throws PORT_IN_USE or CONFIG_INVALID. */
export async function startFronts(inputs: FrontInputs): Promise<Fronts> {
  const { config, origin, at, frontCount, storage, observation, clock, desk, died } = inputs;
  const { DeployConfig, ProxyConfig } = config;
  const tls = ProxyConfig.tls ? await certificateFiles(ProxyConfig, clock) : null;
  const throttle = Throttle.createShared();
  const fronts: Front[] = [];
  for (let bell = 0; bell < frontCount; bell++) {
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
      },
    };
    fronts.push(await startFront(start, (send) => new FrontDesk(desk, send), died));
  }
  let current = ProxyConfig;
  const certificates = tls === null ? null : await watchCertificates(inputs, fronts, () => current);
  return {
    configure(config, { registries, allow, mirrorStates }) {
      current = config;
      for (const front of fronts) front.send({ kind: 'routes', registries, allow, mirrorStates });
    },
    async drain() {
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
