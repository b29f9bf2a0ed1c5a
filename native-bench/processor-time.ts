import { readdirSync, readFileSync } from 'node:fs';

/**
 * USER_HZ of Linux on every platform Node runs on: the unit of times in /proc (proc_pid_stat(5)).
 */
const TICKS_PER_SECOND = 100;

/**
 * Seconds of processor time, user and system, that process `pid` has used, ended threads included;
 * to 10 ms. Null when there is no such process, or no /proc.
 */
export function processSeconds(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold spaces: fields are counted from behind it. utime and stime
    // are the 14th and 15th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return null;
  }
}

/**
 * Seconds of processor time by the name of the thread, to the nanosecond (schedstat); threads of
 * one name are added up.
 */
export function threadSeconds(pid: number): Map<string, number> {
  const seconds = new Map<string, number>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const [name, nanoseconds] = [
      `/proc/${pid}/task/${tid}/comm`,
      `/proc/${pid}/task/${tid}/schedstat`,
    ].map((path) => {
      try {
        return readFileSync(path, 'latin1').trim();
      } catch {
        return ''; // The thread has ended since.
      }
    });
    if (name === undefined || nanoseconds === undefined || name === '') continue;
    const role = tid === String(pid) ? 'control' : name;
    seconds.set(role, (seconds.get(role) ?? 0) + Number(nanoseconds.split(' ')[0]) / 1e9);
  }
  return seconds;
}

/**
 * Resident memory of a process in bytes, now and at its highest; null when there is no such
 * process.
 */
export function residentBytes(pid: number): { nowBytes: number; maxBytes: number } | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const kibibytes = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN);
    return { nowBytes: kibibytes('VmRSS') * 1024, maxBytes: kibibytes('VmHWM') * 1024 };
  } catch {
    return null;
  }
}

/** What the threads of a process have done since they started. */
export interface ThreadWork {
  /** Times that a thread slept and was woken: voluntary context switches. */
  wakeUps: number;
  /** Context switches, voluntary and not. */
  switches: number;
  /** Calls of read(2) and its kind. Calls of recv(2) are not among them. */
  reads: number;
}

/** The work of all threads of a process; zeros when there is no such process. */
export function threadWork(pid: number): ThreadWork {
  const work: ThreadWork = { wakeUps: 0, switches: 0, reads: 0 };
  try {
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1');
      const count = (field: string): number =>
        Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
      work.wakeUps += count('voluntary_ctxt_switches');
      work.switches += count('voluntary_ctxt_switches') + count('nonvoluntary_ctxt_switches');
    }
    const io = readFileSync(`/proc/${pid}/io`, 'latin1');
    work.reads = Number(/^syscr: (\d+)/m.exec(io)?.[1] ?? 0);
  } catch {
    // The process or one of its threads has ended.
  }
  return work;
}

/** Seconds of processor time of the whole machine, interrupts included. */
export function machineSeconds(): number {
  const [, user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'latin1')
    .split('\n', 1)[0]!
    .split(/\s+/)
    .map(Number);
  return (user! + nice! + system! + irq! + softirq!) / TICKS_PER_SECOND;
}
