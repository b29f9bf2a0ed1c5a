import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  SECRETS,
  MUTATING_WEBHOOKS,
  type KubeObject,
} from '../../lib/cluster/kubernetes/client.ts';
import type { Secret } from '../../lib/webhook/pull-secret.ts';
import { ApiServer } from '../kube/api-server.ts';
import { kubeAssets } from '../kube/assets.ts';
import { eventually } from '../kube/eventually.ts';
import { ACR } from './rules.ts';
import { ENTRY, pullSecret } from './secrets.ts';
import { cliPath } from '../built-program.ts';
import { cpuTimeMs } from '../cpu-time.ts';
import { freePorts } from '../free-ports.ts';

/** "200 reviews/s on one core": each may take 5 ms of processor time. */
const RATE = 200;
const REVIEWS = 400;
const CPU_MS_PER_REVIEW_MAX = 1_000 / RATE;
/** It has started and made its certificate by then. */
const START_MS = 45_000;

describe('the webhook as a process', function () {
  this.timeout(120_000);
  let api: ApiServer;
  let dir: string;
  let child: ChildProcess;
  let output = '';
  let port: number;
  let ca: string;
  let exited: Promise<[number | null]>;

  before(async function () {
    const [etcd = '', apiServer = ''] = kubeAssets.needs(this, 'etcd', 'kube-apiserver');
    api = await ApiServer.start(etcd, apiServer);
    await api.namespace('shoal');
    await api.namespace('apps');
    for (let index = 0; index < 20; index++)
      await api.client.create(SECRETS, pullSecret(`pull-${index}`, [ACR], { namespace: 'apps' }));
    dir = await mkdtemp(join(tmpdir(), 'shoal-webhook-'));
    [port = 0] = await freePorts(1);
    await api.post({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'shoal-webhook' },
      webhooks: [
        {
          name: 'pod.p2p.shoal',
          admissionReviewVersions: ['v1'],
          sideEffects: 'NoneOnDryRun',
          clientConfig: { url: `https://127.0.0.1:${port}/mutate/pod` },
        },
      ],
    } as unknown as KubeObject);
    const config = join(dir, 'webhook.yaml');
    await writeFile(
      config,
      `namespace: shoal\nlisten: {host: 127.0.0.1, port: ${port}}\ncertificateNames: [127.0.0.1]\n`,
    );
    child = spawn(process.execPath, [cliPath, 'webhook', '--config', config], {
      env: { ...process.env, KUBECONFIG: api.kubeconfig },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    process.once('exit', () => child.kill('SIGKILL'));
    ca = (
      await eventually(
        'the certificate',
        async () => {
          const secret = await api.client.get<Secret>(
            SECRETS,
            'shoal',
            'shoal-webhook-certificate',
          );
          return secret !== null && Buffer.from(secret.data!['ca-0.crt']!, 'base64').toString();
        },
        START_MS,
      )
    ).value;
    await eventually('it is ready', async () => (await call('/readyz', '', 'GET')).status === 200);
  });
  after(async () => {
    if (child !== undefined && child.exitCode === null) child.kill('SIGKILL');
    await api?.stop();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  async function call(
    path: string,
    body: string,
    method = 'POST',
  ): Promise<{ status: number; text: string }> {
    const sent = request({
      host: '127.0.0.1',
      port,
      path,
      method,
      ca,
      agent,
      headers: { 'content-length': Buffer.byteLength(body) },
    }).end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return { status: response.statusCode!, text };
  }

  const review = (index: number): string => {
    const metadata = {
      generateName: 'web-',
      labels: { 'k8s.aliyun.com/image-accelerate-mode': 'p2p' },
      annotations: { note: 'x'.repeat(2_000) },
    };
    const spec = {
      containers: [
        { name: 'web', image: `${ACR}/app/web:${index}` },
        { name: 'side', image: 'quay.io/side:1' },
      ],
      imagePullSecrets: [{ name: `pull-${index % 20}` }],
    };
    return JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: `u-${index}`,
        operation: 'CREATE',
        resource: { group: '', version: 'v1', resource: 'pods' },
        namespace: 'apps',
        object: { metadata, spec },
      },
    });
  };

  it(`answers ${RATE} reviews a second on one core`, async () => {
    const tookMs: number[] = [];
    const one = async (index: number): Promise<void> => {
      const sentMs = performance.now();
      const { status, text } = await call('/mutate/pod', review(index));
      tookMs.push(performance.now() - sentMs);
      assert.equal(status, 200);
      assert.match(text, /"patchType":"JSONPatch"/);
    };
    // The first reviews are answered by code that is not compiled yet.
    for (let index = 0; index < REVIEWS / 4; index++) await one(index);
    tookMs.length = 0;
    const before = cpuTimeMs(child.pid!);
    for (let index = 0; index < REVIEWS; index++) await one(index);
    const perReview = (cpuTimeMs(child.pid!) - before) / REVIEWS;
    tookMs.sort((a, b) => a - b);
    const [p50 = 0, p99 = 0] = [0.5, 0.99].map((share) => tookMs[Math.floor(REVIEWS * share)]);
    console.log(
      `      ${perReview.toFixed(1)} ms of processor time a review, ` +
        `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
    );
    assert.ok(perReview < CPU_MS_PER_REVIEW_MAX, `${perReview} ms`);
  });

  it('stays below its memory bound', () => {
    const rssMB =
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) /
      1_000;
    console.log(`      ${rssMB.toFixed(0)} MB resident`);
    assert.ok(rssMB < 400);
  });

  it('registers its caBundle and logs JSON lines without credentials', async () => {
    const { webhooks } = (await api.client.get(
      MUTATING_WEBHOOKS,
      null,
      'shoal-webhook',
    )) as KubeObject & { webhooks: { clientConfig: { caBundle: string } }[] };
    assert.equal(
      Buffer.from(webhooks[0]!.clientConfig.caBundle, 'base64').toString().trim(),
      ca.trim(),
    );
    for (const line of output.trim().split('\n')) {
      assert.doesNotThrow(() => JSON.parse(line), line);
      assert.ok(
        !line.includes(ENTRY.auth) && !line.includes(ENTRY.password) && !line.includes('PRIVATE'),
      );
    }
  });

  it('continues while the API server is down and watches again afterwards', async () => {
    await api.crash();
    const { status, text } = await call('/mutate/pod', review(1));
    assert.equal(status, 200);
    assert.match(text, /"patchType"/, 'what it needs it has at hand');
    await api.restart();
    await api.client.create(SECRETS, pullSecret('later', [ACR], { namespace: 'apps' }));
    await eventually(
      'the controller is back',
      async () => (await api.client.get(SECRETS, 'apps', 'acr-credential-later-p2p')) !== null,
      45_000,
    );
  });

  it('is not ready after SIGTERM, and answers on', async () => {
    exited = once(child, 'exit') as Promise<[number | null]>;
    child.kill('SIGTERM');
    await eventually(
      'it is not ready',
      async () => (await call('/readyz', '', 'GET')).status === 503,
      3_000,
    );
    assert.equal((await call('/mutate/pod', review(2))).status, 200);
  });

  it('exits with 2 and one line on stderr for an invalid config', async () => {
    const wrong = join(dir, 'wrong.yaml');
    await writeFile(wrong, 'p2pPort: lots\n');
    const bad = spawn(process.execPath, [cliPath, 'webhook', '--config', wrong], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    bad.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const [code] = (await once(bad, 'close')) as [number];
    assert.deepEqual([code, said], [2, 'p2pPort: not allowed; allowed: a port from 1 to 65535\n']);
  });
  it('exits with 0 when it has drained', async () => assert.deepEqual((await exited)[0], 0));
});
