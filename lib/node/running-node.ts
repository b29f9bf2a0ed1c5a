import type { Config, NodeMode } from '../config/schema.ts';

/** A node that serves: its addresses, and the way to stop it. */
export interface RunningNode {
  ready: { mode: NodeMode; proxy: string; p2p: string; exporter: string | null; pid: number };
  drain(): Promise<void>;
  /**
   * Takes up what `read` says of registries (ProxyConfig.registries, allow, firstByteTimeout, the
   * files they name) without a restart. Resolves with the config in force: the old one if the new
   * one is refused.
   */
  reload(read: () => Config): Promise<Config>;
}

export interface NodeStartOptions {
  frontThreads?: number;
}

export type StartNode = (config: Config, options: NodeStartOptions) => Promise<RunningNode>;
