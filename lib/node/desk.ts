import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { ControlParts } from '../control/control.ts';
import { PeerCalls } from '../control/peers/calls.ts';
import { PeerQuestions } from '../control/peers/questions.ts';
import { Summaries } from '../control/peers/summaries.ts';
import { SwarmView } from '../control/peers/swarm-view.ts';
import { ShardTrees } from '../control/peers/trees.ts';
import { LayerGate } from '../control/serve/layer-gate.ts';
import { Preheats } from '../control/serve/preheats.ts';
import { ReadAhead } from '../control/serve/read-ahead.ts';
import { ReadTrace } from '../control/serve/read-trace.ts';
import { ToldSize } from '../control/serve/told-size.ts';
import { Holdings } from '../control/shards/holdings.ts';
import { statusInputs } from '../control/status-inputs.ts';
import { Gate } from '../control/upstream/access-gate.ts';
import { Manifests } from '../control/upstream/manifests.ts';
import { RegistryMemory } from '../control/upstream/registry-memory.ts';
import { Relays } from '../control/upstream/relays.ts';
import { BlobAliases } from '../control/watch/blob-aliases.ts';
import type { Membership } from '../cluster/membership.ts';
import type { Observation } from '../control/watch/observation.ts';
import { SHARD_BYTES } from '../limits.ts';
import { Outages } from '../origin/outages.ts';
import { AccessLedger } from '../registry/access.ts';
import { CURRENT_TYPES } from '../registry/media.ts';
import type { Vouching } from '../registry/vouching.ts';
import type { ExporterRoute } from '../telemetry/exporter.ts';
import type { Readiness } from '../telemetry/health.ts';
import { summarize } from '../telemetry/node-summary.ts';
import { mayReadAll } from '../telemetry/page-reader.ts';
import type { StatusInputs } from '../telemetry/status.ts';
import { buildSwarmStatus, type SwarmStatus } from '../telemetry/swarm-status.ts';
import type { Envelope } from '../wire/envelope.ts';
import type { ClusterSecret } from '../wire/secret.ts';
import type { Shards } from './shards.ts';
import type { Storage } from './storage.ts';

interface DeskInputs {
  config: Config;
  node: string;
  storage: Storage;
  shards: Shards;
  vouching: Vouching;
  secret: ClusterSecret;
  envelope: Envelope;
  observation: Observation;
  readiness: Readiness;
  membership: Membership;
  clock: Clock;
  /** Address of this node's own page, for other nodes' pages; null: it has none. */
  page: string | null;
  /** Opens the pages to readers on other machines; null: nothing does. */
  readToken: string | null;
}

/** What answers the fronts, and what tells other nodes of this one. */
export interface Desk {
  parts: ControlParts;
  summaries: Summaries;
  /** The exporter's paths, for the admin socket. */
  pages: ExporterRoute;
}

