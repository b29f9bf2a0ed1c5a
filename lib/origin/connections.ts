import type { Dispatcher } from 'undici';
import { systemClock, type Clock } from '../clock.ts';
import { ORIGIN_CONNECT_TIMEOUT_MS } from '../limits.ts';
import { AllowList, type AllowConfig } from '../registry/allow.ts';
import type { SplitUrl } from '../registry/url.ts';
import { createOriginAgent } from './agent.ts';
import { DirectTransport } from './direct.ts';
import type { Transport } from './exchange.ts';
import { Follower } from './follow.ts';
import {
  ORIGIN_ANSWER_DEADLINE_RATIO,
  ORIGIN_HEAD_TIMEOUT_MS,
  ORIGIN_SILENCE_MS,
  PING_TIMEOUT_MS,
} from './limits.ts';
import { mirrorStates } from '../registry/mirror-view.ts';
import { Mirrors } from './mirrors.ts';
import { Networks, type Network } from './network.ts';
import { NodeHttpTransport } from './node-http.ts';
import { OwnLogins } from './own-logins.ts';
import { NameResolver, type Resolver } from './resolve.ts';
import { UndiciTransport } from './undici.ts';

/** What may cross a thread boundary to make a client there. */
export interface OriginOptions extends AllowConfig {
  /** ProxyConfig.firstByteTimeout, in ms. */
  firstByteTimeoutMs?: number;
  /** How registries are reached where the config says more than their URL. */
  networks?: readonly Network[];
  /** See mirrorStates; a client has its own without them. */
  mirrorStates?: SharedArrayBuffer;
}

/** Handed in by tests; the defaults are the real ones. */
export interface ConnectionTools {
  clock?: Clock;
  /** Carries all requests, in the place of undici and of this room's own sockets. */
  transport?: Transport;
  resolve?: Resolver;
  ca?: string;
  connectTimeoutMs?: number;
  headTimeoutMs?: number;
  silenceMs?: number;
  answerDeadlineMs?: number;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY; none by default. */
  env?: NodeJS.ProcessEnv;
}

/** The connections to origins that one version of the config asks for. */
export class OriginConnections {
  readonly follower: Follower;
  /** For pings alone, on connections that no client can occupy. */
  readonly pinger: Follower;
  readonly mirrors: Mirrors;
  /** From the first request for something to the head of its answer. */
  readonly answerDeadlineMs: number;
  readonly #allow: AllowList;
  readonly #dispatchers: readonly Dispatcher[];
  readonly #direct: DirectTransport;

  constructor(options: OriginOptions, tools: ConnectionTools) {
    const allow = new AllowList(options);
    this.#allow = allow;
    const clock = tools.clock ?? systemClock;
    const headTimeoutMs =
      tools.headTimeoutMs ?? options.firstByteTimeoutMs ?? ORIGIN_HEAD_TIMEOUT_MS;
    this.answerDeadlineMs = tools.answerDeadlineMs ?? headTimeoutMs * ORIGIN_ANSWER_DEADLINE_RATIO;
    const agentOptions = {
      allow,
      networks: new Networks(options.networks ?? [], tools.env ?? {}),
      connectTimeoutMs: tools.connectTimeoutMs ?? ORIGIN_CONNECT_TIMEOUT_MS,
      resolve: tools.resolve ?? new NameResolver().resolve,
      ...(tools.ca === undefined ? {} : { ca: tools.ca }),
    };
    const dispatcher = createOriginAgent(agentOptions);
    const pingDispatcher = createOriginAgent(agentOptions);
    this.#dispatchers = [dispatcher, pingDispatcher];
    this.#direct = new DirectTransport(agentOptions, clock);
    const lenient = new NodeHttpTransport(agentOptions);
    const exchangeTools = {
      transport: tools.transport ?? new UndiciTransport(dispatcher, lenient, agentOptions.networks),
      clock,
      headTimeoutMs,
      silenceMs: tools.silenceMs ?? bodySilenceMs(headTimeoutMs),
    };
    this.mirrors = new Mirrors(
      options.registries,
      options.mirrorStates ?? mirrorStates(options.registries),
      { clock, ping: (origin) => this.pinger.statusOf(origin, PING_TIMEOUT_MS) },
    );
    const parts = {
      allow,
      networks: agentOptions.networks,
      mirrors: this.mirrors,
      logins: new OwnLogins(agentOptions.networks, allow, dispatcher),
      direct: tools.transport === undefined ? this.#direct : null,
    };
    this.follower = new Follower(parts, exchangeTools);
    this.pinger = new Follower(parts, {
      ...exchangeTools,
      transport:
        tools.transport ?? new UndiciTransport(pingDispatcher, lenient, agentOptions.networks),
      headTimeoutMs: PING_TIMEOUT_MS,
    });
  }

  /** Whether this version of the config lets a host be asked. */
  allows({ hostname, port }: SplitUrl): boolean {
    return this.#allow.mayAsk(hostname, port);
  }

  /** Closes the connections once the requests under way are over. */
  async retire(): Promise<void> {
    await Promise.all([this.follower.idle(), this.pinger.idle()]);
    await this.close();
  }

  async close(): Promise<void> {
    this.#direct.close();
    await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.destroy()));
  }
}

/** An upstream that is known to be silent for long before its head is so within a body, too. */
function bodySilenceMs(headTimeoutMs: number): number {
  return headTimeoutMs > ORIGIN_HEAD_TIMEOUT_MS ? headTimeoutMs : ORIGIN_SILENCE_MS;
}
