import type { PullSecretType, Secret } from '../../lib/webhook/pull-secret.ts';

export const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');
export const decode = (text: string | undefined): unknown =>
  JSON.parse(Buffer.from(text ?? '', 'base64').toString());

export const ENTRY = { username: 'u', password: 'p@ss', auth: 'dTpwQHNz' };

/** A pull secret with credentials for `hosts`, of either type. */
export function pullSecret(
  name: string,
  hosts: string[],
  more: { type?: PullSecretType; namespace?: string; entry?: object; uid?: string } = {},
): Secret {
  const { type = 'kubernetes.io/dockerconfigjson', namespace = 'apps', entry = ENTRY, uid } = more;
  const entries = Object.fromEntries(hosts.map((host) => [host, entry]));
  const [key, content] =
    type === 'kubernetes.io/dockerconfigjson'
      ? ['.dockerconfigjson', { auths: entries }]
      : ['.dockercfg', entries];
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) },
    type,
    data: { [key as string]: encode(content) },
  };
}
