import { Gate } from '../../../lib/control/upstream/access-gate.ts';
import { LayerGate } from '../../../lib/control/serve/layer-gate.ts';
import { ReadAhead } from '../../../lib/control/serve/read-ahead.ts';
import { ReadTrace } from '../../../lib/control/serve/read-trace.ts';
import { Streams } from '../../../lib/control/serve/streams.ts';
import { AccessLedger } from '../../../lib/registry/access.ts';
import type { Share } from '../../../lib/share-queue.ts';
import { Outages } from '../../../lib/origin/outages.ts';
import type { BlobName, ControlMessage, OpenRequest } from '../../../lib/workers/messages.ts';
import type { ProbeJob, ProbeResult } from '../../../lib/workers/pool.ts';
import type { FillFromSwarm } from '../../../lib/control/shards/resident.ts';
import { KEY, loaderFixture, type LoaderFixture } from '../fixture.ts';

export const BLOB: BlobName = {
  key: KEY,
  url: 'https://r.example/v2/app/blobs/x',
  upstreamHost: 'r.example',
  scope: 'repo r.example/app',
  pathname: '/x',
  digest: KEY,
};

const SHARE: Share = { lane: 'read', upstream: 'r.example', client: '' };

/** Streams of one front over a loader; the test plays the swarm, the registry and the front. */
export interface StreamFixture extends LoaderFixture {
  streams: Streams;
  gate: Gate;
  ahead: ReadAhead;
  trace: ReadTrace;
  replies: ControlMessage[];
  /** Answers the oldest access check. */
  answer(result: ProbeResult): void;
  open(request?: Partial<OpenRequest>): void;
  /** Shards wanted so far, in order, each once. */
  wanted(): number[];
}

export function streamFixture(
  options: {
    slots?: number;
    layers?: number;
    openElsewhere?: number;
    shardsTogether?: number;
    check?: 'strict' | 'off';
    /** Instead of the test's `fills`. */
    fill?: FillFromSwarm;
    /** Instead of the test's `answer`. */
    probe?: (job: ProbeJob) => Promise<ProbeResult>;
  } = {},
): StreamFixture {
  const { slots = 64, fill } = options;
  const at = loaderFixture({ slots, disk: true, ...(fill === undefined ? {} : { fill }) });
  const replies: ControlMessage[] = [];
  const probes: ((result: ProbeResult) => void)[] = [];
  const gate = new Gate({
    outages: new Outages(at.clock, async () => null),
    ledger: new AccessLedger({
      clock: at.clock,
      ttlMs: 60_000,
      staleTtlMs: 0,
      check: options.check ?? 'off',
    }),
    probe: options.probe ?? (() => new Promise((resolve) => probes.push(resolve))),
    servesWhole: () => false,
    headManifest: async () => null,
    sized({ key, upstreamHost }, totalBytes) {
      if (at.facts.said(key, upstreamHost, totalBytes) || at.facts.sizeOf(key) === null)
        at.loader.sized(key, totalBytes, 'upstream');
      return at.facts.sizeOf(key)!;
    },
    count: () => undefined,
  });
  const layers = new LayerGate(options.layers ?? 128, at.clock, () => undefined);
  const ahead = new ReadAhead({
    loader: at.loader,
    layers,
    shareOf: () => SHARE,
    clock: at.clock,
    slotCount: at.arena.slotCount,
  });
  const trace = new ReadTrace(at.clock);
  const streams = new Streams(
    {
      loader: at.loader,
      gate,
      layers,
      shareOf: () => SHARE,
      facts: at.facts,
      slotCount: at.arena.slotCount,
      innerShards: () => () => false,
      shardsTogether: () => options.shardsTogether ?? 1,
      readsAheadAtOnce: () => (options.shardsTogether ?? 1) > 1,
      ahead,
      trace,
      nowMs: () => 0,
      open: { streams: options.openElsewhere ?? 0 },
    },
    (message) => replies.push(message),
  );
  return {
    ...at,
    streams,
    gate,
    ahead,
    trace,
    replies,
    answer: (result) => probes.shift()!(result),
    open: (request) =>
      streams.open({
        kind: 'open',
        id: 1,
        blob: BLOB,
        authorization: 'Bearer t',
        shard: 0,
        sliceBytes: 0,
        untilShard: null,
        sequential: true,
        small: false,
        requestId: 'request-1',
        ...request,
      }),
    wanted: () => at.fills.map((fill) => fill.resident.shard),
  };
}
