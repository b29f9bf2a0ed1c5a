import type { Config, NodeMode } from '../config/schema.ts';

/** A node that serves: its addresses, and the way to stop it. */
export interface RunningNode {
  ready: { mode: NodeMode; proxy: string; p2p: string; exporter: string | null; pid: number };
  drain(): Promise<void>;
}

export interface NodeStartOptions {
  frontThreads?: number;
}

export type StartNode = (config: Config, options: NodeStartOptions) => Promise<RunningNode>;
