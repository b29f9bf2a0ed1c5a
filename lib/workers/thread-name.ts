import { writeFileSync } from 'node:fs';

/**
 * Names the calling thread as the system shows it (`top -H`, /proc/PID/task/TID/comm; Linux keeps
 * 15 characters): who looks for what a node costs sees it by part. Without /proc, nothing happens.
 */
export function nameThread(name: string): void {
  try {
    writeFileSync('/proc/thread-self/comm', name);
  } catch {
    // The name is a convenience of Linux.
  }
}
