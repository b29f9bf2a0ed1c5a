import { readPeerWork, type PeerWork } from '../../lib/demo/node-counters.ts';
import type { NodeProcess } from '../../lib/demo/node-process.ts';
import type { DemoRegistry } from '../../lib/demo/registry.ts';
import { processSeconds, residentBytes } from '../processor-time.ts';

/** How often processes and the registry are looked at. */
const SAMPLE_MS = 100;
const SAMPLES_A_SECOND = 1000 / SAMPLE_MS;

interface NodeCost {
  cpuSeconds: number;
  rssMaxBytes: number;
}

/**
 * What the nodes of a run cost, and how fast the registry sent, sampled: of a node that is killed
 * its last sample stands.
 */
export class Costs {
  readonly #nodes: readonly NodeProcess[];
  readonly #registry: DemoRegistry;
  readonly #costs = new Map<NodeProcess, NodeCost>();
  readonly #atStart = new Map<NodeProcess, number>();
  /** The registry's bytes at every sample. */
  readonly #sentBytes: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(nodes: readonly NodeProcess[], registry: DemoRegistry) {
    this.#nodes = nodes;
    this.#registry = registry;
    for (const node of nodes) this.#atStart.set(node, processSeconds(node.addresses.pid) ?? 0);
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /**
   * Stops sampling. Seconds of processor time since the start, the largest resident size, and the
   * registry's busiest second.
   */
  end(): { cpuSeconds: number; rssMaxBytes: number; originPeakBytesPerSecond: number } {
    clearInterval(this.#timer);
    this.#sample();
    const costs = [...this.#costs];
    let peak = 0;
    this.#sentBytes.forEach(
      (bytes, at) =>
        (peak = Math.max(peak, bytes - this.#sentBytes[Math.max(0, at - SAMPLES_A_SECOND)]!)),
    );
    return {
      cpuSeconds: costs.reduce(
        (sum, [node, { cpuSeconds }]) => sum + cpuSeconds - this.#atStart.get(node)!,
        0,
      ),
      rssMaxBytes: Math.max(...costs.map(([, { rssMaxBytes }]) => rssMaxBytes)),
      originPeakBytesPerSecond: peak,
    };
  }

  #sample(): void {
    this.#sentBytes.push(this.#registry.traffic.blobs.bytes);
    for (const node of this.#nodes) {
      const { pid } = node.addresses;
      const cpuSeconds = processSeconds(pid);
      const resident = residentBytes(pid);
      if (
        node.running &&
        cpuSeconds !== null &&
        resident !== null &&
        !Number.isNaN(resident.maxBytes)
      )
        this.#costs.set(node, { cpuSeconds, rssMaxBytes: resident.maxBytes });
    }
  }
}

/** What nodes did for each other, as the nodes that still run report it. */
export async function peerWork(nodes: readonly NodeProcess[]): Promise<WorkSummary> {
  return summarizePeerWork(
    await Promise.all(nodes.map((node) => readPeerWork(node.addresses.exporter!))),
  );
}

interface WorkSummary {
  uploadMaxOverMean: number;
  messages: number;
  depthMax: number;
}

export function summarizePeerWork(works: readonly PeerWork[]): WorkSummary {
  const uploads = works.map(({ uploadBytes }) => uploadBytes);
  const mean = uploads.reduce((sum, bytes) => sum + bytes, 0) / uploads.length;
  return {
    uploadMaxOverMean: mean === 0 ? 0 : Math.max(...uploads) / mean,
    messages: works.reduce((sum, { messages }) => sum + messages, 0),
    depthMax: Math.max(...works.map(({ depthMax }) => depthMax)),
  };
}
