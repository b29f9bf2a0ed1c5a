import type { Clock } from '../clock.ts';
import type { NodeMode } from '../config/schema.ts';
import { PeerCalls } from '../control/peers/calls.ts';
import { ChecksumDesk, type PeerDeskParts } from '../control/peers/desk.ts';
import { fillFromHolders } from '../control/peers/holder-fill.ts';
import { HolderSearch } from '../control/peers/holder-search.ts';
import { Offers } from '../control/peers/offers.ts';
import { SwarmDriver } from '../control/peers/swarm-driver.ts';
import { BlobFacts } from '../control/shards/blob-facts.ts';
import { Digests } from '../control/shards/digests.ts';
import { ShardLoader } from '../control/shards/loader.ts';
import type { FetchOptions } from '../control/shards/resident.ts';
import type { Observation } from '../control/watch/observation.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { Vouching } from '../registry/vouching.ts';
import { LOCAL, UNVOUCHED, type Share } from '../share-queue.ts';
import type { CounterName } from '../telemetry/metrics-list.ts';
import type { Envelope } from '../wire/envelope.ts';
import type { Storage } from './storage.ts';

interface ShardParts {
  node: string;
  mode: NodeMode;
  storage: Storage;
  vouching: Vouching;
  envelope: Envelope;
  observation: Observation;
  clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
}

/** Everything that brings, keeps and checks shards. */
export interface Shards {
  facts: BlobFacts;
  swarm: SwarmDriver;
  loader: ShardLoader;
  peerDesk: PeerDeskParts;
  checksums: ChecksumDesk;
  holders: HolderSearch;
  offers: Offers;
  /** Whose share of a scarce resource a read uses. */
  shareOf(options: FetchOptions): Share;
}

export function buildShards(parts: ShardParts): Shards {
  const { node, mode, storage, vouching, envelope, observation, clock, random } = parts;
  const { arena, doorbells, residency, store, runtime, pools } = storage;
  const { meter, log } = observation;
  const facts = new BlobFacts();
  const swarm = new SwarmDriver({
    self: node,
    mode,
    arena,
    doorbells,
    pools,
    facts,
    vouching,
    clock,
    random,
    envelope,
    observation,
    missed: (key, peer) => holders.missed(key, peer),
    membersChanged: () => offers.changed(),
  });
  const calls = new PeerCalls(pools, envelope);
  const about = {
    self: node,
    clock,
    random,
    ranked: (key: string) => swarm.ranked(key),
    call: (...[peer, path, options]: Parameters<PeerCalls['call']>) =>
      calls.call(peer, path, options),
    count: (name: CounterName) => meter.count(name),
  };
  const holders = new HolderSearch({ ...about, isMember: (peer) => swarm.isMember(peer) });
  const offers = new Offers({
    ...about,
    blobs: () => runtime?.offers() ?? [],
    kept: (keys) => holders.told(node, keys),
  });
  runtime?.watchOffers(() => offers.changed());
  const shareOf = ({ origin }: FetchOptions): Share =>
    origin === null
      ? LOCAL
      : {
          lane: 'read',
          upstream: vouching.isVouched(origin.url) ? origin.upstreamHost : UNVOUCHED,
          client: origin.authorization ?? '',
        };

  // The loader, the digests and the desk call each other; each is complete before the first shard.
  const loader: ShardLoader = new ShardLoader({
    clock,
    arena,
    doorbells,
    residency,
    store,
    runtime,
    facts,
    fill: fillFromHolders({
      isOwner: (shard) => swarm.core.isOwner(shard),
      find: (key) => holders.find(key),
      fill: swarm.fill,
    }),
    shareOf,
    isAwaited: (resident) => digests.isAwaited(resident),
    completed(resident, fromDisk) {
      const totalBytes = facts.totalOf(resident.key);
      if (totalBytes !== null) digests.completed(resident, totalBytes, fromDisk);
      if (!fromDisk) checksums.completed(resident);
    },
    spared: (sizeBytes) => meter.count('runtime.spared', sizeBytes),
    filed(operation, resident, sizeBytes, tookMs, tier) {
      const pathname = facts.pathname(resident.key);
      observation.probe?.line(
        operation,
        tier === 'runtime' ? `${runtime?.dir}${pathname}` : pathname,
        resident.shard * SHARD_BYTES,
        sizeBytes,
        tookMs * 1000,
      );
    },
    looked: (tier) => meter.count(`lookup.${tier}`),
  });
  const digests = new Digests({
    run: (job) => pools.digest(job),
    arena,
    loader,
    clock,
    digestOf: (key) => facts.digestOf(key),
    held(key, totalBytes) {
      meter.count('blob.verified');
      facts.sized(key, totalBytes, 'digest');
      swarm.verified(key, true);
    },
    broken(key) {
      meter.count('integrity.blob');
      log.error({ blob: key, code: 'DIGEST_MISMATCH' }, 'dropped a blob that has another digest');
      swarm.verified(key, false);
      facts.forget(key);
      loader.purge(key);
    },
  });
  const peerDesk: PeerDeskParts = {
    swarm: swarm.core,
    clock,
    facts,
    loader,
    vouched: (key, origin) => swarm.vouched(key, origin),
    asked: (peer) => swarm.standings.answered(peer),
    sent: (peer, bytes) => observation.telemetry.peerRates.add(peer, 0, bytes),
    placed: (depth) => meter.observe('treeDepth', depth),
  };
  const checksums = new ChecksumDesk(peerDesk);
  return { facts, swarm, loader, peerDesk, checksums, holders, offers, shareOf };
}
