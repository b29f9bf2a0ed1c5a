import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { parseDocument } from 'yaml';
import { ShoalError } from '../errors.ts';
import { CONFIG_FILE_BYTES_MAX } from '../limits.ts';
import { systemReason } from '../system-reason.ts';
import { isHost } from './address.ts';
import { writeOut } from './any-registry.ts';
import { contradictions } from './check.ts';
import { complaints } from './complaint.ts';
import { applyOverrides } from './override.ts';
import type { Sections } from './override.ts';
import { configSchema } from './schema.ts';
import type { Config, NodeMode } from './schema.ts';
import { readClusterSecret } from './secret.ts';
import { yamlProblem } from './yaml-problem.ts';

/** CONFIG_INVALID with one line per problem. */
export class ConfigError extends ShoalError {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    // Keys may contain line ends; one value may fail two checks with the same message.
    const clean = [...new Set(lines.map((line) => line.replace(/[\p{Cc}\u2028\u2029]/gu, ' ')))];
    super('CONFIG_INVALID', clean.join('\n'));
    this.name = 'ConfigError';
    this.lines = clean;
  }
}

interface ConfigSources {
  /** Path of the YAML file; without it, the defaults. */
  file?: string | undefined;
  /** `Section.key=value`; they override the file, in order. */
  sets?: readonly string[];
  /** The role of the command (`shoal root`); it overrides the file. */
  mode?: NodeMode | undefined;
  env?: Readonly<Record<string, string | undefined>>;
  /** This machine's addresses; the system's by default. */
  interfaces?: typeof networkInterfaces;
}

/**
 * Builds one deeply frozen config from file, `--set`, environment and defaults. Throws a
 * ConfigError
 * (CONFIG_INVALID) with one line for every problem.
 */
export function loadConfig(sources: ConfigSources = {}): Config {
  const file = sources.file === undefined ? {} : readConfigFile(sources.file);
  const config = parseConfig(file, sources);
  const secret = readClusterSecret(config);
  const lines = secret.kind === 'unusable' ? [secret.complaint] : [];
  for (const { key, file } of registryFiles(config)) lines.push(...unreadable(key, file));
  if (config.ProxyConfig.tls) {
    const missing = (['certFile', 'keyFile'] as const).flatMap((key) =>
      unreadable(`ProxyConfig.${key}`, config.ProxyConfig[key]),
    );
    lines.push(...(missing.length > 0 ? missing : unusablePair(config.ProxyConfig)));
  }
  if (lines.length > 0) throw new ConfigError(lines);
  return config;
}

/** Like `loadConfig`, for sections that are already read; opens no file. */
export function parseConfig(raw: Sections, sources: Omit<ConfigSources, 'file'> = {}): Config {
  const { sections, complaints: wrongSets } = applyOverrides(raw, sources.sets ?? []);
  const env = sources.env ?? process.env;
  const given = withoutEmpty(sections);
  const parsed = configSchema.safeParse(given);
  const lines = parsed.success
    ? contradictions(parsed.data)
    : complaints(parsed.error.issues, given);
  if (!parsed.success || lines.length > 0 || wrongSets.length > 0)
    throw new ConfigError([...wrongSets, ...lines]);
  const deploy = parsed.data.DeployConfig;
  if (sources.mode !== undefined) deploy.mode = sources.mode;
  if (deploy.node === '')
    deploy.node = ownAddress(env['NODE_IP'] ?? '', sources.interfaces ?? networkInterfaces);
  return deepFreeze({ ...parsed.data, ProxyConfig: writeOut(parsed.data.ProxyConfig) });
}

/** An empty key or section (YAML null) has its default. */
function withoutEmpty(sections: Sections): Sections {
  const kept: Sections = {};
  for (const [name, section] of Object.entries(sections)) {
    if (section === null) continue;
    const plain = typeof section === 'object' && !Array.isArray(section);
    kept[name] = plain
      ? Object.fromEntries(Object.entries(section).filter(([, value]) => value !== null))
      : section;
  }
  return kept;
}

function ownAddress(nodeIp: string, interfaces: typeof networkInterfaces): string {
  if (nodeIp !== '') {
    if (!isHost(nodeIp))
      throw new ConfigError([
        `NODE_IP: ${JSON.stringify(nodeIp.slice(0, 80))} is not allowed; allowed: an IP ` +
          'address or host name',
      ]);
    return nodeIp;
  }
  for (const addresses of Object.values(interfaces())) {
    for (const address of addresses ?? []) {
      if (address.family === 'IPv4' && !address.internal) return address.address;
    }
  }
  return '127.0.0.1';
}

function readConfigFile(file: string): Sections {
  const shownFile = JSON.stringify(file);
  let text: string;
  try {
    if (statSync(file).size > CONFIG_FILE_BYTES_MAX)
      throw new ConfigError([
        `--config: ${shownFile} is not allowed; allowed: a file of at most ` +
          `${CONFIG_FILE_BYTES_MAX} bytes`,
      ]);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([
      `--config: ${shownFile} is not allowed; allowed: a readable YAML file; this one: ` +
        systemReason(error),
    ]);
  }
  // `silent` would also hide and drop a second document.
  const document = parseDocument(text, { logLevel: 'error' });
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map(
        (error) => `--config: ${shownFile} is not valid YAML: ${yamlProblem(error)}`,
      ),
    );
  }
  const value = asPlain(document, shownFile);
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw new ConfigError([
      `--config: ${shownFile} is not allowed; allowed: YAML sections with keys`,
    ]);
  return value as Sections;
}

function asPlain(document: ReturnType<typeof parseDocument>, shownFile: string): unknown {
  try {
    return document.toJS();
  } catch {
    throw new ConfigError([
      `--config: ${shownFile} is not valid YAML: unresolved or too many aliases; put ` +
        'values that start with "*" in quotes',
    ]);
  }
}

/** The files that entries of `registries` name, and the keys that name them. */
export function registryFiles({ ProxyConfig }: Config): { key: string; file: string }[] {
  return ProxyConfig.registries.flatMap((entry, index) =>
    FILE_KEYS.flatMap((key) => {
      const file = entry[key] ?? '';
      return file === '' ? [] : [{ key: `ProxyConfig.registries.${index}.${key}`, file }];
    }),
  );
}

const FILE_KEYS = ['caFile', 'clientCertFile', 'clientKeyFile', 'credentialsFile'] as const;

function unreadable(key: string, file: string): string[] {
  if (file === '') return [];
  try {
    readFileSync(file);
    return [];
  } catch (error) {
    return [
      `${key}: ${JSON.stringify(file)} is not allowed; allowed: a readable file; this one: ` +
        systemReason(error),
    ];
  }
}

/** Why TLS would reject this certificate and key; its own error does not say. */
function unusablePair({ certFile, keyFile }: Config['ProxyConfig']): string[] {
  if (certFile === '') return [];
  const refused = (key: 'certFile' | 'keyFile', file: string, allowed: string): string[] => [
    `ProxyConfig.${key}: ${JSON.stringify(file)} is not allowed; allowed: ${allowed}`,
  ];
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readFileSync(certFile, 'utf8'));
  } catch {
    return refused('certFile', certFile, 'a file with a certificate chain, PEM');
  }
  try {
    if (certificate.checkPrivateKey(createPrivateKey(readFileSync(keyFile, 'utf8')))) return [];
  } catch {
    return refused('keyFile', keyFile, 'a file with a private key, PEM, without a passphrase');
  }
  return refused('keyFile', keyFile, 'the private key of certFile');
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
