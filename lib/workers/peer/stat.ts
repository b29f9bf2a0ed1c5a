import { ShoalError } from '../../errors.ts';
import type { StatResult } from '../../swarm/types.ts';
import { parseStatAnswer } from '../../wire/stat.ts';
import { exchange, paced, type ExchangeTools, type PeerRequest } from './exchange.ts';

/** Asks a shard's owner for its checksum and size, and reports on the parent. */
export interface StatJob extends PeerRequest {
  kind: 'stat';
}

/** Carries out a job; resolves always. */
export async function askStat(job: StatJob, tools: ExchangeTools): Promise<StatResult> {
  const sinceMs = tools.nowMs();
  try {
    const { head, body } = await exchange(job, { deadlineMs: null }, tools);
    const answer = parseStatAnswer(head.status, body.toString('utf8'));
    return paced(answer, sinceMs, tools.nowMs());
  } catch (thrown) {
    return { kind: 'failed', error: ShoalError.from(thrown, 'PEER_BROKEN').toWire() };
  }
}
