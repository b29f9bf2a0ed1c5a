import { randomBytes } from 'node:crypto';
import { systemClock } from '../../lib/clock.ts';
import { Envelope, type Enclosed } from '../../lib/wire/envelope.ts';
import { preadPath, type PreadQuery } from '../../lib/wire/pread.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { Uploads } from '../../lib/front/uploads.ts';
import { servePeers } from '../../lib/front/peer-answer.ts';
import { frontFixture, type Answer } from './fixture.ts';

export const KEY = `sha256:${'ab'.repeat(32)}`;
export const CHECKSUM = 'cd'.repeat(32);
export const SMALL = randomBytes(1_000);
export const WALL_MS = 1_700_000_000_000;
export const SELF = '10.0.0.1:65002';

/** A request for shard 0 of KEY. */
export const ASK: PreadQuery = {
  key: KEY,
  shard: 0,
  fromBytes: 0,
  node: '10.0.0.9:65002',
  zone: 'a',
  role: 'parent',
  exclude: ['x:1'],
  hops: 2,
  load: 4,
  holdMs: 1000,
};

/** The path of ASK. */
export const askPath = (more: Partial<PreadQuery> = {}): string => preadPath({ ...ASK, ...more });

/**
 * A front that serves other nodes; the test plays control, and what the front reports is recorded.
 */
export class PeerFrontFixture {
  readonly front = frontFixture(2);
  readonly envelope = new Envelope({
    secret: new ClusterSecret(Buffer.alloc(32, 1)),
    self: SELF,
    wallMs: () => WALL_MS,
  });
  port = 0;
  readonly uploads = new Uploads(this.front.turn, { nowMs: () => 5, after: systemClock.after });
  draining = false;
  readonly answered: string[] = [];
  readonly refused: string[] = [];
  readonly tiers: [string, number][] = [];
  readonly overs: unknown[] = [];
  /** Called when bytes were sent. */
  onSent: () => void = () => undefined;

  async listen(): Promise<void> {
    const { app, arena, followers, turn, link } = this.front;
    servePeers(app, {
      arena,
      followers,
      turn,
      link,
      envelope: this.envelope,
      after: systemClock.after,
      uploads: this.uploads,
      throttle: null,
      tracing: false,
      nowMs: () => 5,
      draining: () => this.draining,
      started: () => undefined,
      over: (over) => this.overs.push(over),
      sent: (tier, bytes) => {
        this.tiers.push([tier, bytes]);
        this.onSent();
      },
      answered: (kind) => this.answered.push(kind),
      refused: (code) => this.refused.push(code),
    });
    this.port = await this.front.listen();
  }

  get sentBytes(): number {
    return this.tiers.reduce((sum, [, bytes]) => sum + bytes, 0);
  }

  get(to: string, enclosed: Enclosed = {}): Promise<Answer> {
    return this.front.get(to, { headers: this.envelope.headers(SELF, to, enclosed) });
  }

  /** Control grants the request `id`: the shard is in `place`. */
  granted(
    id: number,
    place: { slot: number; generation: number },
    more: { checksum?: string | null; cold?: boolean; pathname?: string } = {},
  ): void {
    this.front.says({
      kind: 'granted',
      id,
      shard: 0,
      ...place,
      checksum: null,
      totalBytes: null,
      cold: false,
      ...more,
    });
  }
}