/** Builds what answers the requests of every front: see FrontDesk. */
export function buildDesk(inputs: DeskInputs): Desk {
  const { config, node, storage, shards, vouching, observation, readiness, clock } = inputs;
  const { ProxyConfig } = config;
  const { arena, residency, store, runtime, pools } = storage;
  const { facts, swarm, loader, peerDesk, shareOf } = shards;
  const { log, meter, journal } = observation;
  const count = meter.count.bind(meter);

  const outages = new Outages(
    clock,
    async (origin) => (await pools.run({ kind: 'ping', origin })).status,
  );
  const gate = buildGate(inputs, outages);
  const layers = new LayerGate(ProxyConfig.proxyConcurrencyLimit, clock, (ms) => {
    count('layer.wait');
    meter.observe('layerWait', ms * 1000);
  });

  const calls = new PeerCalls(pools, inputs.envelope);
  const call: PeerCalls['call'] = (peer, path, options) => calls.call(peer, path, options);
  const manifests = new Manifests({ self: node, clock, arena, loader, facts, call });
  const memory = new RegistryMemory({
    self: node,
    clock,
    secret: inputs.secret,
    ttlMs: ProxyConfig.accessStaleTtl * 1000,
    ranked: (name) => swarm.ranked(name),
    isMember: (peer) => swarm.isMember(peer),
    has: (digest) => manifests.has(digest),
    copy: (digest, peer) => manifests.copy(digest, peer),
    call,
    count,
  });
  const relays = new Relays({
    isVouched: (url) => vouching.isRegistry(url),
    relay: (job) => pools.run(job),
    gate,
    manifests,
    memory,
    outages,
    spokenFor: (fields, failure) =>
      journal.failed(fields, failure, 'a registry is down: answered what it said before'),
    count,
  });

  const holdings = new Holdings(loader, clock);
  const preheats = new Preheats({
    self: node,
    members: () => swarm.members(),
    gate,
    sizeOf: (blob, authorization) => ToldSize.of({ gate, facts, loader }, blob, authorization),
    holdings,
    call,
  });
  const trees = new ShardTrees(swarm.core, node, call);

  const view = new SwarmView(swarm.core, node, swarm.standings);
  const status = statusInputs({
    readiness,
    arena,
    residency,
    store,
    runtime,
    loader,
    facts,
    layers,
    pools,
    originStalledMs: () => swarm.originStalledMs,
    swarm: view,
    reads: () => journal.pulls.now(),
    registries: () => journal.pulls.registries.list(),
  });
  // Everyone who can reach the exporter sees the pages: they show aliases of blobs, not digests.
  const names = new BlobAliases((key) => inputs.secret.opaqueName('blob', key));
  const summaries = buildSummaries(inputs, status, call);
  const questions = new PeerQuestions({
    checksums: shards.checksums,
    answeredStat({ key, shard }, { kind }, startMs) {
      const latencyUs = (clock.nowMs() - startMs) * 1000;
      meter.observe('rpcStat', latencyUs);
      const sizeBytes = kind === 'stat' ? 0 : -1;
      const offsetBytes = shard * SHARD_BYTES;
      observation.probe?.line('rpc:stat', facts.pathname(key), offsetBytes, sizeBytes, latencyUs);
    },
    hold: ({ key, totalBytes }, origin, requestId, span) =>
      holdings.hold(key, totalBytes, swarm.vouched(key, origin), requestId, span),
    memory,
    holders: shards.holders,
    summaries,
    trees,
    membership: inputs.membership,
    count,
    nowMs: clock.nowMs,
  });
  const route = observation.pages({
    inputs: () => names.hide(status()),
    tree: (alias) => names.tree(alias, (key) => view.tree(key)),
    swarm: {
      status: () => swarmStatus(inputs, summaries),
      tree: (key, shard) => trees.whole(key, shard),
    },
  });
  const parts: ControlParts = {
    streams: {
      loader,
      gate,
      layers,
      shareOf,
      facts,
      ahead: new ReadAhead({ loader, layers, shareOf, clock, slotCount: arena.slotCount }),
      trace: new ReadTrace(clock),
      slotCount: arena.slotCount,
      open: { streams: 0 },
      nowMs: clock.nowMs,
      innerShards: () => swarm.innerShards(),
      shardsTogether: () => swarm.shardsTogether,
      readsAheadAtOnce: () => swarm.readsAheadAtOnce,
    },
    peers: peerDesk,
    questions,
    preheats,
    keyOf: (blob) => vouching.keyOf(blob),
    relay: (request) => relays.answer(request),
    page: ({ path, query, ...reader }) => route(path, query, mayReadAll(reader, inputs.readToken)),
    audit: (batch, lines) => observation.audit?.accept(batch, lines),
    notice: (code, message, requestId) => log.warn({ code, requestId }, message),
    journal,
    salt: () => randomBytes(16).toString('hex'),
  };
  return { parts, summaries, pages: route };
}

function buildSummaries(
  { node, shards, secret, observation, clock, page }: DeskInputs,
  status: () => StatusInputs,
  call: PeerCalls['call'],
): Summaries {
  const { telemetry, journal } = observation;
  return new Summaries({
    self: node,
    clock,
    secret,
    membership: () => shards.swarm.core.membership,
    own: () =>
      summarize(telemetry.statusNow(status()), journal.pulls.list(), page, (blob) =>
        shards.facts.totalOf(blob),
      ),
    call,
  });
}

async function swarmStatus(
  { node, shards, clock }: DeskInputs,
  summaries: Summaries,
): Promise<SwarmStatus> {
  const { rows, history, head } = await summaries.swarm();
  const members = shards.swarm.members();
  return buildSwarmStatus({ self: node, atMs: clock.wallMs(), members, rows, history, head });
}

function buildGate(
  { config, shards, storage, observation, clock }: DeskInputs,
  outages: Outages,
): Gate {
  const { pools } = storage;
  const { accessTtl, accessStaleTtl, accessCheck } = config.ProxyConfig;
  const { facts, swarm, loader } = shards;
  return new Gate({
    outages,
    ledger: new AccessLedger({
      clock,
      ttlMs: accessTtl * 1000,
      staleTtlMs: accessStaleTtl * 1000,
      check: accessCheck,
    }),
    probe: (job) => swarm.probe(job),
    servesWhole: (blob) => swarm.servesWhole(blob),
    async headManifest(place, authorization) {
      const headers = {
        accept: CURRENT_TYPES.join(', '),
        ...(authorization === null ? {} : { authorization }),
      };
      const answer = await pools.run({
        kind: 'relay',
        method: 'HEAD',
        ...place,
        headers,
        isManifest: false,
      });
      return answer.kind === 'answer' ? answer.status : null;
    },
    sized({ key, upstreamHost }, totalBytes) {
      if (facts.said(key, upstreamHost, totalBytes) || facts.sizeOf(key) === null)
        loader.sized(key, totalBytes, 'upstream');
      return facts.sizeOf(key)!;
    },
    count: (name) => observation.meter.count(name),
  });
}
