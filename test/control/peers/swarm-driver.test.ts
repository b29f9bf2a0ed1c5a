import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { Envelope } from '../../../lib/wire/envelope.ts';
import { ClusterSecret } from '../../../lib/wire/secret.ts';
import {
  membershipView,
  type Member,
  type MembershipView,
} from '../../../lib/cluster/membership.ts';
import { StaticMembership } from '../../../lib/cluster/static.ts';
import { BlobFacts } from '../../../lib/control/shards/blob-facts.ts';
import type { Resident } from '../../../lib/control/shards/resident.ts';
import type { Observation } from '../../../lib/control/watch/observation.ts';
import type { Pools } from '../../../lib/control/threads/pools.ts';
import { SwarmDriver } from '../../../lib/control/peers/swarm-driver.ts';
import { Arena } from '../../../lib/io/arena.ts';
import { Doorbells } from '../../../lib/io/doorbell.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import { Membership, type Ranking } from '../../../lib/swarm/rank.ts';
import type { PoolJob } from '../../../lib/workers/pool.ts';
import { Vouching } from '../../../lib/registry/vouching.ts';
import { KEY, OTHER_KEY, settled } from '../fixture.ts';

const ORIGIN = { url: 'https://r.example/b', upstreamHost: 'r.example', authorization: null };
const [SELF, OTHER] = ['127.0.0.1:1', '127.0.0.1:2'];

const ownersAmong = (nodes: readonly string[]): Ranking =>
  new Membership(nodes.map((node) => ({ node, role: 'agent', zone: null }))).owners;
const owners = ownersAmong([SELF, OTHER]);

