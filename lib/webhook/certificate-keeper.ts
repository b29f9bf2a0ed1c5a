import type { Logger } from 'pino';
import type { Clock, Timer } from '../clock.ts';
import {
  KubeError,
  MUTATING_WEBHOOKS,
  SECRETS,
  type KubeClient,
  type KubeObject,
} from '../cluster/kubernetes/client.ts';
import { Informer } from '../cluster/kubernetes/informer.ts';
import { CERTIFICATE_CHECK_MS, COPY_ATTEMPTS_MAX } from './limits.ts';
import {
  caBundle,
  fromSecretData,
  renewedCertificates,
  toSecretData,
  type CertificateSet,
  type ForcedRenewal,
} from './certificates.ts';
import type { KeyedCertificate } from '../tls/authority.ts';
import type { Secret } from './pull-secret.ts';

/**
 * Annotation that an operator puts on the certificate's Secret to renew the leaf or the authority
 * at once.
 */
export const RENEW_ANNOTATION = 'shoal/renew';

interface WebhookConfiguration extends KubeObject {
  webhooks?: { name: string; clientConfig: { caBundle?: string } }[];
}

interface CertificateKeeperOptions {
  client: KubeClient;
  clock: Clock;
  random: () => number;
  log: Logger;
  namespace: string;
  /** Name of the Secret that all replicas share. */
  secretName: string;
  /** Name of the MutatingWebhookConfiguration whose entries get the CA bundle. */
  webhookConfiguration: string;
  /** DNS names and IP addresses of the leaf. */
  names: readonly string[];
  /** Called with each new leaf; the server uses it without a restart. */
  onLeaf: (leaf: KeyedCertificate) => void;
}

/**
 * Creates, renews and loads the webhook's certificate, and writes the CA bundle into the webhook
 * configuration. Every replica runs this; the Secret's resourceVersion decides which write wins.
 */
export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  readonly #secret: Informer<Secret>;
  readonly #configuration: Informer<WebhookConfiguration>;
  #set: CertificateSet | null = null;
  #isTrusted = false;
  #timer: Timer | null = null;
  #pass: Promise<void> = Promise.resolve();
  #queued = false;
  #stopped = false;

  constructor(options: CertificateKeeperOptions) {
    this.#options = options;
    const { client, clock, random, log, namespace, secretName, webhookConfiguration } = options;
    const onError = (error: KubeError): void =>
      log.warn({ err: error }, 'cannot watch the certificate Secret or the webhook configuration');
    const informer = { client, clock, random, onError, onChange: () => this.#queue() };
    this.#secret = new Informer<Secret>(
      { resource: SECRETS, namespace, fieldSelector: `metadata.name=${secretName}` },
      informer,
    );
    this.#configuration = new Informer<WebhookConfiguration>(
      {
        resource: MUTATING_WEBHOOKS,
        namespace: null,
        fieldSelector: `metadata.name=${webhookConfiguration}`,
      },
      informer,
    );
  }

  /** Whether a certificate is loaded and the webhook configuration trusts it. */
  get isReady(): boolean {
    return this.#set !== null && this.#isTrusted;
  }

  start(): void {
    this.#secret.start();
    this.#configuration.start();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await Promise.all([this.#secret.stop(), this.#configuration.stop()]);
    await this.#pass;
  }

  #schedule(): void {
    this.#timer = this.#options.clock.after(CERTIFICATE_CHECK_MS, () => {
      this.#queue();
      this.#schedule();
    });
  }

  /** Runs one pass at a time. Calls during a pass request one more pass. */
  #queue(): void {
    if (this.#queued || this.#stopped || !this.#secret.isSynced || !this.#configuration.isSynced)
      return;
    this.#queued = true;
    this.#pass = this.#pass.then(async () => {
      this.#queued = false;
      try {
        await this.#check();
      } catch (error) {
        this.#options.log.warn({ err: error }, 'certificate check failed; retrying');
      }
    });
  }

  async #check(): Promise<void> {
    const { clock, log, names, onLeaf } = this.#options;
    const before = this.#set?.leaf.certificate;
    const set = await this.#agree(names, clock.wallMs());
    // Publish the CA bundle before using the leaf, so that no API server sees a leaf from an
    // unknown authority.
    await this.#trust(set);
    this.#set = set;
    if (set.leaf.certificate === before) return;
    onLeaf(set.leaf);
    log.info({ authorities: set.authorities.length }, 'certificate loaded');
  }

  /** Returns the set stored in the Secret, renewed if necessary. */
  async #agree(names: readonly string[], nowMs: number): Promise<CertificateSet> {
    const { client, namespace, secretName, log } = this.#options;
    let stored = this.#secret.get(namespace, secretName);
    for (let attempt = 1; ; attempt++) {
      // If the Secret was deleted, write the set in memory again; the CA bundle then stays valid.
      const present = stored === null ? this.#set : fromSecretData(stored.data);
      const asked = stored?.metadata.annotations?.[RENEW_ANNOTATION];
      const force: ForcedRenewal = asked === 'leaf' || asked === 'authority' ? asked : null;
      const set = await renewedCertificates(present, names, nowMs, force);
      if (stored !== null && set === present && asked === undefined) return set;
      try {
        const metadata = {
          name: secretName,
          namespace,
          ...(stored?.metadata.resourceVersion === undefined
            ? {}
            : { resourceVersion: stored.metadata.resourceVersion }),
        };
        const secret: Secret = {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata,
          type: 'Opaque',
          data: toSecretData(set),
        };
        const written =
          stored === null
            ? await client.create<Secret>(SECRETS, secret)
            : await client.replace<Secret>(SECRETS, secret);
        this.#secret.note(written);
        log.info({ forced: force }, 'certificate created or renewed');
        return set;
      } catch (error) {
        if (
          !(error instanceof KubeError) ||
          (error.status !== 409 && error.status !== 404) ||
          attempt === COPY_ATTEMPTS_MAX
        )
          throw error;
        stored = await client.get<Secret>(SECRETS, namespace, secretName);
      }
    }
  }

  async #trust(set: CertificateSet): Promise<void> {
    const { client, webhookConfiguration, log } = this.#options;
    const wanted = Buffer.from(caBundle(set)).toString('base64');
    const configuration = this.#configuration.get(undefined, webhookConfiguration);
    this.#isTrusted &&= configuration !== null;
    if (configuration === null)
      return log.warn(
        { webhookConfiguration },
        'MutatingWebhookConfiguration not found: the API server sends no reviews',
      );
    const operations = (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, index) =>
      clientConfig.caBundle === wanted
        ? []
        : // The test ties the index to the entry that was looked at.
          [
            { op: 'test', path: `/webhooks/${index}/name`, value: name },
            { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: wanted },
          ],
    );
    if (operations.length > 0) {
      this.#configuration.note(
        await client.patch<WebhookConfiguration>(
          MUTATING_WEBHOOKS,
          null,
          webhookConfiguration,
          operations,
        ),
      );
      log.info({ webhookConfiguration, entries: operations.length / 2 }, 'caBundle patched');
    }
    this.#isTrusted = true;
  }
}
