import { workerData, type MessagePort } from 'node:worker_threads';
import {
  App,
  SSLApp,
  us_listen_socket_close,
  type TemplatedApp,
  type us_listen_socket,
} from 'uWebSockets.js';
import { MirrorView } from '../registry/mirror-view.ts';
import type { RouteConfig } from '../registry/route.ts';
import { Envelope } from '../wire/envelope.ts';
import { ClusterSecret } from '../wire/secret.ts';
import { systemClock } from '../clock.ts';
import { ShoalError, type WireError } from '../errors.ts';
import { Arena } from '../io/arena.ts';
import { Doorbells } from '../io/doorbell.ts';
import { Allowance } from '../telemetry/allowance.ts';
import { AuditProbe } from '../telemetry/audit.ts';
import { Meter } from '../telemetry/counters.ts';
import { tiers, type Tier } from '../telemetry/metrics-list.ts';
import { watchLoopDelay } from '../telemetry/loop-delay.ts';
import { NOTICES_PER_SECOND_MAX } from './limits.ts';
import type { FrontConfig, FrontStart } from '../workers/messages.ts';
import { threadLooks } from '../io/looks.ts';
import { serveLine } from '../workers/line.ts';
import { PeerConnections } from '../workers/peer/connection.ts';
import { readAndCount, type PeerReadJob, type TransferTools } from '../workers/peer/read.ts';
import { nameThread } from '../workers/thread-name.ts';
import { ControlLink } from './control-link.ts';
import { serveExporter } from './exporter.ts';
import { FirstReads } from './first-reads.ts';
import { servePeers } from './peer-answer.ts';
import { servePreheat } from './preheat-answer.ts';
import { ReadTally } from './read-tally.ts';
import { serveProxy, type ProxyTools } from './proxy.ts';
import { SlotFollowers } from './slot-follower.ts';
import { Throttle } from './throttle.ts';
import { Turn } from './turn.ts';
import { Uploads } from './uploads.ts';
import { WarmMemory } from './warm.ts';

/** Counters by tier: a name that is put together would be looked up as text with each write. */
const SERVED_CLIENT = namesByTier('served.client');
const SERVED_PEER = namesByTier('served.peer');

function namesByTier<To extends string>(to: To): Readonly<Record<Tier, `${To}.${Tier}`>> {
  const names = tiers.map((tier) => [tier, `${to}.${tier}`] as const);
  return Object.fromEntries(names) as Record<Tier, `${To}.${Tier}`>;
}

/** Interval at which a draining front checks whether its last response is sent. */
const DRAIN_LOOK_MS = 20;

/**
 * LIBUS_LISTEN_EXCLUSIVE_PORT of uSockets. The library accepts options besides a host, but its
 * typings do not.
 */
const EXCLUSIVE_PORT = 1;
interface ListensWithOptions {
  listen(
    host: string,
    port: number,
    options: number,
    done: (socket: us_listen_socket | false) => void,
  ): void;
}

type PortName = 'proxy' | 'p2p' | 'exporter';

function routeOf({
  prefix,
  registries,
  allow,
  mirrorStates,
}: Pick<FrontConfig, 'prefix' | 'registries' | 'allow' | 'mirrorStates'>): RouteConfig {
  const mirrors = new MirrorView(registries, mirrorStates);
  return { prefix, registries, allow, answering: (origin) => mirrors.answering(origin) };
}

interface FrontData {
  start: FrontStart;
  /** To control. */
  port: MessagePort;
  /** Jobs to read from other nodes; see FrontReads. */
  reads: MessagePort;
}

