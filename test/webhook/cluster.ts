import { randomBytes } from 'node:crypto';
import type { Context } from 'mocha';
import { pino } from 'pino';
import { parseAllDocuments } from 'yaml';
import { systemClock } from '../../lib/clock.ts';
import {
  LEASES,
  NODES,
  type KubeClient,
  type KubeObject,
} from '../../lib/cluster/kubernetes/client.ts';
import { HttpKubeClient } from '../../lib/cluster/kubernetes/http.ts';
import { reportName, reportOf } from '../../lib/cluster/kubernetes/node-report.ts';
import { NodeReporter } from '../../lib/cluster/kubernetes/node-reporter.ts';
import { WEBHOOK_DRAIN_MS } from '../../lib/webhook/limits.ts';
import { MODE_KEY, P2P_CONFIG_ANNOTATION } from '../../lib/webhook/admission.ts';
import { parseWebhookConfig, type WebhookConfig } from '../../lib/webhook/config.ts';
import { WebhookService } from '../../lib/webhook/service.ts';
import { renderChart } from '../../deploy/render.ts';
import { ApiServer, PODS } from '../kube/api-server.ts';
import { kubeAssets } from '../kube/assets.ts';
import { eventually } from '../kube/eventually.ts';
import { ACR_P2P } from './rules.ts';
import { freePorts } from '../free-ports.ts';

export { MODE_KEY, P2P_CONFIG_ANNOTATION, WEBHOOK_DRAIN_MS };

export interface StoredPod extends KubeObject {
  spec: {
    containers: { name: string; image: string }[];
    initContainers?: { name: string; image: string }[];
    imagePullSecrets?: { name: string }[];
  };
}

const P2P_HOSTS = [ACR_P2P, 'probe.distributed.cn-hangzhou.cr.aliyuncs.com:65001'];

/** The one node of the cluster, and the report of its agent, with the rights of the chart. */
async function reportNode(api: ApiServer): Promise<void> {
  const node = await api.client.create<KubeObject>(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-1', labels: { 'kubernetes.io/os': 'linux' } },
  });
  const token = await api.serviceAccountToken('shoal', 'shoal-node');
  const client = new HttpKubeClient(api.connection(token));
  const errors: unknown[] = [];
  const reporter = new NodeReporter({
    client,
    clock: systemClock,
    random: Math.random,
    node: 'node-1',
    place: { namespace: 'shoal', nodeUid: node.metadata.uid! },
    onError: (error) => errors.push(error),
  });
  const hosts = async (): Promise<number> => {
    if (errors.length > 0) throw new Error('the report failed', { cause: errors[0] });
    const lease = await client.get(LEASES, 'shoal', reportName('node-1'));
    return lease === null ? 0 : (reportOf(lease)?.hosts.length ?? 0);
  };
  reporter.offer(P2P_HOSTS.slice(0, 1), []);
  await eventually('the first report', async () => (await hosts()) === 1);
  reporter.offer(P2P_HOSTS, []);
  await eventually('the changed report', async () => (await hosts()) === P2P_HOSTS.length);
}

interface Registration extends KubeObject {
  webhooks: { clientConfig: { service?: { path: string }; url?: string; caBundle?: string } }[];
}

/**
 * The webhook as the chart installs it, on a real API server: its registration, its rights, its
 * config; the one change is that it is called by URL.
 */
export class WebhookCluster {
  readonly api: ApiServer;
  readonly config: WebhookConfig;
  readonly registration: Registration;
  /** Every line the replicas have logged. */
  readonly log: string[] = [];
  /** Put on the wall clock of the replicas, to see certificates age. */
  aheadMs = 0;
  readonly #token: string;
  readonly #replicas: WebhookService[] = [];
  #namespaces = 0;

  private constructor(
    api: ApiServer,
    config: WebhookConfig,
    registration: Registration,
    token: string,
  ) {
    this.api = api;
    this.config = config;
    this.registration = registration;
    this.#token = token;
  }

  /**
   * An API server with the chart's objects of the webhook, without a replica; skips the suite when
   * a program is missing.
   */
  static async start(context: Context): Promise<WebhookCluster> {
    const [etcd = '', apiServer = '', helm = ''] = kubeAssets.needs(
      context,
      'etcd',
      'kube-apiserver',
      'helm',
    );
    const api = await ApiServer.start(etcd, apiServer);
    try {
      return await WebhookCluster.#install(api, helm);
    } catch (error) {
      await api.stop();
      throw error;
    }
  }

