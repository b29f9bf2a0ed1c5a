import { NODES, type KubeClient, type KubeObject } from './client.ts';

/**
 * Removes the taint of `key` from a node, so that pods may be scheduled to it. Resolves with
 * whether
 * there was one. Rejects with KubeError, also when the taints change at the same moment.
 */
export async function liftTaint(client: KubeClient, node: string, key: string): Promise<boolean> {
  const found = await client.get<KubeObject>(NODES, null, node);
  const taints = (found?.['spec'] as { taints?: { key: string }[] } | undefined)?.taints ?? [];
  const index = taints.findIndex((taint) => taint.key === key);
  if (index === -1) return false;
  const path = `/spec/taints/${index}`;
  // The test ties the index to the taint that was read.
  await client.patch(NODES, null, node, [
    { op: 'test', path: `${path}/key`, value: key },
    { op: 'remove', path },
  ]);
  return true;
}
