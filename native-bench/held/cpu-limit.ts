import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const PERIOD_US = 100_000;
const V1 = '/sys/fs/cgroup/cpu';
const V2 = '/sys/fs/cgroup';

/**
 * Holds a running process to one CPU, as the chart's limit does: by a cgroup quota of 100 ms in
 * 100 ms (cgroup v1 or v2), or, where no cgroup can be made, by pinning it to core 0.
 */
export class CpuLimit {
  readonly kind: 'cgroup quota' | 'pinned to a core';
  readonly #dir: string | null;

  constructor(pid: number) {
    this.#dir = cgroup(`shoal-held-${process.pid}`);
    this.kind = this.#dir === null ? 'pinned to a core' : 'cgroup quota';
    if (this.#dir !== null) writeFileSync(join(this.#dir, 'cgroup.procs'), String(pid));
    else if (spawnSync('taskset', ['-acp', '0', String(pid)]).status !== 0)
      throw new Error(`cannot hold process ${pid} to one CPU: no cgroup, and taskset failed`);
  }

  /** Periods in which the process had to wait for its quota, since the start; null: no cgroup. */
  get throttledPeriods(): number | null {
    if (this.#dir === null) return null;
    const stat = readFileSync(join(this.#dir, 'cpu.stat'), 'latin1');
    return Number(/^nr_throttled (\d+)/m.exec(stat)?.[1] ?? Number.NaN);
  }

  /** Removes the cgroup; only once the process has ended. */
  remove(): void {
    if (this.#dir !== null) rmdirSync(this.#dir);
  }
}

/** A new cgroup with a quota of one CPU; null where none can be made. */
function cgroup(name: string): string | null {
  const isV1 = existsSync(join(V1, 'cpu.cfs_quota_us'));
  const dir = join(isV1 ? V1 : V2, name);
  try {
    mkdirSync(dir);
  } catch {
    return null; // Not root, or a read-only mount.
  }
  try {
    if (isV1) {
      writeFileSync(join(dir, 'cpu.cfs_period_us'), String(PERIOD_US));
      writeFileSync(join(dir, 'cpu.cfs_quota_us'), String(PERIOD_US));
    } else writeFileSync(join(dir, 'cpu.max'), `${PERIOD_US} ${PERIOD_US}`);
    return dir;
  } catch {
    rmdirSync(dir);
    return null;
  }
}
