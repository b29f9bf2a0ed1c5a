import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import {
  kubePath,
  type KubeObject,
  type KubeResource,
} from '../../lib/cluster/kubernetes/client.ts';
import { HttpKubeClient, type KubeConnection } from '../../lib/cluster/kubernetes/http.ts';
import { cpuTimeMs } from '../cpu-time.ts';
import { eventually } from './eventually.ts';
import { freePorts } from '../free-ports.ts';

const ADMIN_TOKEN = 'admin-token-of-a-test';
const START_DEADLINE_MS = 90_000;

export const NAMESPACES: KubeResource = { base: '/api/v1', plural: 'namespaces' };
export const PODS: KubeResource = { base: '/api/v1', plural: 'pods' };
export const SERVICE_ACCOUNTS: KubeResource = { base: '/api/v1', plural: 'serviceaccounts' };

/**
 * A real etcd and kube-apiserver on loopback, without a controller manager: what controllers do,
 * tests do by hand.
 */
export class ApiServer {
  readonly server: string;
  readonly client: HttpKubeClient;
  readonly kubeconfig: string;
  readonly #dir: string;
  readonly #etcd: ChildProcess;
  readonly #start: () => ChildProcess;
  #process: ChildProcess;
  readonly #admin: KubeConnection;
  readonly #ca: () => Promise<string>;

