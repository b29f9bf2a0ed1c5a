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
  type KeyedCertificate,
} from './certificates.ts';
import type { Secret } from './pull-secret.ts';

/**
 * Put on the certificate's Secret by an operator, it has the leaf, or the authority, renewed at
 * once.
 */
export const RENEW_ANNOTATION = 'shoal/renew';

interface WebhookConfiguration extends KubeObject {
  webhooks?: { name: string; clientConfig: { caBundle?: string } }[];
}

export interface CertificateKeeperOptions {
  client: KubeClient;
  clock: Clock;
  random: () => number;
  log: Logger;
  namespace: string;
  /** Name of the Secret all replicas share. */
  secretName: string;
  /** Name of the MutatingWebhookConfiguration whose entries trust the bundle. */
  webhookConfiguration: string;
  /** DNS names and addresses of the leaf. */
  names: readonly string[];
  /** Called with each new leaf: the server takes it without a restart. */
  onLeaf: (leaf: KeyedCertificate) => void;
}

/**
 * Makes, renews and loads the webhook's certificate, and has the API server trust it. Every replica
 * does the same work; the Secret's version settles who was first.
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
      log.warn({ err: error }, 'the certificate or the webhook configuration cannot be watched');
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

  /** One pass at a time; calls meanwhile ask for one more together. */
  #queue(): void {
    if (this.#queued || this.#stopped || !this.#secret.isSynced || !this.#configuration.isSynced)
      return;
    this.#queued = true;
    this.#pass = this.#pass.then(async () => {
      this.#queued = false;
      try {
        await this.#check();
      } catch (error) {
        this.#options.log.warn({ err: error }, 'certificate not renewed, will be tried again');
      }
    });
  }

  async #check(): Promise<void> {
    const { clock, log, names, onLeaf } = this.#options;
    const before = this.#set?.leaf.cert;
    const set = await this.#agree(names, clock.wallMs());
    // Trust first, then the leaf: no API server ever meets a leaf whose authority it has not been
    // given.
    await this.#trust(set);
    this.#set = set;
    if (set.leaf.cert === before) return;
    onLeaf(set.leaf);
    log.info({ authorities: set.authorities.length }, 'certificate loaded');
  }

  /** The set all replicas agree on: what the Secret holds, renewed if need be. */
  async #agree(names: readonly string[], nowMs: number): Promise<CertificateSet> {
    const { client, namespace, secretName, log } = this.#options;
    let stored = this.#secret.get(namespace, secretName);
    for (let attempt = 1; ; attempt++) {
      // A Secret that was deleted is made again from memory, so that nobody has to learn a new
      // authority.
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
        log.info({ forced: force }, 'certificate made or renewed');
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
        'no such MutatingWebhookConfiguration: nothing will be reviewed',
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
