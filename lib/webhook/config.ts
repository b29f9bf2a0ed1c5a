import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import * as z from 'zod';
import { ShoalError } from '../errors.ts';
import { keyringKey } from './kubelet-keys.ts';

/*
 * The webhook's config file (YAML). As in the node's config, each key has one sentence that says
 * what is allowed. That sentence is the error message for every invalid value.
 */

const text = (error: string, accepts: (value: string) => boolean) =>
  z.string({ error }).refine(accepts, { error });
const DNS_NAME = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;
const objectName = () =>
  text('a Kubernetes object name', (value) => DNS_NAME.test(value) && value.length <= 253);
const port = (min: number) => {
  const error = `a port from ${min} to 65535`;
  return z.int({ error }).min(min, { error }).max(65_535, { error });
};

const isHostGlob = (value: string): boolean =>
  /^(?:[a-z0-9*?_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/i.test(value);
const isHostPort = (value: string): boolean =>
  /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]):[0-9]{1,5}$/i.test(value);

const registry = z
  .strictObject({
    host: text('a host glob, optionally with :port, as in *.cr.aliyuncs.com', isHostGlob).transform(
      (value) => value.toLowerCase(),
    ),
    mode: z.enum(['rewrite', 'mirror'], { error: 'rewrite or mirror' }).optional(),
    p2pHost: text(
      "host:port of the P2P address; left out for ACR's rule NAME.distributed.REGION",
      isHostPort,
    )
      .transform((value) => value.toLowerCase())
      .nullable()
      .default(null),
  })
  .transform((entry) => ({ ...entry, mode: entry.mode ?? defaultMode(entry) }))
  .refine(({ mode, p2pHost }) => mode === 'rewrite' || p2pHost === null, {
    error: 'no p2pHost with mode mirror: nothing is rewritten',
    path: ['p2pHost'],
  });

/**
 * Only registries with a P2P host are rewritten unless the config says so: ACR's have one by rule.
 * For all others the runtime's mirror configuration does the same without changing pods.
 */
function defaultMode(entry: { host: string; p2pHost: string | null }): 'rewrite' | 'mirror' {
  return entry.p2pHost !== null || entry.host.endsWith('.cr.aliyuncs.com') ? 'rewrite' : 'mirror';
}

const listen = z.strictObject({
  host: text('an address to listen on, or "" for every one, IPv6 where there is IPv6', (value) =>
    /^[0-9a-z.:-]*$/i.test(value),
  ).default(''),
  port: port(0).default(8_443),
});

const webhookConfigSchema = z.strictObject({
  registries: z
    .array(registry, { error: 'a list of entries {host, mode, p2pHost}' })
    .default([{ host: '*.cr.aliyuncs.com', mode: 'rewrite', p2pHost: null }]),
  /** Proxy port in the P2P hosts made by ACR's rule. */
  p2pPort: port(1).default(65_001),
  /** P2P hosts that the chart configures on nodes; left out: every one. */
  p2pHosts: z
    .array(
      text('host:port', isHostPort).transform((value) => value.toLowerCase()),
      { error: 'a list of P2P hosts as host:port' },
    )
    .optional(),
  /** Whether agents report for which hosts their runtime is configured. */
  nodeReports: z.boolean({ error: 'true or false' }).default(false),
  /** Whether new nodes admit pods only once their agent is ready (startup taint). */
  newNodesWait: z.boolean({ error: 'true or false' }).default(false),
  /** Globs of images that are left alone, as pods name them. */
  excludedImages: z
    .array(
      text('a glob of image names', (value) => value !== ''),
      {
        error: 'a list of globs of image names',
      },
    )
    .default([]),
  /** `matchImages` of the kubelet's image credential providers. */
  credentialProviderImages: z
    .array(
      text(
        "an entry of a credential provider's matchImages",
        (value) => keyringKey(value) !== null,
      ),
      { error: "a list of a credential provider's matchImages" },
    )
    .default([]),
  /** The only namespaces whose pull secrets may be read; empty: all. */
  secretNamespaces: z.array(objectName(), { error: 'a list of namespaces' }).default([]),
  /** Where pull secrets are copied, unless a label of the namespace says otherwise. */
  secretCopies: z.enum(['all', 'labelled'], { error: 'all or labelled' }).default('all'),
  /** Whether Events say why pods keep their images. */
  events: z.boolean({ error: 'true or false' }).default(true),
  listen: listen.prefault({}),
  /** Namespace of the webhook's own objects; "" for the pod's namespace. */
  namespace: text(
    'a namespace, or "" for that of the pod',
    (value) => value === '' || DNS_NAME.test(value),
  ).default(''),
  /** Service that the API server calls; with the namespace it gives the certificate's names. */
  service: objectName().default('shoal-webhook'),
  webhookConfiguration: objectName().default('shoal-webhook'),
  certificateSecret: objectName().default('shoal-webhook-certificate'),
  lease: objectName().default('shoal-webhook'),
  /** Additional names and addresses of the certificate. */
  certificateNames: z
    .array(
      text('a DNS name or an IP address', (value) => /^[0-9a-z.:-]+$/i.test(value)),
      { error: 'a list of DNS names or IP addresses' },
    )
    .default([]),
  /** Namespaces without new pull-secret copies, besides the webhook's own. */
  excludedNamespaces: z
    .array(objectName(), { error: 'a list of namespaces' })
    .default(['kube-system']),
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      error: 'one of trace, debug, info, warn, error, fatal, silent',
    })
    .default('info'),
});

/**
 * The webhook's config. Hosts and P2P hosts are in lower case; `p2pHost` is null for ACR's rule.
 */
export type WebhookConfig = z.output<typeof webhookConfigSchema>;

/**
 * | @throws ShoalError CONFIG_INVALID, one line per problem, naming the key and what is allowed.
 */
export function parseWebhookConfig(content: string): WebhookConfig {
  let value: unknown;
  try {
    value = parse(content) ?? {};
  } catch (error) {
    throw new ShoalError(
      'CONFIG_INVALID',
      `not YAML: ${String((error as Error).message).split('\n')[0]}`,
    );
  }
  const result = webhookConfigSchema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.flatMap((issue) => {
    const path = issue.path.map(String).join('.');
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => `${path === '' ? key : `${path}.${key}`}: no such key`);
    return [
      `${path === '' ? 'the file' : path}: not allowed; allowed: ` +
        `${path === '' ? 'keys with values' : issue.message}`,
    ];
  });
  throw new ShoalError('CONFIG_INVALID', lines.join('\n'));
}

/** | @throws ShoalError CONFIG_INVALID, also when the file cannot be read. */
export async function readWebhookConfig(path: string): Promise<WebhookConfig> {
  const content = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ShoalError('CONFIG_INVALID', `${path}: ${error.code ?? error.message}`);
  });
  return parseWebhookConfig(content);
}