/** Entry of a front thread: three apps on shared ports, one link to control. */
function main({ start, port, reads }: FrontData): void {
  const { config } = start;
  const clock = systemClock;
  const arena = new Arena(start.arena);
  const meter = new Meter(start.meters, start.meterRow, 'front');
  const doorbells = new Doorbells(start.doorbells);
  const followers = new SlotFollowers(doorbells, start.bell);
  const peers = new PeerConnections(clock.nowMs);
  const readTools: TransferTools = {
    arena,
    doorbells: {
      ringAll() {
        doorbells.ringAll(start.bell);
        followers.rung();
      },
    },
    peers,
    looks: threadLooks,
    nowMs: clock.nowMs,
    after: clock.after,
  };
  void serveLine<PeerReadJob>({ port: reads }, (job) => readAndCount(job, readTools, meter));
  const apps: TemplatedApp[] = [];
  const sockets = new Map<PortName, us_listen_socket>();
  let inFlight = 0;
  let drainUntilMs = 0;
  /** Of clients and peers together, and how many there are. */
  let connectionsMax = Number.POSITIVE_INFINITY;
  let connections = 0;

  let route = routeOf(config);
  const warm = new WarmMemory();
  const link = new ControlLink(port, {
    drain: (deadlineMs) => drain(deadlineMs),
    certificate: () => renew(),
    routes(routes) {
      route = routeOf({ ...routes, prefix: config.prefix });
      warm.clear();
    },
    connections: (max) => (connectionsMax = max),
  });
  const audit = config.audit
    ? new AuditProbe({
        threadId: start.bell + 1,
        meter,
        clock,
        post: (batch, lines) => link.audit(batch, lines),
      })
    : null;
  const tally = new ReadTally((reads) => link.tell({ kind: 'reads', reads }));
  const notices = new Allowance(NOTICES_PER_SECOND_MAX, clock);
  const throttle = new Throttle(start.throttle, config.throttleLimitMB, undefined, (waitedUs) => {
    meter.count('throttle.wait');
    meter.observe('throttleWait', waitedUs);
  });
  const stopLoopDelay = watchLoopDelay(meter, clock);
  const common = {
    arena,
    followers,
    turn: new Turn(),
    link,
    nowMs: clock.nowMs,
    started: () => void (inFlight += 1),
    draining: () => drainUntilMs > 0,
  };
  const micros = (startMs: number): number => Math.round((clock.nowMs() - startMs) * 1000);

  /** Closes connections beyond the limit: descriptors are left for the registry and for files. */
  const bounded = (app: TemplatedApp): TemplatedApp =>
    app.filter((res, count) => {
      connections += count;
      if (count > 0 && connections > connectionsMax) res.close();
    });

  function drain(deadlineMs: number): void {
    drainUntilMs = clock.nowMs() + deadlineMs;
    // The exporter stays up: /readyz has to report that the node drains.
    for (const [name, socket] of sockets) if (name !== 'exporter') us_listen_socket_close(socket);
    const look = setInterval(() => {
      if (inFlight > 0 && clock.nowMs() < drainUntilMs) return;
      clearInterval(look);
      end({ kind: 'drained' });
    }, DRAIN_LOOK_MS);
  }

  function end(lastWord: { kind: 'drained' } | { kind: 'failed'; error: WireError }): void {
    // A worker that ends with open uWebSockets.js handles aborts the process, so close all of them
    // first.
    for (const app of apps) app.close();
    tally.flush();
    audit?.close();
    stopLoopDelay();
    reads.close();
    peers.close();
    link.tell(lastWord);
    link.shut();
  }

  process.once('uncaughtException', (error) =>
    end({
      kind: 'failed',
      error: new ShoalError('INTERNAL', `a front thread failed: ${error.stack}`).toWire(),
    }),
  );

  const proxyTools: ProxyTools = {
    ...common,
    throttle,
    watermark: (slot, fromBytes) => arena.sendableTo(slot, fromBytes),
    warm,
    firstReads: new FirstReads(arena),
    tally,
    route: () => route,
    tracing: config.tracing,
    warmRead({ name, offsetBytes, bytes, startMs }, firstBytes, source) {
      const latencyUs = micros(startMs);
      meter.record('pread', bytes, latencyUs);
      meter.record('http', bytes, latencyUs);
      if (firstBytes > 0) meter.count(SERVED_CLIENT[source], firstBytes);
      if (firstBytes < bytes) meter.count('served.client.arena', bytes - firstBytes);
      meter.observe('firstByte.arena', latencyUs);
      meter.observe('pread.arena', latencyUs);
      audit?.line('http:pread', name.pathname, offsetBytes, bytes, latencyUs);
    },
    over(answer) {
      inFlight -= 1;
      const latencyUs = micros(answer.startMs);
      // The bytes were counted as they were sent.
      meter.record('pread', 0, latencyUs, answer.failed);
      meter.record('http', 0, latencyUs, answer.failed);
      meter.observe(`pread.${answer.tier}`, latencyUs);
      if (answer.aborted) meter.count('client.abort');
      if (answer.error !== null) meter.count(`refusal.${answer.error}`);
      audit?.line(
        'http:pread',
        answer.name.pathname,
        answer.offsetBytes,
        answer.failed ? -1 : answer.sentBytes,
        latencyUs,
      );
    },
    passed(answer) {
      inFlight -= 1;
      meter.record('http', answer.bodyBytes, micros(answer.startMs), answer.error !== null);
      if (answer.error !== null) meter.count(`refusal.${answer.error}`);
    },
    sent(tier, bytes) {
      meter.count(SERVED_CLIENT[tier], bytes);
      meter.recordBytes('pread', bytes);
      meter.recordBytes('http', bytes);
    },
    firstByte: (tier, startMs) => meter.observe(`firstByte.${tier}`, micros(startMs)),
    refused(error, requestId) {
      meter.count(`refusal.${error.code}`);
      if (error.code === 'HOST_NOT_ALLOWED' && notices.take())
        link.tell({ kind: 'notice', code: error.code, message: error.message, requestId });
    },
  };
  /**
   * Existing connections keep the certificate that they were opened with until they are closed.
   */
  function openProxy(): TemplatedApp {
    const { tls } = config.proxy;
    const proxy =
      tls === null ? App() : SSLApp({ key_file_name: tls.keyFile, cert_file_name: tls.certFile });
    if (config.exporter !== null && config.exporter.port === null) serveExporter(proxy, link);
    servePreheat(proxy, {
      link,
      route: () => route,
      draining: common.draining,
      tracing: config.tracing,
    });
    serveProxy(proxy, proxyTools);
    bounded(proxy);
    apps.push(proxy);
    return proxy;
  }

  /** Switches to the certificate that is on disk now. */
  function renew(): void {
    const old = sockets.get('proxy');
    if (common.draining() || old === undefined) return;
    let proxy: TemplatedApp;
    try {
      proxy = openProxy();
    } catch (thrown) {
      link.tell({
        kind: 'notice',
        code: 'CONFIG_INVALID',
        message:
          `the proxy's new certificate cannot be used, the old one stays: ` +
          `${(thrown as Error).message}`,
        requestId: '',
      });
      return;
    }
    us_listen_socket_close(old);
    if (!listen('proxy', proxy, config.proxy))
      end({
        kind: 'failed',
        error: new ShoalError(
          'PORT_IN_USE',
          `cannot listen on ${config.proxy.host}:${config.proxy.port} again`,
        ).toWire(),
      });
  }

  const p2p = bounded(App());
  servePeers(p2p, {
    ...common,
    after: clock.after,
    uploads: new Uploads(common.turn, clock),
    throttle: null,
    tracing: config.tracing,
    envelope: new Envelope({
      secret: ClusterSecret.ofHex(config.secret),
      self: config.node,
      wallMs: clock.wallMs,
    }),
    over(answer) {
      inFlight -= 1;
      const latencyUs = micros(answer.startMs);
      meter.observe('rpcPread', latencyUs);
      audit?.line(
        'rpc:pread',
        answer.pathname,
        answer.offsetBytes,
        answer.failed ? -1 : answer.sentBytes,
        latencyUs,
      );
    },
    sent: (tier, bytes) => meter.count(SERVED_PEER[tier], bytes),
    answered: (kind) => meter.count(`answer.${kind}`),
    refused(code, message) {
      meter.count('answer.unauthorized');
      // Anyone may send anything to this port; the other two answers come from a node.
      if (code !== 'PEER_UNAUTHORIZED' && notices.take())
        link.tell({ kind: 'notice', code, message, requestId: '' });
    },
  });
  apps.push(p2p);

  /** False: another process uses the port. The callback runs within the call. */
  function listen(name: PortName, app: TemplatedApp, at: { host: string; port: number }): boolean {
    sockets.delete(name);
    (app as unknown as ListensWithOptions).listen(
      at.host,
      at.port,
      start.sharesPorts ? 0 : EXCLUSIVE_PORT,
      (socket) => {
        if (socket !== false) sockets.set(name, socket);
      },
    );
    return sockets.has(name);
  }

  const listens: [name: PortName, app: TemplatedApp, at: { host: string; port: number }][] = [
    ['proxy', openProxy(), config.proxy],
    ['p2p', p2p, config.p2p],
  ];
  if (config.exporter !== null && config.exporter.port !== null) {
    const exporter = App();
    serveExporter(exporter, link);
    apps.push(exporter);
    listens.push([
      'exporter',
      exporter,
      { host: config.exporter.host, port: config.exporter.port },
    ]);
  }
  const failed = listens.find(([name, app, at]) => !listen(name, app, at));
  if (failed === undefined) link.tell({ kind: 'listening' });
  else
    end({
      kind: 'failed',
      error: new ShoalError(
        'PORT_IN_USE',
        `cannot listen on ${failed[2].host}:${failed[2].port}`,
      ).toWire(),
    });
}

nameThread('front');
main(workerData as FrontData);
