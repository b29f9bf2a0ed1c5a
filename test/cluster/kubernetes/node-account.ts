import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../../lib/cluster/kubernetes/client.ts';
import type { ApiServer } from '../../kube/api-server.ts';

/**
 * Creates the agents' account with the rights that the chart gives it and no others, and writes its
 * files into `dir`. Returns the environment of an agent that uses it.
 */
export async function nodeAccount(api: ApiServer, dir: string): Promise<Record<string, string>> {
  const manifest = await readFile(
    new URL('../../../deploy/manifests/node-rbac.yaml', import.meta.url),
    'utf8',
  );
  for (const document of parseAllDocuments(manifest)) await api.post(document.toJS() as KubeObject);
  await writeFile(join(dir, 'token'), await api.serviceAccountToken('shoal', 'shoal-node'));
  await writeFile(join(dir, 'ca.crt'), await api.certificate());
  await writeFile(join(dir, 'namespace'), 'shoal');
  const { hostname, port } = new URL(api.server);
  return {
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    SHOAL_SERVICE_ACCOUNT_DIR: dir,
  };
}
