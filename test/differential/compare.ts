import { SHARD_BYTES } from '../../lib/limits.ts';
import type { ShoalNode } from '../e2e/node.ts';
import { pull, type Pulled } from './client.ts';
import { AUTHORIZATION, type MockBlob, type MockUpstream } from './upstream.ts';

/** What an upstream may send more than the blob. */
const SLACK_RATIO = 1.05;

export interface Nodes {
  one: ShoalNode;
  pair: [ShoalNode, ShoalNode];
}

/**
 * Pulls one combination directly, through one node, and through two nodes one after the other.
 * Returns what differs; nothing when all is well.
 */
export async function compare(
  upstream: MockUpstream,
  nodes: Nodes,
  number: number,
): Promise<string[]> {
  const [direct, single, pair] = ['direct', 'one', 'two'].map((way) => upstream.add(number, way));
  const { auth } = direct!.behaviour;
  const authorization = auth === 'accepted' ? AUTHORIZATION : null;
  const through = (node: ShoalNode, { path }: MockBlob): Promise<Pulled> =>
    pull(`http://${node.proxyHost}${path}`, authorization);
  const expected = await pull(upstream.url + direct!.path, authorization);
  const faults: string[] = [];
  const judge = (way: string, blob: MockBlob, got: Pulled): void => {
    if (expected.isWhole && !(got.isWhole && got.bytes.equals(blob.bytes)))
      faults.push(`${way}: ${got.status}, ${got.bytes.length} of ${blob.bytes.length} bytes`);
    // A node may do better than a direct pull where the upstream's fault passes.
    const mayDoBetter = direct!.behaviour.fault !== 'none';
    if (!expected.isWhole && !mayDoBetter && got.status !== expected.status)
      faults.push(`${way}: ${got.status}, directly ${expected.status}`);
  };
  judge('one node', single!, await through(nodes.one, single!));
  judge('first of two', pair!, await through(nodes.pair[0], pair!));
  const sentBytes = pair!.sentBytes;
  judge('second of two', pair!, await through(nodes.pair[1], pair!));
  if (expected.isWhole && direct!.behaviour.fault === 'none') {
    const { sizeBytes, ranges } = direct!.behaviour;
    // A part that does not say the object's size, or which bytes it holds, cannot be used.
    const unusedBytes =
      ranges === 'star' || ranges === 'unnamed' ? Math.min(sizeBytes, SHARD_BYTES) : 0;
    if (single!.sentBytes > sizeBytes * SLACK_RATIO + 1 + unusedBytes)
      faults.push(`one node: the upstream sent ${single!.sentBytes} of ${sizeBytes} bytes`);
    // Two checks of one byte at most, which an origin without ranges answers with everything.
    const again = pair!.sentBytes - sentBytes;
    if (again > 2 * sizeBytes * SLACK_RATIO)
      faults.push(`second of two: the upstream sent ${again} bytes more`);
  }
  for (const blob of [direct!, single!, pair!]) upstream.remove(blob);
  return faults.map((fault) => `${number} ${JSON.stringify(direct!.behaviour)}: ${fault}`);
}
