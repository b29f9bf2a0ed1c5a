import { SHARD_BYTES } from '../../lib/limits.ts';
import type { ShoalNode } from '../e2e/node.ts';
import { LIMITED_BYTES, type Behaviour } from './behaviour.ts';
import { pull } from './client.ts';
import { AUTHORIZATION, type MockBlob, type MockUpstream } from './upstream.ts';

/** What an upstream may send more than the blob. */
const SLACK_RATIO = 1.05;
/** How long a pull through a node may take, in times of the direct one, and more. */
const SLOW_RATIO = 2;
const SLOW_EXTRA_MS = 1_000;

/** A part that does not say the object's size, or which bytes it holds, cannot be used. */
const UNUSABLE: ReadonlySet<Behaviour['ranges']> = new Set(['star', 'unnamed', 'multipart']);

/**
 * A blob whose size no answer says and of which no answer brings everything. Only the manifest says
 * it, which a runtime pulls first.
 */
function needsManifest({ ranges, length, fault, sizeBytes }: Behaviour): boolean {
  const isCut = fault === 'limited' && sizeBytes > LIMITED_BYTES;
  return isCut && ranges === 'star' && length !== 'told';
}

export interface Nodes {
  one: ShoalNode;
  pair: [ShoalNode, ShoalNode];
}

/** What is wrong with one combination; all empty when all is well. */
export interface Faults {
  /** Other bytes, or another refusal, than directly. */
  answers: string[];
  /** More bytes of the upstream than the blob has, or more time than directly. */
  costs: string[];
  /** How much later than allowed the slowest pull ended; Infinity: the upstream sent too much. */
  lateMs: number;
}

/**
 * Pulls one combination directly, through one node, and through two nodes one after the other. In
 * each round the blobs are others, so that no node has them.
 */
export async function compare(
  upstream: MockUpstream,
  nodes: Nodes,
  number: number,
  round = 0,
): Promise<Faults> {
  const [direct, single, pair] = ['direct', 'one', 'two'].map((way) =>
    upstream.add(number, `${way}-${round}`),
  );
  const { auth, fault, ranges, sizeBytes } = direct!.behaviour;
  const authorization = auth === 'accepted' ? AUTHORIZATION : null;
  const faults: Faults = { answers: [], costs: [], lateMs: 0 };
  const say = (kind: 'answers' | 'costs', what: string): void =>
    void faults[kind].push(`${number} ${JSON.stringify(direct!.behaviour)}: ${what}`);

  const startMs = performance.now();
  const expected = await pull(upstream.url + direct!.path, authorization, sizeBytes);
  const directMs = performance.now() - startMs;

  const through = async (way: string, node: ShoalNode, blob: MockBlob): Promise<void> => {
    if (needsManifest(blob.behaviour))
      await pull(`http://${node.proxyHost}${blob.manifestPath}`, authorization, 0);
    const nodeStartMs = performance.now();
    const got = await pull(`http://${node.proxyHost}${blob.path}`, authorization, sizeBytes);
    const tookMs = performance.now() - nodeStartMs;
    const { isWhole, status, bytes } = got;
    if (expected.isWhole && !(isWhole && bytes.equals(blob.bytes)))
      say('answers', `${way}: ${status}, ${bytes.length} of ${sizeBytes} bytes`);
    // A node may do better than a direct pull where the upstream's fault passes.
    if (!expected.isWhole && fault === 'none' && status !== expected.status)
      say('answers', `${way}: ${status}, directly ${expected.status}`);
    // Nor does a direct pull that fails say how long it would have taken.
    if (!expected.isWhole && fault !== 'none') return;
    const lateMs = tookMs - directMs * SLOW_RATIO - SLOW_EXTRA_MS;
    if (lateMs > 0)
      say('costs', `${way}: ${tookMs.toFixed(0)} ms, directly ${directMs.toFixed(0)} ms`);
    faults.lateMs = Math.max(faults.lateMs, lateMs);
  };
  let sentBytes = 0;
  const throughPair = async (): Promise<void> => {
    await through('first of two', nodes.pair[0], pair!);
    ({ sentBytes } = pair!);
    await through('second of two', nodes.pair[1], pair!);
  };
  await Promise.all([through('one node', nodes.one, single!), throughPair()]);

  const waste = (what: string): void => {
    say('costs', what);
    faults.lateMs = Infinity;
  };
  if (expected.isWhole && fault === 'none') {
    const unusedBytes = UNUSABLE.has(ranges) ? Math.min(sizeBytes, SHARD_BYTES) : 0;
    if (single!.sentBytes > sizeBytes * SLACK_RATIO + 1 + unusedBytes)
      waste(`one node: the upstream sent ${single!.sentBytes} bytes`);
    // Two checks of one byte at most, which an origin without ranges answers with everything.
    const again = pair!.sentBytes - sentBytes;
    if (again > 2 * sizeBytes * SLACK_RATIO)
      waste(`second of two: the upstream sent ${again} bytes more`);
  }
  for (const blob of [direct!, single!, pair!]) upstream.remove(blob);
  return faults;
}
