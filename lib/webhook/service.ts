import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { KubeClient, KubeError } from '../cluster/kubernetes/client.ts';
import { CertificateKeeper } from './certificate-keeper.ts';
import type { KeyedCertificate } from '../tls/authority.ts';
import type { WebhookConfig } from './config.ts';
import { Controller } from './controller.ts';
import { CopyKeeper } from './copy-keeper.ts';
import { EventRecorder } from './event-recorder.ts';
import { LeaderElection } from './lease.ts';
import { WebhookMetrics } from './metrics.ts';
import { NamespaceSurvey } from './namespace-survey.ts';
import { NodeSurvey } from './node-survey.ts';
import type { RegistryRules } from './registry-rule.ts';
import { Reviewer } from './reviewer.ts';
import { SecretStore } from './secret-store.ts';
import { WebhookServer } from './server.ts';

interface WebhookContext {
  client: KubeClient;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Namespace of the webhook's own objects. */
  namespace: string;
  /** Unique identity of this replica. */
  identity: string;
}

/**
 * One replica of the webhook: server, certificate, pull secrets, and the controller on the leader.
 */
export class WebhookService {
  readonly server: WebhookServer;
  readonly metrics = new WebhookMetrics();
  readonly #store: SecretStore;
  readonly #namespaces: NamespaceSurvey;
  readonly #nodes: NodeSurvey | null;
  readonly #controller: Controller;
  readonly #certificates: CertificateKeeper;
  readonly #election: LeaderElection;
  readonly #log: Logger;
  readonly #failed = Promise.withResolvers<never>();
  #isDraining = false;
  #electing = false;

  constructor(config: WebhookConfig, context: WebhookContext) {
    const { client, clock, random, log, namespace, identity } = context;
    const rules: RegistryRules = {
      registries: config.registries,
      p2pPort: config.p2pPort,
      ...(config.p2pHosts === undefined ? {} : { p2pHosts: config.p2pHosts }),
      excludedImages: config.excludedImages,
      credentialProviderImages: config.credentialProviderImages,
    };
    this.#log = log;
    this.#store = new SecretStore({
      client,
      namespaces: config.secretNamespaces,
      clock,
      random,
      onChange: (keys) => this.#secretsChanged(keys),
      onError: (error: KubeError) => log.warn({ err: error }, 'cannot watch pull secrets'),
    });
    this.#namespaces = new NamespaceSurvey({
      client,
      clock,
      random,
      copyDefault: config.secretCopies,
      excluded: new Set([...config.excludedNamespaces, namespace]),
      namespaces: config.secretNamespaces,
      onChange: (names) => this.#namespacesChanged(names),
      onError: (error: KubeError) => log.warn({ err: error }, 'cannot watch namespaces'),
    });
    const keeper = new CopyKeeper(client, this.#store, rules, this.#namespaces);
    const events = !config.events
      ? null
      : new EventRecorder({
          client,
          clock,
          component: config.service,
          onError: (error) => log.debug({ err: error }, 'cannot write an Event'),
          onDrop: () => this.metrics.eventDropped(),
        });
    this.#nodes = !config.nodeReports
      ? null
      : new NodeSurvey({
          client,
          clock,
          random,
          namespace,
          newNodesWait: config.newNodesWait,
          onChange: (configured, obstructed) => {
            this.metrics.nodes(configured, obstructed.length);
            // Every replica sees the reports; one of them tells.
            if (!this.leads) return;
            for (const { node, obstacles } of obstructed)
              void events?.obstructed(node, obstacles.join('\n'));
          },
          onError: (error: KubeError) => log.warn({ err: error }, 'cannot watch nodes'),
        });
    const reviewer = new Reviewer({
      rules,
      store: this.#store,
      keeper,
      policy: this.#namespaces,
      client,
      clock,
      log,
      metrics: this.metrics,
      ...(this.#nodes === null ? {} : { nodes: this.#nodes }),
      ...(events === null ? {} : { events }),
    });
    this.#controller = new Controller({
      store: this.#store,
      keeper,
      clock,
      random,
      log,
      onOutcome: (outcome) => this.metrics.copied(outcome),
    });
    this.#election = new LeaderElection({
      client,
      clock,
      namespace,
      name: config.lease,
      identity,
      onChange: (leads) => this.#lead(leads),
      onError: (error) => log.warn({ err: error }, 'leader election'),
    });
    this.server = new WebhookServer({
      ...config.listen,
      answer: (body, entry) => reviewer.answer(body, entry),
      notReady: () => this.notReady(),
      metrics: () => this.metrics.text(),
    });
    this.#certificates = new CertificateKeeper({
      client,
      clock,
      random,
      log,
      namespace,
      secretName: config.certificateSecret,
      webhookConfiguration: config.webhookConfiguration,
      names: [...serviceNames(config.service, namespace), ...config.certificateNames],
      onLeaf: (leaf) => this.#useLeaf(leaf),
    });
    // `failed` may have no listener yet.
    this.#failed.promise.catch(() => {});
  }

  /** Rejects when the replica cannot continue because its port is taken. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  get leads(): boolean {
    return this.#election.leads;
  }

  /** Why the replica is not ready to review; null when it is. */
  notReady(): string | null {
    if (this.#isDraining) return 'draining';
    if (this.server.port === null) return 'no certificate yet';
    if (!this.#certificates.isReady)
      return 'the webhook configuration does not trust the certificate yet';
    if (!this.#namespaces.isSynced) return 'namespaces are not listed yet';
    if (this.#nodes?.isSynced === false) return 'nodes are not listed yet';
    return this.#store.isSynced ? null : 'pull secrets are not listed yet';
  }

  start(): void {
    this.#store.start();
    this.#namespaces.start();
    this.#nodes?.start();
    this.#certificates.start();
  }

  /** Reports not ready; reviews are still answered. */
  drain(): void {
    this.#isDraining = true;
  }

  async stop(): Promise<void> {
    this.drain();
    this.#controller.stop();
    await Promise.all([
      this.#electing ? this.#election.stop() : undefined,
      this.#certificates.stop(),
      this.#store.stop(),
      this.#namespaces.stop(),
      this.#nodes?.stop(),
    ]);
    await this.server.close();
  }

  #secretsChanged(keys: string[]): void {
    this.#candidate();
    this.#controller.changed(keys);
  }

  #namespacesChanged(names: string[]): void {
    this.#candidate();
    this.#controller.namespacesChanged(names);
  }

  /**
   * Only a replica that has listed all pull secrets may lead: it removes the copy of a missing
   * original.
   */
  #candidate(): void {
    if (!this.#store.isSynced || !this.#namespaces.isSynced) return;
    if (this.#electing || this.#isDraining) return;
    this.#electing = true;
    this.#election.start();
  }

  #lead(leads: boolean): void {
    this.#log.info({ leads }, leads ? 'became leader; copying pull secrets' : 'no longer leading');
    this.metrics.leads(leads);
    this.#controller.lead(leads);
  }

  #useLeaf(leaf: KeyedCertificate): void {
    this.server.use(leaf).catch((error: unknown) => this.#failed.reject(error));
  }
}

/** Every name by which the API server or an operator may reach a service. */
function serviceNames(service: string, namespace: string): string[] {
  return [
    service,
    `${service}.${namespace}`,
    `${service}.${namespace}.svc`,
    `${service}.${namespace}.svc.cluster.local`,
  ];
}
