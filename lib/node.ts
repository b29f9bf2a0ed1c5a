import { randomBytes } from 'node:crypto';
import { systemClock, type Clock } from './clock.ts';
import { CacheStore } from './cache/store.ts';
import { Envelope } from './wire/envelope.ts';
import { ClusterSecret } from './wire/secret.ts';
import { PeerQuestions } from './control/peers/questions.ts';
import type { RunningNode } from './commands/node.ts';
import { formatHostPort, parseHostPort } from './config/address.ts';
import type { Config } from './config/schema.ts';
import { readClusterSecret } from './config/secret.ts';
import { BlobFacts } from './control/shards/blob-facts.ts';
import { FrontDesk } from './control/control.ts';
import { Digests } from './control/shards/digests.ts';
import { CertificateWatch } from './control/watch/certificate-watch.ts';
import { startFront, type Front } from './control/fronts.ts';
import { Gate } from './control/upstream/access-gate.ts';
import { Manifests } from './control/upstream/manifests.ts';
import { PeerCalls } from './control/peers/calls.ts';
import { RegistryMemory } from './control/upstream/registry-memory.ts';
import { Relays } from './control/upstream/relays.ts';
import { Holdings } from './control/shards/holdings.ts';
import { LayerGate } from './control/serve/layer-gate.ts';
import { ShardLoader } from './control/shards/loader.ts';
import { startPools } from './control/threads/pools.ts';
import { claimPorts } from './control/watch/ports.ts';
import { Preheats } from './control/serve/preheats.ts';
import { ReadAhead } from './control/serve/read-ahead.ts';
import { ReadTrace } from './control/serve/read-trace.ts';
import { Residency } from './control/shards/residency.ts';
import { SwarmDriver } from './control/peers/swarm-driver.ts';
import { BlobAliases } from './control/watch/blob-aliases.ts';
import { Scrubber } from './control/shards/scrubber.ts';
import { statusInputs } from './control/status-inputs.ts';
import { openObservation, type Observation } from './control/watch/observation.ts';
import { ShoalError } from './errors.ts';
import { LOCAL, UNVOUCHED, type Share } from './share-queue.ts';
import type { Way } from './control/shards/resident.ts';
import { certificateFiles, certificateText } from './front/certificates.ts';
import { Throttle } from './front/throttle.ts';
import { Arena } from './io/arena.ts';
import { Doorbells } from './io/doorbell.ts';
import { openSlabFiles, type SlabFiles } from './io/slab-files.ts';
import { DRAIN_DEADLINE_MS, REQUEST_HEAD_BYTES_MAX, SHARD_BYTES } from './limits.ts';
import { AccessLedger } from './registry/access.ts';
import { Outages } from './origin/outages.ts';
import { Vouching } from './registry/vouching.ts';
import type { Readiness } from './telemetry/health.ts';
import type { FrontStart } from './workers/messages.ts';

/**
 * A node without a secret talks to its own kind on loopback only, where this constant keeps honest
 * parties apart from strangers' protocols.
 */
const LOOPBACK_SECRET = Buffer.from('shoal without a cluster secret: loopback only');

/** How a listener on every address is reached from this machine. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * Builds one node from its config and starts it; resolves once it serves. Throws what keeps it from
 * starting: PORT_IN_USE, CACHE_DIR_UNUSABLE, CONFIG_INVALID.
 */