  static async #install(api: ApiServer, helm: string): Promise<WebhookCluster> {
    const values = P2P_HOSTS.map((host, at) => `containerd.hosts[${at}]=${host}`);
    const objects = parseAllDocuments(renderChart(helm, values)).map(
      (document) => document.toJS() as KubeObject | null,
    );
    const find = (kind: string, name: RegExp): KubeObject =>
      objects.find((object) => object?.kind === kind && name.test(object.metadata.name))!;
    await api.namespace('shoal');
    for (const kind of [
      'ServiceAccount',
      'ClusterRole',
      'ClusterRoleBinding',
      'Role',
      'RoleBinding',
    ])
      for (const name of [/webhook/, /node/]) {
        const object = objects.find((one) => one?.kind === kind && name.test(one.metadata.name));
        if (object !== undefined && object !== null) await api.post(object);
      }
    const [port] = await freePorts(1);
    const config = parseWebhookConfig(
      (find('ConfigMap', /webhook/) as KubeObject & { data: Record<string, string> }).data[
        'webhook.yaml'
      ]!,
    );
    config.listen = { host: '127.0.0.1', port: port! };
    config.certificateNames = ['127.0.0.1'];
    const registration = find('MutatingWebhookConfiguration', /./) as Registration;
    for (const { clientConfig } of registration.webhooks) {
      clientConfig.url = `https://127.0.0.1:${port}${clientConfig.service!.path}`;
      delete clientConfig.service;
    }
    await api.post(registration);
    await reportNode(api);
    return new WebhookCluster(
      api,
      config,
      registration,
      await api.serviceAccountToken('shoal', 'shoal-webhook'),
    );
  }

  /** The webhook's own way to the API server, with its own rights. */
  get client(): KubeClient {
    return new HttpKubeClient(this.api.connection(this.#token));
  }

  /**
   * Starts a replica; resolves once it is ready. The first one is the one the API server calls, the
   * others get a port of their own.
   */
  async replica(client = this.client): Promise<WebhookService> {
    const config = {
      ...this.config,
      listen: {
        host: '127.0.0.1',
        port: this.#replicas.length === 0 ? this.config.listen.port : 0,
      },
    };
    const log = pino({ level: 'debug' }, { write: (line: string) => void this.log.push(line) });
    const identity = `replica-${this.#replicas.length}-${randomBytes(3).toString('hex')}`;
    const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + this.aheadMs };
    const service = new WebhookService(config, {
      client,
      clock,
      random: Math.random,
      log,
      namespace: 'shoal',
      identity,
    });
    this.#replicas.push(service);
    service.start();
    await eventually('the webhook is ready', () => service.notReady() === null).catch(
      (error: unknown) => {
        throw new Error(
          `not ready: ${String(service.notReady())}\n${this.log.slice(-5).join('')}`,
          { cause: error },
        );
      },
    );
    return service;
  }

  async stop(service: WebhookService): Promise<void> {
    this.#replicas.splice(this.#replicas.indexOf(service), 1);
    await service.stop();
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#replicas.map((service) => service.stop()));
    await this.api.stop();
  }

  /** A new namespace; `accountSecrets` are the pull secrets of its default service account. */
  async namespace(
    labels: Record<string, string> = {},
    accountSecrets: string[] = [],
  ): Promise<string> {
    const name = `apps-${++this.#namespaces}`;
    await this.api.namespace(name, labels, accountSecrets);
    return name;
  }

  /**
   * Resolves once the API server calls the webhook: it learns of a registration, or of a caBundle,
   * a moment after it was stored.
   */
  async called(): Promise<void> {
    await this.api.namespace('probe', { [MODE_KEY]: 'p2p' }).catch(() => {});
    await eventually('the API server calls the webhook', async () => {
      const pod = await this.pod('probe', { generateName: 'probe-' }, [
        'probe.cn-hangzhou.cr.aliyuncs.com/a:1',
      ]);
      return pod.spec.containers[0]!.image.includes('.distributed.');
    });
  }

  /** Creates a pod and returns it as it was stored. */
  async pod(
    namespace: string,
    metadata: object,
    images: string[],
    spec: object = {},
  ): Promise<StoredPod> {
    const containers = images.map((image, index) => ({ name: `c${index}`, image }));
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: '', namespace, ...metadata },
      spec: { containers, ...spec },
    };
    return (await this.api.post(pod as KubeObject)) as StoredPod;
  }

  async getPod(namespace: string, name: string): Promise<StoredPod | null> {
    return await this.api.client.get<StoredPod>(PODS, namespace, name);
  }
}
