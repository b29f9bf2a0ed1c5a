import assert from 'node:assert/strict';
import { SwarmDriver } from '../../../lib/control/peers/swarm-driver.ts';
import type { FillFromSwarm } from '../../../lib/control/shards/resident.ts';
import type { Pools } from '../../../lib/control/threads/pools.ts';
import type { Observation } from '../../../lib/control/watch/observation.ts';
import type { WireError } from '../../../lib/errors.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { Vouching } from '../../../lib/registry/vouching.ts';
import { Envelope } from '../../../lib/wire/envelope.ts';
import { ClusterSecret } from '../../../lib/wire/secret.ts';
import type { BlobName } from '../../../lib/workers/messages.ts';
import type { OriginReadJob, OriginReadNews } from '../../../lib/workers/origin-read.ts';
import { randomFrom } from '../../cache/random.ts';
import { CHECKSUM, KEY, settled } from '../fixture.ts';
import { streamFixture, type StreamFixture } from './stream-fixture.ts';

/** The registry that has the blob, and one that answers every path with a page of 4 bytes. */
const TOTAL_BYTES = { real: 2 * SHARD_BYTES + 808_202, page: 4 };
type Host = keyof typeof TOTAL_BYTES;

const STEP_MS = 10;
const CLIENTS: readonly Host[] = ['page', 'real', 'page', 'real', 'page'];

const blobOf = (host: Host): BlobName => ({
  key: KEY,
  url: `https://${host}/v2/app/blobs/${KEY}`,
  upstreamHost: host,
  scope: `repo ${host}/app`,
  pathname: '/x',
  digest: KEY,
});

/** A node of which clients ask two registries for one digest, at times that the seed decides. */
class Node {
  readonly #random: () => number;
  readonly #at: StreamFixture;
  readonly #driver: SwarmDriver;
  readonly #refusedMs = new Map<number, number>();

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    const fill: FillFromSwarm = (...asked) => this.#driver.fill(...asked);
    this.#at = streamFixture({
      check: 'strict',
      fill,
      probe: async ({ upstreamHost }) => {
        await this.#pause(100);
        return { kind: 'granted', totalBytes: TOTAL_BYTES[upstreamHost as Host] };
      },
    });
    const nothing = (): undefined => undefined;
    const { arena, facts, clock, doorbells } = this.#at;
    this.#driver = new SwarmDriver({
      ...{ self: '127.0.0.1:1', mode: 'agent', arena, doorbells, facts, clock },
      pools: {
        origin: (job: OriginReadJob, tell: (news: OriginReadNews) => void) => this.#read(job, tell),
      } as unknown as Pools,
      vouching: new Vouching({ registries: [], allow: [] }),
      random: this.#random,
      envelope: new Envelope({
        secret: new ClusterSecret(Buffer.alloc(32, 1)),
        ...{ self: '127.0.0.1:1', wallMs: () => 0 },
      }),
      observation: {
        meter: { count: nothing },
        log: { debug: nothing, warn: nothing, info: nothing },
        journal: { transferred: nothing },
        probe: null,
      } as unknown as Observation,
      missed: nothing,
      membersChanged: nothing,
    });
  }

  #pause(msMax: number): Promise<void> {
    return new Promise((end) => this.#at.clock.after(this.#random() * msMax, end));
  }

  /** As lib/origin: another size than the one asked for is an error, and so is another digest. */
  async #read(job: OriginReadJob, tell: (news: OriginReadNews) => void): Promise<void> {
    await this.#pause(100);
    const totalBytes = TOTAL_BYTES[job.upstreamHost as Host];
    const failed = (code: WireError['code']): void => {
      const message = `${code} of ${job.upstreamHost}`;
      tell({ kind: 'failed', error: { code, message, status: 502 }, receivedBytes: 0 });
    };
    if (job.totalBytes !== null && job.totalBytes !== totalBytes) return failed('ORIGIN_BROKEN');
    tell({ kind: 'head', ranges: 'parts', totalBytes, atHome: true });
    await this.#pause(100);
    if (job.upstreamHost === 'page') return failed('DIGEST_MISMATCH');
    for (const { slot, shard } of job.parts) {
      const lengthBytes = Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
      this.#at.arena.setLength(slot, lengthBytes, totalBytes);
      this.#at.arena.setReceived(slot, lengthBytes);
      tell({ kind: 'data', totalBytes, lengthBytes, checksum: CHECKSUM });
    }
  }

  /** The place of the first shard that client `id` was told last; stale: it has been given away. */
  #placeOf(id: number): { slot: number; isStale: boolean } | null {
    const told = this.#at.replies.findLast((reply) =>
      reply.kind === 'opened' || reply.kind === 'granted'
        ? reply.id === id && reply.shard === 0
        : false,
    );
    if (told?.kind !== 'opened' && told?.kind !== 'granted') return null;
    const { slot, generation } = told;
    return { slot, isStale: this.#at.arena.generation(slot) !== generation };
  }

  /** What the front does: it asks again for a shard that is gone, and closes what was refused. */
  #front(ids: ReadonlySet<number>): void {
    const { replies, streams, clock } = this.#at;
    for (const id of ids) {
      const isRefused = replies.some((reply) => reply.kind === 'refused' && reply.id === id);
      if (isRefused && !this.#refusedMs.has(id)) this.#refusedMs.set(id, clock.nowMs());
      if (this.#placeOf(id)?.isStale === true) streams.want(id, 0, false);
      const sinceMs = this.#refusedMs.get(id);
      if (sinceMs !== undefined && clock.nowMs() > sinceMs + 50) streams.close(id, false);
    }
  }

  /** How each client's read of the first shard ends: its size, or an error. */
  async run(): Promise<(number | string | null)[]> {
    const { arena, clock, replies, open, loader } = this.#at;
    const ids = new Set<number>();
    for (const [id, host] of CLIENTS.entries())
      clock.after(id * 900 * this.#random(), () => {
        ids.add(id);
        open({ id, blob: blobOf(host), authorization: `Bearer ${id}` });
      });
    while (clock.nowMs() < 30_000) {
      clock.advance(STEP_MS);
      await settled();
      this.#front(ids);
      await settled();
    }
    return CLIENTS.map((_, id) => {
      const refused = replies.find((reply) => reply.kind === 'refused' && reply.id === id);
      if (refused?.kind === 'refused') return refused.error.message;
      const place = this.#placeOf(id);
      if (place === null || place.isStale || loader.find(KEY, 0)?.phase !== 'complete') return null;
      return arena.total(place.slot);
    });
  }
}

describe('control/streams: two registries of which one has not got the blob', () => {
  it('give a client what its own has, whenever others came to the other one', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const ends = await new Node(seed).run();
      for (const [id, host] of CLIENTS.entries())
        if (host === 'real') assert.equal(ends[id], TOTAL_BYTES.real, `seed ${seed}, client ${id}`);
    }
  });
});
