import { ShoalError } from '../../errors.ts';
import { LINE_TEST_BYTES } from '../../limits.ts';
import { LineMeter } from '../../swarm/line-meter.ts';
import type { LineTest } from '../../swarm/types.ts';
import { exchange, type ExchangeTools, type PeerRequest } from './exchange.ts';

/** Tests this node's line: the nodes asked send bytes of no meaning, all at the same time. */
export interface LineJob {
  kind: 'line';
  requests: PeerRequest[];
}

/** What is read at once; nobody looks at it. */
const ROOM = new Uint8Array(256 * 1024);

/** Resolves always, with nothing received when no node sends. */
export async function testLine({ requests }: LineJob, tools: ExchangeTools): Promise<LineTest> {
  const meter = new LineMeter(tools.nowMs());
  const isOver = (): boolean => meter.leftMs(tools.nowMs()) === 0;
  await Promise.all(
    requests.map(async (request) => {
      let receivedBytes = 0;
      const body = {
        head({ contentLength }: { contentLength: number }): void {
          if (contentLength > LINE_TEST_BYTES)
            throw new ShoalError('PEER_BROKEN', `${request.node} sends ${contentLength} bytes`);
        },
        room: (fromBytes: number, lengthBytes: number) =>
          ROOM.subarray(0, Math.min(ROOM.length, lengthBytes - fromBytes)),
        placed(bytes: number): void {
          meter.came(bytes - receivedBytes, tools.nowMs());
          receivedBytes = bytes;
        },
      };
      try {
        await exchange(request, { deadlineMs: null, isCancelled: isOver, body }, tools);
      } catch {
        // It refused, failed, or was stopped because the test is over: what came of it counts.
      }
    }),
  );
  return meter.result;
}
