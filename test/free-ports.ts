import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/*
 * Below the ports that the kernel hands out itself (net.ipv4.ip_local_port_range): no connection
 * and no server on port 0 takes one meanwhile.
 */
const FIRST = 15_000;
const END = 32_000;
const TRIES = 1_000;

const given = new Set<number>();

/** Ports of loopback that were free a moment ago, each given out once in a process. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries === TRIES) throw new Error(`no ${count} free ports from ${FIRST} to ${END}`);
    const port = randomInt(FIRST, END);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    const listening = once(server, 'listening');
    server.listen(port, '127.0.0.1');
    await listening;
  } catch {
    return false;
  }
  await new Promise((closed) => server.close(closed));
  return true;
}