  constructor(dir: string, port: number, etcd: ChildProcess, start: () => ChildProcess) {
    this.#dir = dir;
    this.#etcd = etcd;
    this.#start = start;
    this.#process = start();
    this.server = `https://127.0.0.1:${port}`;
    this.kubeconfig = join(dir, 'kubeconfig');
    this.#ca = () => readFile(join(dir, 'certs/apiserver.crt'), 'utf8');
    this.#admin = this.connection(ADMIN_TOKEN);
    this.client = new HttpKubeClient(this.#admin);
  }

  /** Starts both programs (their paths) and resolves once the API is ready. */
  static async start(etcdPath: string, apiServerPath: string): Promise<ApiServer> {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-kube-'));
    const [clientPort, peerPort, port] = await freePorts(3);
    const run = (path: string, args: string[]): ChildProcess => {
      const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] });
      const log = createWriteStream(join(dir, `${path.split('/').at(-1)}.log`), { flags: 'a' });
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => void log.write(chunk));
      const kill = (): void => void child.kill('SIGKILL');
      process.once('exit', kill);
      child.once('exit', () => process.off('exit', kill));
      return child;
    };
    const [client, peer] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
    const etcd = run(etcdPath, [
      `--data-dir=${join(dir, 'etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=error',
    ]);
    await writeFile(
      join(dir, 'tokens.csv'),
      `${ADMIN_TOKEN},admin,admin,"system:masters"\nnobody-token,nobody,nobody\n`,
    );
    await writeFile(join(dir, 'sa.key'), await serviceAccountKey());
    const start = (): ChildProcess =>
      run(apiServerPath, [
        `--etcd-servers=${client}`,
        `--secure-port=${port}`,
        '--bind-address=127.0.0.1',
        '--advertise-address=127.0.0.1',
        `--cert-dir=${join(dir, 'certs')}`,
        `--token-auth-file=${join(dir, 'tokens.csv')}`,
        '--authorization-mode=RBAC',
        '--service-cluster-ip-range=10.96.0.0/24',
        '--service-account-issuer=https://test',
        `--service-account-key-file=${join(dir, 'sa.key')}`,
        `--service-account-signing-key-file=${join(dir, 'sa.key')}`,
        '--profiling=false',
        '--v=1',
      ]);
    const api = new ApiServer(dir, port!, etcd, start);
    await api.#ready();
    await writeFile(api.kubeconfig, await api.#kubeconfig());
    return api;
  }

  /** Processor time that the API server has used since its start. */
  get cpuMs(): number {
    return cpuTimeMs(this.#process.pid!);
  }

  /** A way in with a bearer token of one's own. */
  connection(token: string): KubeConnection {
    let dispatcher: Agent | null = null;
    return {
      server: this.server,
      credentials: async () => {
        dispatcher ??= new Agent({ connect: { ca: await this.#ca(), timeout: 1_000 } });
        return { headers: { authorization: `Bearer ${token}` }, dispatcher };
      },
    };
  }

  /** Kills the API server as a crash would; etcd keeps what was written. */
  async crash(): Promise<void> {
    await end(this.#process, 'SIGKILL');
  }

  async restart(): Promise<void> {
    this.#process = this.#start();
    await this.#ready();
  }

  async stop(): Promise<void> {
    await end(this.#process, 'SIGKILL');
    await end(this.#etcd, 'SIGKILL');
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** A namespace with the default service account that a controller would have made. */
  async namespace(
    name: string,
    labels: Record<string, string> = {},
    imagePullSecrets: string[] = [],
  ): Promise<void> {
    await this.client.create(NAMESPACES, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels },
    });
    const secrets = imagePullSecrets.map((secret) => ({ name: secret }));
    await this.client.create(SERVICE_ACCOUNTS, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: name },
      imagePullSecrets: secrets,
    } as KubeObject);
  }

  /**
   * Creates any object as `kubectl create --validate=strict` would; with `dryRun` it is only
   * checked. Returns what the API server made of it.
   */
  async post(object: KubeObject, { dryRun = false } = {}): Promise<KubeObject> {
    const { apiVersion = '', kind = '' } = object;
    const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const plural = kind.toLowerCase().replace(/y$/, 'ie') + 's';
    const path = kubePath({ base, plural }, object.metadata.namespace ?? null);
    return await this.call(
      'POST',
      `${path}?fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`,
      object,
    );
  }

  /** Any request, as the cluster's administrator. Rejects on a status of 400 and above. */
  async call<T = KubeObject>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: object,
    contentType = 'application/json',
  ): Promise<T> {
    const { headers, dispatcher } = await this.#admin.credentials();
    const sent = body === undefined ? null : JSON.stringify(body);
    const response = await request(`${this.server}${path}`, {
      method,
      dispatcher,
      body: sent,
      headers: { ...headers, 'content-type': contentType },
    });
    const text = await response.body.text();
    if (response.statusCode >= 400)
      throw new Error(`${method} ${path}: ${response.statusCode} ${text.slice(0, 500)}`);
    return JSON.parse(text) as T;
  }

  /** The certificate its server is trusted by, PEM. */
  async certificate(): Promise<string> {
    return await this.#ca();
  }

  /** A token of a service account, as kubelet would mount it. */
  async serviceAccountToken(namespace: string, name: string): Promise<string> {
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 3_600 },
    };
    const { status } = await this.call<{ status: { token: string } }>(
      'POST',
      `${kubePath(SERVICE_ACCOUNTS, namespace, name)}/token`,
      body,
    );
    return status.token;
  }

  async #ready(): Promise<void> {
    const look = async (): Promise<true> => {
      const { headers, dispatcher } = await this.connection(ADMIN_TOKEN).credentials();
      const { statusCode, body } = await request(`${this.server}/readyz`, { headers, dispatcher });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(text.slice(0, 300));
      return true;
    };
    await eventually('the API server is ready', look, START_DEADLINE_MS).catch(
      async (error: unknown) => {
        const log = await readFile(join(this.#dir, 'kube-apiserver.log'), 'utf8').catch(() => '');
        throw new Error(
          `the API server does not come up:\n${log.split('\n').slice(-15).join('\n')}`,
          { cause: error },
        );
      },
    );
  }

  async #kubeconfig(): Promise<string> {
    const ca = Buffer.from(await this.#ca()).toString('base64');
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [
        { name: 'test', cluster: { server: this.server, 'certificate-authority-data': ca } },
      ],
      users: [{ name: 'test', user: { token: ADMIN_TOKEN } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    });
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

async function serviceAccountKey(): Promise<string> {
  const { generateKeyPairSync } = await import('node:crypto');
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey;
}