export async function startNode(
  config: Config,
  options: { frontThreads?: number } = {},
): Promise<RunningNode> {
  // uWebSockets.js reads it once, when it is first loaded.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(REQUEST_HEAD_BYTES_MAX);
  const clock = systemClock;
  const { DeployConfig, ProxyConfig, P2PConfig, CacheConfig, ExporterConfig } = config;
  const secret = readClusterSecret(config);
  const frontCount = options.frontThreads ?? 1;
  const readiness: Readiness & { problems: string[] } = { phase: 'starting', problems: [] };

  // Without a secret, or when other nodes are told a loopback address, nothing listens beyond
  // loopback.
  const address = secret.kind === 'secret' ? DeployConfig.node : '127.0.0.1';
  const p2pHost = listenHostOf(address);
  const exporterHost = listenHostOf(DeployConfig.node);
  const [proxyPort, p2pPort, exporterPort = null] = await claimPorts([
    { host: ProxyConfig.host, port: ProxyConfig.port, what: 'ProxyConfig.port' },
    { host: p2pHost, port: P2PConfig.port, what: 'P2PConfig.port' },
    ...(ExporterConfig.enable && ExporterConfig.standaloneExporterPort
      ? [{ host: exporterHost, port: ExporterConfig.port, what: 'ExporterConfig.port' }]
      : []),
  ]);
  const ports = { proxy: proxyPort!, p2p: p2pPort!, exporter: exporterPort };
  const node = formatHostPort(address, ports.p2p);
  const observation = openObservation({ config, node, clock });
  const { log, meter } = observation;
  if (secret.kind === 'none' && looksElsewhere(P2PConfig))
    log.warn(
      { code: 'CONFIG_INVALID' },
      'P2PConfig.secretFile is not set: the swarm of this node is this machine, whoever ' +
        'else is named or found',
    );

  const arena = Arena.create(CacheConfig.memory);
  const doorbells = Doorbells.create(frontCount);
  const residency = new Residency(arena, doorbells, clock, (kind) =>
    meter.count(`eviction.${kind}`),
  );
  const facts = new BlobFacts();
  const vouching = new Vouching(ProxyConfig);
  const files = await openSlabFiles({
    dir: CacheConfig.dir,
    capacityBytes: CacheConfig.capacity,
    direct: CacheConfig.aioEnable === 1,
    log,
  });
  const pools = startPools(
    {
      arena: arena.shared,
      doorbells: doorbells.shared,
      meters: observation.meters,
      origin: {
        registries: ProxyConfig.registries,
        allow: ProxyConfig.allow,
        firstByteTimeoutMs: ProxyConfig.firstByteTimeout * 1000,
      },
      slabFd: files.slabFd,
      directFd: files.directFd,
    },
    { arena: arena.shared, meters: observation.meters },
    vouching,
  );
  const store = openStore(files, CacheConfig.checkReads, pools, observation, clock);
  const outages = new Outages(
    clock,
    async (origin) => (await pools.run({ kind: 'ping', origin })).status,
  );
  const totalOf = (key: string): number | null => facts.totalOf(key) ?? store.totalOf(key) ?? null;
  const gate = new Gate({
    outages,
    ledger: new AccessLedger({
      clock,
      ttlMs: ProxyConfig.accessTtl * 1000,
      staleTtlMs: ProxyConfig.accessStaleTtl * 1000,
      check: ProxyConfig.accessCheck,
    }),
    probe: (job) => swarm.probe(job),
    sized(key, totalBytes) {
      loader.sized(key, totalBytes, 'upstream');
      return facts.sizeOf(key)!;
    },
    count: (name) => meter.count(name),
  });
  const layers = new LayerGate(ProxyConfig.proxyConcurrencyLimit, clock, (ms) => {
    meter.count('layer.wait');
    meter.observe('layerWait', ms * 1000);
  });
  const secretBytes =
    secret.kind === 'secret'
      ? secret.bytes
      : P2PConfig.peers.length + P2PConfig.roots.length > 0
        ? LOOPBACK_SECRET
        : randomBytes(32);
  const accepted = secret.kind === 'secret' ? secret.accepted : [];
  const clusterSecret = new ClusterSecret(secretBytes, ...accepted);
  const envelope = new Envelope({ secret: clusterSecret, self: node, wallMs: clock.wallMs });
  const swarm = new SwarmDriver({
    self: node,
    mode: DeployConfig.mode,
    arena,
    doorbells,
    pools,
    facts,
    vouching,
    clock,
    envelope,
    observation,
  });
  const shareOf = ({ origin }: Way): Share =>
    origin === null
      ? LOCAL
      : {
          lane: 'read',
          upstream: vouching.isVouched(origin.url) ? origin.upstreamHost : UNVOUCHED,
          client: origin.authorization ?? '',
        };
  const loader = new ShardLoader({
    clock,
    arena,
    doorbells,
    residency,
    store,
    facts,
    fill: (resident, way, done, failed) => swarm.fill(resident, way, done, failed),
    shareOf,
    isAwaited: (resident) => digests.isAwaited(resident),
    completed(resident, fromDisk) {
      const totalBytes = facts.totalOf(resident.key);
      if (totalBytes !== null) digests.completed(resident, totalBytes, fromDisk);
      if (!fromDisk) swarm.completed(resident);
    },
    filed(operation, resident, sizeBytes, tookMs) {
      observation.probe?.line(
        operation,
        facts.pathname(resident.key),
        resident.shard * SHARD_BYTES,
        sizeBytes,
        tookMs * 1000,
      );
    },
    looked: (tier) => meter.count(`lookup.${tier}`),
  });
  const digests = new Digests({
    run: (job) => pools.digest(job),
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
      log.error(
        { blob: key, code: 'DIGEST_MISMATCH' },
        'a blob does not have the digest it is known by: dropped',
      );
      swarm.verified(key, false);
      facts.forget(key);
      loader.purge(key);
    },
  });
  swarm.attach(loader);
  await swarm.join(P2PConfig);

  const scrubber = new Scrubber({
    clock,
    arena,
    residency,
    store,
    scrubbed: (outcome) => meter.count(outcome === 'ok' ? 'scrub.ok' : 'scrub.corrupt'),
  });
  let diskEvictions = 0;
  const storeWatch = setInterval(() => {
    const { evictions } = store.stats();
    meter.count('eviction.disk', evictions - diskEvictions);
    diskEvictions = evictions;
  }, 1_000);

  const calls = new PeerCalls(pools, envelope);
  const call: PeerCalls['call'] = (peer, path, options) => calls.call(peer, path, options);
  const manifests = new Manifests({ self: node, clock, arena, loader, facts, call });
  const memory = new RegistryMemory({
    self: node,
    clock,
    secret: clusterSecret,
    ttlMs: ProxyConfig.accessStaleTtl * 1000,
    ranked: (name) => swarm.ranked(name),
    isMember: (peer) => swarm.isMember(peer),
    has: (digest) => manifests.has(digest),
    copy: (digest, peer) => manifests.copy(digest, peer),
    call,
    count: (name) => meter.count(name),
  });
  const relays = new Relays({
    isVouched: (url) => vouching.isRegistry(url),
    relay: (job) => pools.run(job),
    gate,
    manifests,
    memory,
    outages,
    spokenFor: (fields, failure) =>
      observation.journal.failed(
        fields,
        failure,
        'a registry is down: answered what it said before',
      ),
    count: (name) => meter.count(name),
  });

  const holdings = new Holdings(loader, clock);
  const preheats = new Preheats({
    self: node,
    members: () => swarm.members(),
    gate,
    totalOf,
    holdings,
    call,
  });

  const questions = new PeerQuestions({
    stat: (query) => swarm.stat(query),
    answeredStat({ key, shard }, { kind }, startMs) {
      const latencyUs = (clock.nowMs() - startMs) * 1000;
      meter.observe('rpcStat', latencyUs);
      const sizeBytes = kind === 'stat' ? 0 : -1;
      const offsetBytes = shard * SHARD_BYTES;
      observation.probe?.line('rpc:stat', facts.pathname(key), offsetBytes, sizeBytes, latencyUs);
    },
    hold: ({ key, totalBytes }, origin, requestId) =>
      holdings.hold(key, totalBytes, swarm.vouched(key, origin), requestId),
    recall: (ids) => memory.answer(ids),
    told: (words) => memory.told(words),
    count: (name) => meter.count(name),
    nowMs: clock.nowMs,
  });

  const inputs = statusInputs({
    readiness,
    arena,
    residency,
    store,
    loader,
    facts,
    layers,
    pools,
    swarm,
    reads: () => observation.journal.pulls.now(),
  });
  // Whoever can reach the exporter sees them: blobs are named, not told.
  const names = new BlobAliases((key) => clusterSecret.opaqueName('blob', key));
  const page = observation.pages(
    () => names.hide(inputs()),
    (alias) => names.tree(alias, (key) => swarm.tree(key)),
  );
  const open = { streams: 0 };
  const trace = new ReadTrace(clock);
  const ahead = new ReadAhead({ loader, layers, shareOf, clock, slotCount: arena.slotCount });
  const desk = (send: Front['send']): FrontDesk =>
    new FrontDesk(
      {
        streams: {
          loader,
          gate,
          layers,
          shareOf,
          facts,
          ahead,
          trace,
          slotCount: arena.slotCount,
          open,
          nowMs: clock.nowMs,
          isInner: (shard) => swarm.isInner(shard),
          shardsTogether: () => swarm.shardsTogether,
        },
        peers: swarm.deskParts(),
        questions,
        preheats,
        keyOf: (blob) => vouching.keyOf(blob),
        relay: (request) => relays.answer(request),
        page,
        audit: (batch, lines) => observation.audit?.accept(batch, lines),
        notice: (code, message, requestId) => log.warn({ code, requestId }, message),
        journal: observation.journal,
        salt: () => randomBytes(16).toString('hex'),
      },
      send,
    );
  const throttle = Throttle.createShared();
  const tls = ProxyConfig.tls ? await certificateFiles(ProxyConfig, clock) : null;
  const fronts: Front[] = [];
  // A node that listens no more must not look alive: it ends, and is started again.
  const frontDied = (error: ShoalError): void => {
    if (readiness.phase === 'serving')
      queueMicrotask(() => process.emit('uncaughtException', error));
  };
  for (let bell = 0; bell < frontCount; bell++) {
    const start: FrontStart = {
      arena: arena.shared,
      doorbells: doorbells.shared,
      bell,
      throttle,
      meters: observation.meters,
      meterRow: 1 + bell,
      sharesPorts: frontCount > 1,
      config: {
        node,
        mode: DeployConfig.mode,
        proxy: { host: ProxyConfig.host, port: ports.proxy, tls },
        p2p: { host: p2pHost, port: ports.p2p },
        exporter: ExporterConfig.enable ? { host: exporterHost, port: ports.exporter } : null,
        prefix: ProxyConfig.prefix,
        registries: ProxyConfig.registries.map((entry) => ({ ...entry })),
        allow: [...ProxyConfig.allow],
        audit: DeployConfig.logAudit,
        secret: [secretBytes, ...accepted].map((one) => Buffer.from(one).toString('hex')).join(','),
        throttleLimitMB: ProxyConfig.throttleLimitMB,
      },
    };
    fronts.push(await startFront(start, desk, frontDied));
  }
  const certificates =
    tls === null
      ? null
      : new CertificateWatch(
          {
            clock,
            read: () => certificateText(ProxyConfig, clock),
            changed() {
              for (const front of fronts) front.send({ kind: 'certificate' });
              log.info('the proxy goes over to a new certificate');
            },
            failed: (error) =>
              log.warn({ err: error }, "the proxy's certificate could not be looked at"),
          },
          await certificateText(ProxyConfig, clock),
        );
  readiness.problems.push('the transfer threads are not up yet');
  const { lowWater } = await pools.ready();
  if (lowWater !== '')
    log.info({ reason: lowWater }, 'receiving with the kernel defaults, which costs more CPU time');
  readiness.problems.pop();
  readiness.phase = 'serving';
  log.info({ proxy: ports.proxy, p2p: ports.p2p, exporter: ports.exporter }, 'serving');

  return {
    ready: {
      mode: DeployConfig.mode,
      proxy: `${ProxyConfig.tls ? 'https' : 'http'}://${formatHostPort(ProxyConfig.host, ports.proxy)}`,
      p2p: `http://${node}`,
      exporter:
        ports.exporter === null
          ? null
          : `http://${formatHostPort(LOOPBACK_OF[exporterHost] ?? exporterHost, ports.exporter)}`,
      pid: process.pid,
    },
    async drain() {
      readiness.phase = 'draining';
      clearInterval(storeWatch);
      scrubber.close();
      certificates?.close();
      // Answers in flight want shards still, and those who wait, for a node or for another try at
      // the registry, have the swarm's clock to go on by.
      await Promise.all(fronts.map((front) => front.drain(DRAIN_DEADLINE_MS)));
      await swarm.leave();
      await store.close();
      await pools.close();
      await files.close();
      await observation.close();
    },
  };
}

