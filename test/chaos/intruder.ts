import { HttpConnection } from '../../lib/io/http-connection.ts';
import { preadPath } from '../../lib/wire/pread.ts';
import { P2P_PORT } from './machine.ts';
import type { Plan } from './plan.ts';
import type { World } from './world.ts';

const INTRUDER = 'intruder';
/** Requests of others that it sends to each node, each time. */
const REPLAYED_MAX = 4;

/** What a stranger gets, who reaches the p2p port and sees what nodes send to each other. */
export async function intrude(plan: Plan, world: World): Promise<void> {
  const { blob } = plan.blobs[0]!;
  for (const { name, isLiar } of world.machines) {
    // A node that lies says anything to anybody.
    if (isLiar) continue;
    const address = `${name}:${P2P_PORT}`;
    const path = preadPath({
      ...{ key: blob.digest, shard: 0, fromBytes: 0, node: '10.9.9.9:65002', zone: null },
      ...{ role: 'parent', exclude: [], hops: 0, load: 0, holdMs: 1_000 },
    });
    const own = `GET ${path} HTTP/1.1\r\nHost: ${address}\r\nshoal-version: 1.0\r\n\r\n`;
    const others = world.network.seen
      .filter(
        (request) =>
          request.from !== INTRUDER &&
          request.address.endsWith(`:${P2P_PORT}`) &&
          request.address !== address,
      )
      .map(({ head }) => head)
      .slice(-REPLAYED_MAX);
    for (const head of [own, ...others]) await ask(world, address, head);
  }
}

async function ask(world: World, address: string, head: string): Promise<void> {
  const connection = new HttpConnection(
    (onread) => world.network.connect(INTRUDER, address, onread) as never,
    null,
  );
  const timer = world.timeline.after(5_000, () => connection.destroy(new Error('late')));
  try {
    const { head: answer, body } = await connection.exchange(head, { ...NOWHERE });
    const isRefused = answer.status >= 400;
    if (!isRefused) world.violated(`${address} answered a stranger: ${answer.status} ${body}`);
  } catch {
    // No answer at all tells nothing.
  } finally {
    timer.cancel();
    connection.destroy(new Error('over'));
  }
}

const scratch = Buffer.alloc(64 * 1024);
const NOWHERE = {
  head: ({ status }: { status: number }) => (status === 200 ? ('place' as const) : 'collect'),
  room: (fromBytes: number, lengthBytes: number) =>
    scratch.subarray(0, Math.min(scratch.length, lengthBytes - fromBytes)),
  placed: () => undefined,
};
