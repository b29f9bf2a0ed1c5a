import { readFileSync } from 'node:fs';

/** Of clock ticks in /proc/PID/stat. */
const TICK_MS = 10;

/** Processor time that a process has used so far, all its threads, in steps of 10 ms. */
export function cpuTimeMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program's name stands in brackets and may hold spaces.
  const [user, system] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14);
  return (Number(user) + Number(system)) * TICK_MS;
}