/** Whether nodes on other machines are named, or to be found. */
function looksElsewhere({ discovery, peers, roots }: Config['P2PConfig']): boolean {
  return (
    discovery !== 'static' ||
    [...peers, ...roots].some((node) => !isLoopback(parseHostPort(node)?.host ?? ''))
  );
}

function isLoopback(address: string): boolean {
  return /^(127\.|localhost$|::1$)/.test(address);
}

/**
 * Where to listen for those who dial `address`: on every address of its family, on loopback only
 * there.
 */
function listenHostOf(address: string): string {
  if (isLoopback(address)) return address;
  return address.includes(':') ? '::' : '0.0.0.0';
}

function openStore(
  files: SlabFiles,
  checkReads: Config['CacheConfig']['checkReads'],
  pools: ReturnType<typeof startPools>,
  observation: Observation,
  clock: Clock,
): CacheStore {
  const failed = (
    error: { code: ShoalError['code']; message: string },
    what: 'read' | 'write',
  ): ShoalError => {
    observation.meter.count(
      /ENOSPC|EDQUOT/.test(error.message) ? 'cacheError.space' : `cacheError.${what}`,
    );
    return ShoalError.fromWire(error);
  };
  return CacheStore.open({
    slotCount: files.slotCount,
    entryCount: files.entryCount,
    table: files.table,
    checkReads,
    clock,
    log: observation.log,
    io: {
      async read(job) {
        const result = await pools.run({ kind: 'diskRead', ...job });
        if (result.kind === 'failed') throw failed(result.error, 'read');
        if (result.outcome === 'corrupt') observation.meter.count('cacheError.checksum');
        return result.outcome;
      },
      async write(job) {
        const result = await pools.run({ kind: 'diskWrite', ...job });
        if (result.kind === 'failed') throw failed(result.error, 'write');
        return result.outcome;
      },
      writeHeader: (job) => files.writeHeader(job),
    },
  });
}