describe('control/swarm-driver', () => {
  let driver: SwarmDriver;
  let arena: Arena;
  let clock: ManualClock;
  let facts: BlobFacts;
  let jobs: PoolJob[];
  let ends: ((result: unknown) => void)[];
  let tells: ((news: unknown) => void)[];
  let failures: string[];
  let missed: [string, string][];
  let lines: Record<string, unknown>[];

  beforeEach(async () => {
    [jobs, ends, tells, failures, missed, lines] = [[], [], [], [], [], []];
    arena = Arena.create(4 * SHARD_BYTES);
    facts = new BlobFacts();
    clock = new ManualClock();
    const run = (job: PoolJob): Promise<unknown> => {
      jobs.push(job);
      return new Promise((end) => ends.push(end));
    };
    const origin = (job: PoolJob, tell: (news: unknown) => void): Promise<unknown> => {
      tells.push(tell);
      return run(job);
    };
    const nothing = (): undefined => undefined;
    const observation = {
      meter: { count: nothing },
      log: {
        ...{ debug: nothing, warn: nothing },
        info: (fields: Record<string, unknown>) => void lines.push(fields),
      },
      journal: { transferred: nothing },
      telemetry: { peerRates: { add: nothing } },
      probe: null,
    } as unknown as Observation;
    driver = new SwarmDriver({
      self: SELF,
      mode: 'agent',
      arena,
      doorbells: Doorbells.create(1),
      pools: { run, origin } as unknown as Pools,
      facts,
      vouching: new Vouching({ registries: [], allow: [] }),
      clock,
      random: Math.random,
      envelope: new Envelope({
        secret: new ClusterSecret(Buffer.alloc(32, 1)),
        self: SELF,
        wallMs: () => 0,
      }),
      observation,
      missed: (key, node) => void missed.push([key, node]),
      membersChanged: nothing,
    });
    await driver.join(new StaticMembership([SELF, OTHER], []));
  });

  afterEach(() => driver.leave());

  it('names who joined and who left, of many the first', async () => {
    const many = Array.from({ length: 10 }, (_, i) => `127.0.0.2:${i + 11}`);
    let change: (view: MembershipView) => void = () => undefined;
    await driver.join({
      start: (onChange) => Promise.resolve(void (change = onChange)),
      stop: () => Promise.resolve(),
    });
    lines.length = 0;
    const member = (node: string): Member => ({ node, zone: null });
    change(membershipView([SELF, OTHER].map(member), []));
    change(membershipView([SELF, ...many].map(member), []));
    assert.deepEqual(lines, [
      { agents: 2, roots: 0, joined: [SELF, OTHER], left: [] },
      { agents: 11, roots: 0, joined: [...many.slice(0, 8), 'and 2 more'], left: [OTHER] },
    ]);
  });

  /** A blob that `owner` owns: in so small a swarm, all its shards. */
  function blobOf(owner: string): string {
    return [KEY, OTHER_KEY].find((key) => owners.top({ key, index: 0 })[0] === owner)!;
  }

  /** A shard that `owner` owns, being brought into slot 0. */
  function begin(owner = OTHER, holders: string[] = [], key = blobOf(owner), shard = 1): void {
    arena.tryLock(0);
    const resident: Resident = {
      key,
      shard,
      slot: 0,
      generation: arena.begin(0),
      phase: 'loading',
      checksum: null,
      lengthBytes: -1,
      interests: new Set(),
      filling: null,
      abandoned: false,
      isCached: false,
    };
    const { fill: bring } = driver;
    resident.filling = bring(
      resident,
      { origin: ORIGIN, sliceBytes: 0, digest: null, requestId: '', onBehalf: null },
      () => undefined,
      ({ message }) => void failures.push(message),
      holders,
    );
  }

  it('does not count bytes as here that are read anew', async () => {
    begin();
    assert.equal(jobs[0]!.kind, 'peer');
    arena.setReceived(0, SHARD_BYTES);
    ends[0]!({
      kind: 'data',
      totalBytes: 9 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      claimedChecksum: null,
      checksum: 'aa',
    });
    await settled();
    assert.equal(jobs[1]!.kind, 'stat');
    ends[1]!({ kind: 'failed', error: { code: 'PEER_UNREACHABLE', message: 'gone' } });
    await settled();
    const last = jobs.at(-1)!;
    assert.ok(last.kind === 'origin' && last.parts[0]!.fromBytes === 0);
    assert.equal(arena.received(0), 0);
    arena.setReceived(0, 700);
    assert.equal(arena.owned(0), 700, "the origin's own");
  });

  it('reads anew what a node sent before the registry named another size', async () => {
    begin();
    arena.setReceived(0, SHARD_BYTES);
    facts.sized(blobOf(OTHER), 64 * SHARD_BYTES, 'upstream');
    const [totalBytes, lengthBytes] = [9_000_000_000, SHARD_BYTES];
    facts.said(blobOf(OTHER), ORIGIN.upstreamHost, 64 * SHARD_BYTES);
    // It has a checksum that fits.
    ends[0]!({ kind: 'data', totalBytes, lengthBytes, claimedChecksum: 'aa', checksum: 'aa' });
    await settled();
    const last = jobs.at(-1)!;
    assert.ok(last.kind === 'origin' && last.parts[0]!.fromBytes === 0);
    assert.equal(last.totalBytes, 64 * SHARD_BYTES);
  });

  for (const said of [null, 8 * SHARD_BYTES])
    it(`asks a registry for the size it has said itself, not for another's: ${said}`, async () => {
      facts.sized(blobOf(SELF), 4, 'upstream');
      facts.said(blobOf(SELF), 'other.example', 4);
      if (said !== null) facts.said(blobOf(SELF), ORIGIN.upstreamHost, said);
      begin(SELF);
      await settled();
      const [job] = jobs;
      assert.ok(job?.kind === 'origin' && job.totalBytes === said);
    });

  it('asks the node that reads the first shard when the right ends in the middle', async () => {
    // In a larger swarm the blob's shards have several owners.
    const many = [SELF, OTHER, ...Array.from({ length: 30 }, (_, at) => `127.0.0.2:${at + 1}`)];
    const ranking = ownersAmong(many);
    const numbers = Array.from({ length: 2_000 }, (_, at) => at);
    const key = numbers
      .map((at) => `sha256:${at.toString(16).padStart(64, '0')}`)
      .find((name) => ranking.top({ key: name, index: 0 })[0] === OTHER)!;
    const shard = numbers.find((index) => ranking.top({ key, index })[0] === SELF)!;
    await driver.join(new StaticMembership(many, []));
    const error = { code: 'ORIGIN_REFUSED', message: 'no', status: 401 };
    facts.sized(key, (shard + 1) * SHARD_BYTES, 'upstream');
    begin(SELF, [], key, shard);
    await settled();
    tells[0]!({ kind: 'failed', error, receivedBytes: 0 });
    await settled();
    const asked = jobs[1]!;
    assert.ok(asked.kind === 'peer' && asked.node === OTHER && asked.path.includes('whole'));
    assert.notEqual(asked.headers['shoal-origin'], undefined, 'with the credential');
    // It cannot either: the refusal is the client's.
    ends[1]!({ kind: 'refused', error: { code: 'ORIGIN_REFUSED', message: 'no' } });
    await settled();
    tells.at(-1)!({ kind: 'failed', error, receivedBytes: 0 });
    await settled();
    assert.deepEqual(failures, [error.message]);
  });

  it('forgets an origin, and its size, that sent something else than the blob', async () => {
    const key = blobOf(SELF);
    facts.addOrigin(key, ORIGIN);
    facts.sized(key, 4, 'upstream');
    facts.said(key, ORIGIN.upstreamHost, 4);
    begin(SELF);
    await settled();
    const error = { code: 'DIGEST_MISMATCH', message: 'another digest' };
    tells[0]!({ kind: 'failed', error, receivedBytes: 4 });
    await settled();
    assert.deepEqual([facts.origins(key), facts.sizeOf(key)], [[], null]);
  });

  it('asks for the rest of a broken answer within the size that it told', async () => {
    begin(SELF);
    await settled();
    const error = { code: 'ORIGIN_BROKEN', message: 'the connection was closed' };
    const receivedBytes = 1_000_000;
    arena.setReceived(0, receivedBytes);
    tells[0]!({ kind: 'failed', error, receivedBytes, totalBytes: 64 * SHARD_BYTES });
    ends[0]!(undefined);
    await settled();
    clock.advance(60_000);
    await settled();
    const last = jobs.at(-1)!;
    assert.ok(last.kind === 'origin' && last.parts[0]!.fromBytes === receivedBytes);
    assert.equal(last.totalBytes, 64 * SHARD_BYTES);
  });

  it('leaves a node that sends elsewhere for a blob of another size', async () => {
    begin();
    facts.sized(blobOf(OTHER), 64 * SHARD_BYTES, 'upstream');
    ends[0]!({ kind: 'redirect', parents: [OTHER], checksum: 'aa', totalBytes: 12 });
    await settled();
    assert.notEqual((jobs.at(-1) as { path?: string }).path?.includes('role=parent'), true);
    assert.equal(jobs.length, 2);
  });

  it('reads from a holder before the origin, and forgets one that has nothing', async () => {
    begin(SELF, [OTHER]);
    assert.ok(jobs[0]!.kind === 'peer' && jobs[0]!.path.includes('role=holder'));
    assert.equal(jobs[0]!.headers['shoal-origin'], undefined, 'no credential goes with it');
    ends[0]!({ kind: 'miss' });
    await settled();
    assert.deepEqual(missed, [[blobOf(SELF), OTHER]]);
    assert.equal(jobs[1]!.kind, 'origin');
  });

  it("marks what a parent sends as not the owner's own", async () => {
    begin();
    arena.setReceived(0, 300);
    assert.equal(arena.owned(0), 300);
    ends[0]!({ kind: 'redirect', parents: [OTHER], checksum: null, totalBytes: 9 * SHARD_BYTES });
    await settled();
    assert.ok(jobs[1]!.kind === 'peer' && jobs[1]!.path.includes('parent'));
    arena.setReceived(0, 500);
    assert.equal(arena.owned(0), 0);
    arena.setReleased(0, 500);
    assert.equal(arena.owned(0), 500, 'checked');
  });
});
