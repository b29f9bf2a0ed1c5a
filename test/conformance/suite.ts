import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as sendRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Assets } from '../assets.ts';
import { tryRun } from '../e2e/daemon.ts';

/** The suite of the OCI distribution specification: what test/conformance/assets.sh provides. */
export const conformanceAssets = new Assets<'conformance'>('conformance');

export interface Verdict {
  passed: number;
  failed: number;
  skipped: number;
  /** What the suite said of each test that failed. */
  complaints: string[];
}

/**
 * Runs the suite against a registry at 127.0.0.1:`port`; `settings` are its own environment
 * variables. What it found is read from what it says at the end: without pushing, this version
 * crashes afterwards, over the files of its report.
 */
export async function runSuite(
  program: string,
  port: number,
  dir: string,
  settings: Record<string, string>,
): Promise<Verdict> {
  const environment = {
    OCI_REGISTRY: `127.0.0.1:${port}`,
    OCI_TLS: 'disabled',
    OCI_RESULTS_DIR: dir,
    OCI_LOG: 'error',
    ...settings,
  };
  const { stdout, stderr } = await tryRun('env', [
    ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    program,
  ]);
  const counts = new Map(
    [...stdout.matchAll(/^ {2}(Pass|FAIL|Error|Skip|Total)\.+: +(\d+)$/gm)].map(
      ([, name, count]) => [name, Number(count)],
    ),
  );
  const count = (name: string): number =>
    counts.get(name) ?? assert.fail(`no count of ${name}: ${stdout.slice(-2_000)}\n${stderr}`);
  const complaints = [
    ...stdout.matchAll(/^ *(OCI Conformance Test\/.*): (?:FAIL|Error)\n +- (.*)$/gm),
  ].map(([, test, reason]) => `${test}: ${reason}`);
  return {
    passed: count('Pass'),
    failed: count('FAIL') + count('Error'),
    skipped: count('Skip'),
    complaints,
  };
}

/**
 * A registry in two halves: what is read is read at `readPort`, the rest (and the state of an
 * upload) is done at `writePort`.
 */
export async function splitInTwo(readPort: number, writePort: number): Promise<Server> {
  const server = createServer((request, response) => {
    const isRead =
      (request.method === 'GET' || request.method === 'HEAD') &&
      !request.url!.includes('/blobs/uploads/');
    const forwarded = sendRequest(
      {
        host: '127.0.0.1',
        port: isRead ? readPort : writePort,
        method: request.method,
        path: request.url,
        headers: request.headers,
        agent: false,
      },
      (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.on('error', () => response.destroy()).pipe(response);
      },
    );
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
