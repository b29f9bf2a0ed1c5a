import {
  machineSeconds,
  residentBytes,
  threadSeconds,
  threadWork,
  type ThreadWork,
} from '../processor-time.ts';
import type { LabNetwork } from './network.ts';

/** Processes of one role, each on the machine of its index in the network. */
export interface Role {
  name: string;
  processes: { pid: number; machine: number }[];
}

export interface RoleCost {
  cpuSeconds: number;
  cpuSecondsByThread: Record<string, number>;
  work: ThreadWork;
  rssMaxBytes: number;
  /** By the counters of the machines' interfaces. */
  receivedBytes: number;
  sentBytes: number;
  sentBytesMax: number;
}

/** What processes and the machine cost between construction and `end`. */
export class Meter {
  readonly #network: LabNetwork;
  readonly #roles: readonly Role[];
  readonly #start;

  constructor(network: LabNetwork, roles: readonly Role[]) {
    this.#network = network;
    this.#roles = roles;
    this.#start = this.#read();
  }

  end(): { machineCpuSeconds: number; roles: Map<string, RoleCost> } {
    const [start, end] = [this.#start, this.#read()];
    const roles = new Map<string, RoleCost>();
    for (const { name, processes } of this.#roles) {
      const byThread: Record<string, number> = {};
      const work: ThreadWork = { wakeUps: 0, switches: 0, reads: 0 };
      let [rssMaxBytes, receivedBytes, sentBytes, sentBytesMax] = [0, 0, 0, 0];
      for (const { pid, machine } of processes) {
        for (const [thread, seconds] of end.threads.get(pid)!)
          byThread[thread] =
            (byThread[thread] ?? 0) + seconds - (start.threads.get(pid)!.get(thread) ?? 0);
        const [before, after] = [start.work.get(pid)!, end.work.get(pid)!];
        for (const key of ['wakeUps', 'switches', 'reads'] as const)
          work[key] += after[key] - before[key];
        rssMaxBytes = Math.max(rssMaxBytes, residentBytes(pid)?.maxBytes ?? 0);
        receivedBytes += end.links[machine]!.receivedBytes - start.links[machine]!.receivedBytes;
        const sent = end.links[machine]!.sentBytes - start.links[machine]!.sentBytes;
        sentBytes += sent;
        sentBytesMax = Math.max(sentBytesMax, sent);
      }
      const cpuSeconds = Object.values(byThread).reduce((sum, seconds) => sum + seconds, 0);
      roles.set(name, {
        cpuSeconds,
        cpuSecondsByThread: byThread,
        work,
        rssMaxBytes,
        receivedBytes,
        sentBytes,
        sentBytesMax,
      });
    }
    return { machineCpuSeconds: end.machine - start.machine, roles };
  }

  #read() {
    const pids = this.#roles.flatMap(({ processes }) => processes.map(({ pid }) => pid));
    return {
      machine: machineSeconds(),
      links: this.#network.bytes(),
      threads: new Map(pids.map((pid) => [pid, threadSeconds(pid)])),
      work: new Map(pids.map((pid) => [pid, threadWork(pid)])),
    };
  }
}
