import { randomBytes } from 'node:crypto';
import type { BlobAnswerTools } from '../../lib/front/blob-request.ts';
import { serveProxy } from '../../lib/front/proxy.ts';
import { FirstReads } from '../../lib/front/first-reads.ts';
import { WarmMemory } from '../../lib/front/warm.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import type { OpenRequest } from '../../lib/workers/messages.ts';
import { frontFixture, type Answer, type FrontFixture } from './fixture.ts';

export const DIGEST = `sha256:${'ab'.repeat(32)}`;
export const PATH = `/v2/app/blobs/${DIGEST}`;
export const SMALL = randomBytes(1_000);
export const [FIRST, SECOND] = [randomBytes(SHARD_BYTES), randomBytes(SHARD_BYTES)];
export const TOTAL_BYTES = 2 * SHARD_BYTES;

type Over = Parameters<BlobAnswerTools['over']>[0];

/** A proxy port whose control thread is the test, and what its answers reported. */
const ROUTE = {
  prefix: 'accelerator',
  registries: [{ upstream: 'https://r.example' }],
  allow: [],
};

export class BlobFixture {
  readonly at: FrontFixture = frontFixture(3);
  readonly overs: Over[] = [];
  readonly warmReads: [string, number, number][] = [];
  readonly tiers: [string, number][] = [];
  readonly firsts: string[] = [];
  nowMs = 1_000;
  port = 0;

  async listen(): Promise<this> {
    const { at } = this;
    serveProxy(at.app, {
      arena: at.arena,
      followers: at.followers,
      turn: at.turn,
      link: at.link,
      throttle: null,
      tracing: false,
      warm: new WarmMemory(),
      nowMs: () => this.nowMs,
      watermark: (slot, fromBytes) => at.arena.sendableTo(slot, fromBytes),
      route: () => ROUTE,
      started: () => undefined,
      draining: () => false,
      passed: () => undefined,
      refused: () => undefined,
      firstReads: new FirstReads(at.arena),
      tally: { add: () => undefined },
      warmRead: ({ name, offsetBytes, bytes }) =>
        this.warmReads.push([name.key, offsetBytes, bytes]),
      over: (answer) => this.overs.push(answer),
      sent: (tier, bytes) => this.tiers.push([tier, bytes]),
      firstByte: (tier) => this.firsts.push(tier),
    });
    this.port = await at.listen();
    return this;
  }

  close(): unknown {
    return this.at.close();
  }

  get(headers: Record<string, string> = {}, method = 'GET', path = PATH): Promise<Answer> {
    return this.at.get(path, { method, headers: { authorization: 'Bearer t', ...headers } });
  }

  /** Control's answer to the opening of a stream. */
  opened(
    open: OpenRequest,
    place: { slot: number; generation: number },
    more: {
      totalBytes?: number | null;
      provenBytes?: number | null;
      cold?: boolean;
      grantMs?: number;
      stale?: boolean;
    } = {},
  ): void {
    this.at.says({
      kind: 'opened',
      id: open.id,
      shard: open.shard,
      ...place,
      totalBytes: null,
      provenBytes: null,
      cold: false,
      grantMs: 0,
      stale: false,
      turnMs: 0,
      ...more,
    });
  }
}
