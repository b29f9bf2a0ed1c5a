import { readdirSync, readFileSync } from 'node:fs';
import { ShoalError } from '../errors.ts';
import {
  CONNECTIONS_MIN,
  DESCRIPTORS_MIN,
  DESCRIPTORS_PER_FRONT,
  DESCRIPTORS_RESERVED,
} from './limits.ts';

/**
 * Open files that this process may have; Node raises its own limit to the hard one. Infinity where
 * the system does not tell, as without /proc.
 */
export function descriptorLimit(file = '/proc/self/limits'): number {
  let limits: string;
  try {
    limits = readFileSync(file, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    return Number.POSITIVE_INFINITY;
  }
  const limit = Number(/^Max open files +(\S+)/m.exec(limits)?.[1]);
  return Number.isInteger(limit) ? limit : Number.POSITIVE_INFINITY;
}

/** Throws LIMIT_TOO_LOW if a node with so many front threads cannot serve below the limit. */
export function assertDescriptors(
  frontCount: number,
  limitOf: () => number = descriptorLimit,
): void {
  const needed = DESCRIPTORS_MIN + (frontCount - 1) * DESCRIPTORS_PER_FRONT;
  let limit = 0;
  try {
    limit = limitOf();
  } catch (thrown) {
    // Too few to read the limit itself.
    if ((thrown as NodeJS.ErrnoException).code !== 'EMFILE') throw thrown;
  }
  if (limit >= needed) return;
  throw new ShoalError(
    'LIMIT_TOO_LOW',
    `this process may open ${limit === 0 ? 'too few' : `only ${limit}`} files, and a node needs ` +
      `${needed}; raise the limit (ulimit -Hn, LimitNOFILE=)`,
  );
}

/**
 * How many connections of clients and peers a node with all its threads may accept: what is free
 * but for DESCRIPTORS_RESERVED, or for half of it, so that the registry, other nodes and files can
 * be reached.
 */
export function connectionsMax(
  limit: number = descriptorLimit(),
  openCount: () => number = () => readdirSync('/proc/self/fd').length,
): number {
  if (limit === Number.POSITIVE_INFINITY) return limit;
  const free = limit - openCount();
  const reserved = Math.min(DESCRIPTORS_RESERVED, Math.ceil(free / 2));
  return Math.max(CONNECTIONS_MIN, free - reserved);
}
